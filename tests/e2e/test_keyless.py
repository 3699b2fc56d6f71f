"""Keyless signatures with a private Sigstore: signed as an identity, verified offline from a file, refused otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_command_line import weighbridge
from tests.servers import serve
from tests.sigstore import ISSUER, Sigstore, token

ANN = "ann@acme.example"


def peer(*arguments, cwd):
    """The tool of OpenSSF Model Signing itself."""
    command = [str(Path(sys.executable).with_name("model_signing")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A model that ann has signed and attested, and what is needed to verify it when the instance is gone."""
    folder, instance = tmp_path_factory.mktemp("keyless"), Sigstore()
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")
    with serve(instance.web) as base:
        (folder / "trust.json").write_text(json.dumps(instance.trust_config(base)))
        environment = {"SIGSTORE_ID_TOKEN": token(ANN)}
        made = weighbridge("sign", "model", "--keyless", "--sigstore", "trust.json", cwd=folder, **environment)
        assert made.returncode == 0, made.stderr
        approved = ("--kind", "approval", "--by", "ann", "--reason", "read it")
        made = weighbridge(
            "attest", "model", *approved, "--keyless", "--sigstore", "trust.json", cwd=folder, **environment
        )
        assert made.returncode == 0, made.stderr
        peer(
            "sign",
            "sigstore",
            "model",
            "--signature",
            "peer.sig",
            "--trust_config",
            "trust.json",
            "--identity_token",
            token(ANN),
            cwd=folder,
        )
    (folder / "root.json").write_text(json.dumps(instance.trusted_root(base)))
    (folder / "other.json").write_text(json.dumps(Sigstore().trusted_root(base)))
    return folder


def verify(folder, *more, identity=ANN, issuer=ISSUER, root="root.json"):
    return weighbridge(
        "verify", "model", "--identity", identity, "--issuer", issuer, "--sigstore", root, *more, cwd=folder
    )


@pytest.mark.parametrize("root", ["root.json", "trust.json"])
def test_it_verifies_offline_from_a_file(signed, root):
    done = verify(signed, root=root)
    assert done.returncode == 0, done.stderr
    assert f"signed by {ANN} ({ISSUER})" in done.stdout


def test_an_attestation_is_keyless_too(signed):
    done = verify(signed, "--attestation", "model.approval.att", "--require", "approval")
    assert done.returncode == 0, done.stderr
    assert "approved by ann: read it" in done.stdout


def test_model_signing_accepts_our_keyless_signature(signed):
    arguments = (
        "--signature",
        "model.sig",
        "--trust_config",
        "trust.json",
        "--identity",
        ANN,
        "--identity_provider",
        ISSUER,
    )
    peer("verify", "sigstore", "model", *arguments, cwd=signed)


def test_we_accept_the_keyless_signature_of_model_signing(signed):
    done = verify(signed, "--signature", "peer.sig")
    assert done.returncode == 0, done.stderr
    assert f"signed by {ANN} ({ISSUER})" in done.stdout


def test_another_identity_is_refused_by_name(signed):
    done = verify(signed, identity="eve@acme.example")
    assert done.returncode == 1
    assert f"the signature is by {ANN}, and not by eve@acme.example" in done.stderr


def test_another_issuer_is_refused(signed):
    assert verify(signed, issuer="https://github.com/login/oauth").returncode == 1


def test_another_instance_is_refused(signed):
    assert verify(signed, root="other.json").returncode == 1


def test_a_changed_file_is_refused(signed):
    (signed / "model/config.json").write_text("[]")
    done = verify(signed)
    (signed / "model/config.json").write_text("{}")
    assert (done.returncode, "config.json was changed" in done.stderr) == (1, True)


def test_an_identity_without_an_issuer_trusts_nobody(signed):
    done = weighbridge("verify", "model", "--identity", ANN, cwd=signed)
    assert done.returncode == 2


def test_a_broken_trust_file_is_an_error(signed):
    (signed / "odd.json").write_text("{}")
    done = verify(signed, root="odd.json")
    assert (done.returncode, "not a trusted root" in done.stderr) == (2, True)


def test_an_instance_that_does_not_answer_is_an_error(signed):
    environment = {"SIGSTORE_ID_TOKEN": token(ANN)}
    done = weighbridge(
        "sign", "model", "--keyless", "--sigstore", "trust.json", "--output", "n.sig", cwd=signed, **environment
    )
    assert done.returncode == 2
    assert "no keyless signature" in done.stderr
    assert not (signed / "n.sig").exists()
