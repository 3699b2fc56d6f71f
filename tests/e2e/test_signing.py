"""Signing as a user meets it: from `keys new` to `verify`, several signers, and refusals with exit code 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.e2e.test_command_line import BAD, weighbridge

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


def prepared(tmp_path, *names):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    for name in names or ("release",):
        assert weighbridge("keys", "new", name, cwd=tmp_path).returncode == 0
    return tmp_path


def test_from_a_new_key_to_a_verified_model(tmp_path):
    folder = prepared(tmp_path)
    assert weighbridge("sign", "model/", "--key", "release", cwd=folder).returncode == 0
    done = weighbridge("verify", "model/", "--key", "release.pub", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("verified: 1 file, 2 B, signed by release.pub (")


def test_a_refusal_names_the_file_and_ends_with_1(tmp_path):
    folder = prepared(tmp_path)
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    (folder / "model/evil.py").write_text("x")
    done = weighbridge("verify", "model", "--key", "release.pub", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "weighbridge: evil.py is not signed"
    assert done.stdout == ""


def test_two_of_three_signers(tmp_path):
    folder = prepared(tmp_path, "a", "b", "c")
    signatures, trusted = [], []
    for name in ("a", "b"):
        weighbridge("sign", "model", "--key", name, "--output", f"{name}.sig", cwd=folder)
        signatures += ["--signature", f"{name}.sig"]
    for name in ("a", "b", "c"):
        trusted += ["--key", f"{name}.pub"]
    assert weighbridge("verify", "model", *signatures, *trusted, "--threshold", "2", cwd=folder).returncode == 0
    done = weighbridge("verify", "model", *signatures, *trusted, "--threshold", "3", cwd=folder)
    assert done.returncode == 1
    assert "2 of 3 signers are verified" in done.stderr


def test_one_signer_twice_is_one_signer(tmp_path):
    folder = prepared(tmp_path)
    for name in ("a", "b"):
        weighbridge("sign", "model", "--key", "release", "--output", f"{name}.sig", cwd=folder)
    done = weighbridge(
        "verify",
        "model",
        "--signature",
        "a.sig",
        "--signature",
        "b.sig",
        "--key",
        "release.pub",
        "--threshold",
        "2",
        cwd=folder,
    )
    assert done.returncode == 1


def test_a_revoked_key_by_the_command_line(tmp_path):
    folder = prepared(tmp_path, "release", "root")
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    shown = weighbridge("keys", "show", "release", cwd=folder).stdout
    fingerprint = shown.split()[1]
    assert (
        weighbridge("keys", "revoke", fingerprint, "--list", "revoked.json", "--key", "root", cwd=folder).returncode
        == 0
    )
    done = weighbridge(
        "verify",
        "model",
        "--key",
        "release.pub",
        "--revocations",
        "revoked.json",
        "--revocations-key",
        "root.pub",
        cwd=folder,
    )
    assert done.returncode == 1
    assert "was revoked" in done.stderr


def test_rotating_keeps_the_old_public_key(tmp_path):
    folder = prepared(tmp_path)
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    assert weighbridge("keys", "rotate", "release", cwd=folder).returncode == 0
    old = next(folder.glob("release-until-*.pub"))
    assert weighbridge("verify", "model", "--key", old, cwd=folder).returncode == 0
    assert weighbridge("verify", "model", "--key", "release.pub", cwd=folder).returncode == 1


def test_nobody_is_trusted_without_being_named(tmp_path):
    folder = prepared(tmp_path)
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    done = weighbridge("verify", "model", cwd=folder)
    assert done.returncode == 2
    assert "nobody is trusted" in done.stderr


# Attestations, tokens, re-checks, lists


@pytest.mark.parametrize(
    ("kind", "more", "shown"),
    [
        ("scan", (), "scan result: admit by 'strict'"),
        ("vsa", (), "PASSED, WEIGHBRIDGE_ADMITTED"),
        ("approval", ("--by", "ann", "--reason", "read it", "--scope", "prod"), "approved by ann for prod: read it"),
    ],
)
def test_an_attestation_goes_round(tmp_path, kind, more, shown):
    folder = prepared(tmp_path)
    made = weighbridge("attest", "model", "--kind", kind, "--key", "release", *more, cwd=folder)
    assert made.returncode == 0
    asked = ("--attestation", f"model.{kind}.att", "--require", kind, "--key", "release.pub")
    done = weighbridge("verify", "model", *asked, cwd=folder)
    assert (done.returncode, shown in done.stdout) == (0, True)
    (folder / "model/more.json").write_text("[1]")
    done = weighbridge("verify", "model", *asked, cwd=folder)
    assert done.returncode == 1
    assert "more.json is not what the attestation" in done.stderr


def test_a_scan_that_stops_is_attested_as_such(tmp_path):
    folder = prepared(tmp_path)
    (folder / "model/a.pkl").write_bytes(BAD)
    made = weighbridge("attest", "model", "--kind", "scan", "--key", "release", cwd=folder)
    assert (made.returncode, "the verdict is block" in made.stdout) == (1, True)
    done = weighbridge("verify", "model", "--attestation", "model.scan.att", "--key", "release.pub", cwd=folder)
    assert done.returncode == 1
    assert "the signed scan result says block" in done.stderr


def test_an_approval_says_by_whom_and_until_a_real_date(tmp_path):
    folder = prepared(tmp_path)
    approve = ("attest", "model", "--kind", "approval", "--key", "release")
    assert weighbridge(*approve, cwd=folder).returncode == 2
    odd = weighbridge(*approve, "--by", "ann", "--reason", "x", "--expires", "soon", cwd=folder)
    assert (odd.returncode, "as 2027-01-31" in odd.stderr) == (2, True)


def test_proofs_are_part_of_a_scan_report(tmp_path):
    folder = prepared(tmp_path)
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    done = weighbridge("scan", "model", "--key", "release.pub", "--require", "signature", cwd=folder)
    assert done.returncode == 0
    assert "verified: 1 file, 2 B, signed by release.pub" in done.stdout
    (folder / "model/config.json").write_text("[]")
    done = weighbridge("scan", "model", "--key", "release.pub", "--require", "signature", cwd=folder)
    assert done.returncode == 1
    assert "critical[PRV-002]: config.json was changed" in done.stdout


def test_what_is_required_may_stand_in_the_configuration(tmp_path):
    folder = prepared(tmp_path)
    (folder / "weighbridge.toml").write_text('[provenance]\nkeys = ["release.pub"]\nrequire = ["signature"]\n')
    done = weighbridge("scan", "model", cwd=folder)
    assert (done.returncode, "high[PRV-001]" in done.stdout) == (1, True)
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    assert weighbridge("scan", "model", cwd=folder).returncode == 0


def test_an_odd_requirement_is_an_error(tmp_path):
    done = weighbridge("scan", "model", "--require", "magic", cwd=prepared(tmp_path))
    assert (done.returncode, "could be required" in done.stderr) == (2, True)


def test_every_byte_is_read_again_where_asked(tmp_path):
    folder = prepared(tmp_path)
    (folder / "model/w.bin").write_bytes(b"x" * (2 << 20))
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    again = ("verify", "model", "--key", "release.pub", "--recheck")
    assert weighbridge(*again, cwd=folder).returncode == 0
    assert weighbridge(*again, cwd=folder).returncode == 0
    with (folder / "model/w.bin").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"y")
    done = weighbridge(*again, cwd=folder)
    assert (done.returncode, "w.bin was changed" in done.stderr) == (1, True)


def test_an_older_edition_of_a_list_is_refused(tmp_path):
    folder = prepared(tmp_path, "release", "root")
    weighbridge("sign", "model", "--key", "release", cwd=folder)
    revoke = ("keys", "revoke", "--list", "r.json", "--key", "root")
    weighbridge(*revoke, "1" * 64, cwd=folder)
    shutil.copy(folder / "r.json", folder / "first.json")
    weighbridge(*revoke, "2" * 64, cwd=folder)
    asked = ("verify", "model", "--key", "release.pub", "--revocations-key", "root.pub", "--revocations")
    assert weighbridge(*asked, "r.json", cwd=folder).returncode == 0
    done = weighbridge(*asked, "first.json", cwd=folder)
    assert done.returncode == 1
    assert "is edition 1, and edition 2 was seen before" in done.stderr


@pytest.fixture
def token(tmp_path, monkeypatch):
    """The address of a key in a software token, made by the token's own library."""
    if not os.path.exists(SOFTHSM):
        pytest.skip("softhsm2 is not installed")
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.ec import encode_named_curve_parameters

    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    arguments = ["softhsm2-util", "--init-token", "--free", "--label", "t", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(arguments, check=True, capture_output=True)
    code = f"""
import pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
session = pkcs11.lib({SOFTHSM!r}).get_token(token_label="t").open(rw=True, user_pin="1234")
parameters = {{pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}}
session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True).generate_keypair(store=True, label="release")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    del pkcs11, encode_named_curve_parameters
    return f"pkcs11:token=t;object=release?module-path={SOFTHSM}"


def test_a_key_in_a_token_signs_and_never_leaves_it(tmp_path, token):
    folder = prepared(tmp_path)
    environment = {"WEIGHBRIDGE_KEY_PASSWORD": "1234", "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"]}
    shown = weighbridge("keys", "show", token, "--output", "token.pub", cwd=folder, **environment)
    assert "secp384r1" in shown.stdout
    assert weighbridge("sign", "model", "--key", token, cwd=folder, **environment).returncode == 0
    assert weighbridge("verify", "model", "--key", "token.pub", cwd=folder).returncode == 0
    (folder / "model/config.json").write_text("[]")
    assert weighbridge("verify", "model", "--key", "token.pub", cwd=folder).returncode == 1
    wrong = weighbridge("sign", "model", "--key", token, cwd=folder, **{**environment, "WEIGHBRIDGE_KEY_PASSWORD": "0"})
    assert (wrong.returncode, "PinIncorrect" in wrong.stderr) == (2, True)


def test_an_address_of_a_token_says_what_it_lacks(tmp_path):
    done = weighbridge("sign", "model", "--key", "pkcs11:token=t", cwd=prepared(tmp_path))
    assert (done.returncode, "module-path" in done.stderr) == (2, True)


def test_a_keyless_signature_needs_an_identity(tmp_path):
    done = weighbridge("sign", "model", "--keyless", cwd=prepared(tmp_path))
    assert done.returncode == 2
    assert "there is no identity token" in done.stderr
