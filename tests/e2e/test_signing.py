"""Signing as a user meets it: from `keys new` to `verify`, several signers, and refusals with exit code 1."""

from __future__ import annotations

from tests.e2e.test_command_line import weighbridge


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
