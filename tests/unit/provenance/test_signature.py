"""Model signatures: what was signed verifies, and every way of tampering is refused with the file and the reason."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.certificates import NOW, certificate, key_pem, pem
from weighbridge.provenance import certificates, dsse, keys, revocation, signature
from weighbridge.provenance.bundle import IN_TOTO, Trust
from weighbridge.provenance.digest import DigestCache, digests, members
from weighbridge.schema import SourceError, UsageError, VerificationFailed

FILES = {
    "config.json": b"{}",
    "model-1.safetensors": b"a" * 100,
    "model-2.safetensors": b"b" * 100,
    "code/run.py": b"print(1)\n",
    ".gitattributes": b"*\n",
}


@pytest.fixture
def key(tmp_path):
    return keys.new(str(tmp_path / "release"), now=NOW)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def signed(tmp_path, key, model):
    """The folder, its signature, and the trust that it verifies with."""
    return model, make(model, tmp_path / "release", tmp_path / "model.sig"), Trust(keys=(key,))


def make(folder, private, output, **more):
    output.write_bytes(
        signature.sign(str(folder), keys.load_private(str(private)), now=NOW, output=str(output), **more)
    )
    return output


def verify(signed, **more):
    folder, bundle, trust = signed
    return signature.verify(str(folder), str(bundle), more.pop("trust", trust), now=more.pop("now", NOW), **more)


def refused(signed, **more):
    with pytest.raises(VerificationFailed) as refusal:
        verify(signed, **more)
    return refusal.value.message


def payload_of(bundle):
    return json.loads(base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]))


def resigned(signed, tmp_path, change):
    """The bundle with its statement changed and signed again by the same key: a hostile or broken signer."""
    _, bundle, _ = signed
    table = payload_of(bundle)
    change(table)
    payload = json.dumps(table).encode()
    private = keys.load_private(str(tmp_path / "release"))
    raw = keys.sign(private, dsse.Envelope(payload=payload, kind=IN_TOTO, signatures=()).head, payload)
    whole = json.loads(bundle.read_text())
    whole["dsseEnvelope"] = dsse.wrap(payload, IN_TOTO, raw)
    bundle.write_text(json.dumps(whole))


# What holds


def test_what_was_signed_verifies(signed):
    found = verify(signed)
    assert (found.files, found.size) == (len(FILES), sum(map(len, FILES.values())))
    assert found.made == "2026-06-01T00:00:00Z"


def test_a_copy_in_another_folder_verifies(signed, tmp_path):
    folder, bundle, trust = signed
    shutil.copytree(folder, tmp_path / "elsewhere/renamed")
    assert verify((tmp_path / "elsewhere/renamed", bundle, trust)).files == len(FILES)


def test_a_signature_inside_the_tree_leaves_out_itself_and_nothing_else(model, tmp_path, key):
    bundle = make(model, tmp_path / "release", model / "model.sig")
    assert payload_of(bundle)["predicate"]["serialization"]["ignore_paths"] == ["model.sig"]
    trust = Trust(keys=(key,))
    assert verify((model, bundle, trust)).files == len(FILES)
    (model / "other.sig").write_bytes(b"x")
    assert refused((model, bundle, trust)) == "other.sig is not signed"


@pytest.mark.parametrize("curve", keys.CURVES)
def test_every_curve_signs(tmp_path, model, curve):
    made = keys.new(str(tmp_path / curve), curve=curve, now=NOW)
    bundle = make(model, tmp_path / curve, tmp_path / "a.sig")
    assert verify((model, bundle, Trust(keys=(made,)))).key == made.fingerprint


def test_one_file_of_a_tree(signed):
    folder, _, _ = signed
    (folder / "config.json").write_bytes(b"changed")
    assert verify(signed, only="code/run.py").files == 1
    assert refused(signed, only="config.json") == "config.json was changed"
    assert refused(signed, only="absent.bin") == "absent.bin is not signed"


def test_a_single_file(tmp_path, key):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    bundle = make(tmp_path / "m.gguf", tmp_path / "release", tmp_path / "m.sig")
    whole = (tmp_path / "m.gguf", bundle, Trust(keys=(key,)))
    assert verify(whole).files == 1
    (tmp_path / "m.gguf").write_bytes(b"GGUX")
    assert refused(whole) == "m.gguf was changed"


# Tampering


def flip(folder):
    data = bytearray((folder / "model-1.safetensors").read_bytes())
    data[50] ^= 1
    (folder / "model-1.safetensors").write_bytes(data)


def swap(folder):
    one, other = folder / "model-1.safetensors", folder / "model-2.safetensors"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def hook(folder):
    (folder / ".git/hooks").mkdir(parents=True)
    (folder / ".git/hooks/post-checkout").write_bytes(b"#!/bin/sh\n")


def folder_for_file(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    (folder / "config.json/evil.bin").write_bytes(b"x")


TAMPERING = {
    "bit flip": (flip, "model-1.safetensors was changed"),
    "added file": (lambda f: (f / "evil.py").write_bytes(b"x"), "evil.py is not signed"),
    "removed file": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "renamed file": (lambda f: (f / "config.json").rename(f / "settings.json"), "config.json was renamed to settings.json"),
    "swapped files": (swap, "model-1.safetensors holds what was signed as model-2.safetensors, and 1 more"),
    "changed mode": (lambda f: (f / "config.json").chmod(0o755), "config.json has another mode: plain was signed, executable is there"),
    "link": (lambda f: (f / "extra").symlink_to("/etc/passwd"), "extra is a link to /etc/passwd"),
    "link inside": (lambda f: (f / "extra").symlink_to("config.json"), "extra is a link to config.json"),
    "linked folder": (lambda f: (f / "extra").symlink_to("/etc", target_is_directory=True), "extra is a link to /etc"),
    "git payload": (hook, ".git/hooks/post-checkout is not signed"),
    "git attributes": (lambda f: (f / ".gitattributes").write_bytes(b"* filter=evil\n"), ".gitattributes was changed"),
    "github payload": (lambda f: ((f / ".github").mkdir(), (f / ".github/x.yml").write_bytes(b"x")), ".github/x.yml is not signed"),
    "folder in place of a file": (folder_for_file, "config.json is missing, and 1 more"),
    "longer file": (lambda f: (f / "config.json").write_bytes(b"{} "), "config.json was changed"),
    "pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe: device, pipe or socket"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_refused_with_the_file_and_the_reason(signed, name):
    change, message = TAMPERING[name]
    change(signed[0])
    assert refused(signed) == message


def test_a_name_with_a_colon_is_a_name(model, tmp_path, key):
    (model / "a:0:5").write_bytes(b"x")
    bundle = make(model, tmp_path / "release", tmp_path / "a.sig")
    assert verify((model, bundle, Trust(keys=(key,)))).files == len(FILES) + 1


def test_the_same_contents_under_other_names_are_another_artifact(signed, tmp_path):
    _, bundle, trust = signed
    other = tmp_path / "other"
    for name, data in FILES.items():
        target = other / name.replace("config", "konfig")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    assert refused((other, bundle, trust)) == "config.json was renamed to konfig.json"


# The signature file


@pytest.mark.parametrize("end", [0, 1, 100, -1, -20])
def test_a_cut_signature_is_refused(signed, end):
    bundle = signed[1]
    bundle.write_bytes(bundle.read_bytes()[:end])
    assert "JSON" in refused(signed)


def test_a_changed_statement_is_refused(signed):
    bundle = signed[1]
    whole = json.loads(bundle.read_text())
    table = payload_of(bundle)
    table["predicate"]["resources"][0]["digest"] = "0" * 64
    whole["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(table).encode()).decode()
    bundle.write_text(json.dumps(whole))
    assert "is not valid for the key" in refused(signed)


def test_another_payload_type_is_refused(signed):
    bundle = signed[1]
    whole = json.loads(bundle.read_text())
    whole["dsseEnvelope"]["payloadType"] = "text/plain"
    bundle.write_text(json.dumps(whole))
    assert "is of the kind" in refused(signed)


def test_duplicate_keys_in_the_bundle_are_refused(signed):
    bundle = signed[1]
    bundle.write_text(bundle.read_text().replace('{"mediaType"', '{"mediaType": "x", "mediaType"', 1))
    assert "twice" in refused(signed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["predicate"]["resources"][0].update(name="../../etc/passwd"), "odd name"),
        (lambda t: t["predicate"]["resources"][0].update(digest="zz"), "odd digest"),
        (lambda t: t["predicate"]["resources"].append(t["predicate"]["resources"][0]), "does not fit the signed list"),
        (lambda t: t["subject"][0]["digest"].update(sha256="0" * 64), "root digest"),
        (lambda t: t.update(predicateType="https://model_signing/Digests/v0.1"), "version 1.0"),
        (lambda t: t["predicate"]["serialization"].update(hash_type="md5"), "not verified here"),
        (lambda t: t["subject"].append({}), "single subject"),
    ],
)
def test_statements_that_a_signer_should_not_make_are_refused(signed, tmp_path, change, message):
    resigned(signed, tmp_path, change)
    assert message in refused(signed)


def test_paths_to_ignore_are_not_ignored(signed, tmp_path):
    resigned(
        signed,
        tmp_path,
        lambda t: t["predicate"]["serialization"].update(ignore_paths=["evil.py", ".git"], allow_symlinks=True),
    )
    (signed[0] / "evil.py").write_bytes(b"x")
    assert refused(signed) == "evil.py is not signed"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_the_signature_file_is_refused_in_words(signed, data):
    content = bytearray(signed[1].read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        signature.authentic(bytes(content), signed[2], NOW)
    except VerificationFailed as refusal:
        assert refusal.message
    else:
        assert (
            dsse.strict_json(bytes(content), "x")["dsseEnvelope"]["payload"]
            == json.loads(signed[1].read_text())["dsseEnvelope"]["payload"]
        )


# Keys


def test_another_key_is_refused(signed, tmp_path):
    other = keys.new(str(tmp_path / "other"), now=NOW)
    assert "is not among those given" in refused(signed, trust=Trust(keys=(other,)))


def test_a_key_that_lies_about_its_hint_is_refused(signed, tmp_path):
    other = keys.new(str(tmp_path / "other"), now=NOW)
    bundle = signed[1]
    whole = json.loads(bundle.read_text())
    whole["verificationMaterial"]["publicKey"]["hint"] = other.fingerprint
    bundle.write_text(json.dumps(whole))
    assert "is not valid for the key" in refused(signed, trust=Trust(keys=(other,)))


def test_an_expired_key_is_refused(signed):
    assert "expired on 2027-06-01" in refused(signed, now=NOW + timedelta(days=366))


def test_a_key_that_is_too_old_is_refused(signed, key):
    trust = Trust(keys=(key,), most_days=30)
    assert verify(signed, trust=trust, now=NOW + timedelta(days=29))
    assert "older than 30 days" in refused(signed, trust=trust, now=NOW + timedelta(days=31))


def test_a_revoked_key_is_refused(signed, key, tmp_path):
    root = keys.new(str(tmp_path / "root"), now=NOW)
    (tmp_path / "list").write_bytes(
        revocation.make(None, (key.fingerprint,), keys.load_private(str(tmp_path / "root")), now=NOW)
    )
    revoked = revocation.load(str(tmp_path / "list"), root, NOW)
    assert "was revoked" in refused(signed, trust=Trust(keys=(key,), revoked=revoked))


def test_a_revocation_list_is_held_to_its_signer_and_its_end(tmp_path, key):
    keys.new(str(tmp_path / "root"), now=NOW)
    (tmp_path / "list").write_bytes(
        revocation.make(None, ("0" * 64,), keys.load_private(str(tmp_path / "root")), now=NOW)
    )
    with pytest.raises(VerificationFailed, match="not signed by the key"):
        revocation.load(str(tmp_path / "list"), key, NOW)
    root = keys.load_public(str(tmp_path / "root.pub"))
    with pytest.raises(VerificationFailed, match="ended on"):
        revocation.load(str(tmp_path / "list"), root, NOW + timedelta(days=91))


def test_keys_are_never_overwritten(tmp_path, key):
    before = (tmp_path / "release").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        keys.new(str(tmp_path / "release"), now=NOW)
    assert (tmp_path / "release").read_bytes() == before
    assert (tmp_path / "release").stat().st_mode & 0o777 == 0o600
    del key


def test_encrypted_keys_need_their_password(tmp_path):
    keys.new(str(tmp_path / "k"), password=b"word", now=NOW)
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    assert isinstance(keys.load_private(str(tmp_path / "k"), b"word"), ec.EllipticCurvePrivateKey)
    for wrong in (b"", b"other"):
        with pytest.raises(UsageError):
            keys.load_private(str(tmp_path / "k"), wrong)


# Certificates


@pytest.fixture
def chain(tmp_path):
    root = certificate("root", ca=True)
    middle = certificate("authority", root, ca=True)
    return root, middle, certificate("leaf", middle)


def by_certificate(model, tmp_path, leaf, *above):
    (tmp_path / "leaf.key").write_bytes(key_pem(leaf))
    (tmp_path / "chain.pem").write_bytes(pem(leaf, *above))
    found = certificates.load_chain(str(tmp_path / "chain.pem"))
    return make(model, tmp_path / "leaf.key", tmp_path / "c.sig", chain=found)


def roots(*pairs, identity="release@example.org"):
    return Trust(roots=tuple(one for _, one in pairs), identity=identity)


def test_a_certificate_chain_verifies(model, tmp_path, chain):
    root, middle, leaf = chain
    bundle = by_certificate(model, tmp_path, leaf, middle)
    assert verify((model, bundle, roots(root))).by == "the certificate of CN=leaf"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "not for signing code"),
        ({"purpose": None}, "not for signing code"),
        ({"sign": False}, "not for signatures"),
        ({"start": -400, "days": 30}, "expired on"),
        ({"start": 10}, "not valid before"),
        ({"san": "other@example.org"}, "does not name release@example.org"),
    ],
)
def test_a_leaf_that_is_not_for_this_is_refused(model, tmp_path, chain, change, message):
    root, middle, _ = chain
    bundle = by_certificate(model, tmp_path, certificate("leaf", middle, **change), middle)
    assert message in refused((model, bundle, roots(root)))


def test_an_expired_authority_is_refused_today(model, tmp_path):
    root = certificate("root", ca=True, start=-4000, days=365)
    bundle = by_certificate(model, tmp_path, certificate("leaf", root), root)
    assert "expired on" in refused((model, bundle, roots(root)))


def test_an_issuer_that_is_no_authority_is_refused(model, tmp_path, chain):
    root, middle, leaf = chain
    below = certificate("below", leaf)
    bundle = by_certificate(model, tmp_path, below, leaf, middle)
    assert "was not issued by a certificate that is trusted" in refused((model, bundle, roots(root)))


def test_another_root_is_refused(model, tmp_path, chain):
    _, middle, leaf = chain
    bundle = by_certificate(model, tmp_path, leaf, middle)
    assert "was not issued by" in refused((model, bundle, roots(certificate("stranger", ca=True))))


def test_a_certificate_signature_is_not_verified_by_keys_alone(model, tmp_path, chain, key):
    root, middle, leaf = chain
    bundle = by_certificate(model, tmp_path, leaf, middle)
    assert "by certificate" in refused((model, bundle, Trust(keys=(key,))))
    del root


# Digests


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True), st.binary(max_size=50), min_size=1, max_size=6
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_digests_are_those_of_hashlib_in_the_order_of_parts(tmp_path_factory, files):
    import hashlib

    folder = tmp_path_factory.mktemp("tree")
    kept = {}
    for name, data in files.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        except OSError:
            continue  # a file stands where a folder would have to
        kept[name] = data
    found = digests(members(str(folder)))
    assert [one.name for one in found] == sorted(kept, key=lambda name: name.split("/"))
    assert all(one.sha256 == hashlib.sha256(kept[one.name]).hexdigest() for one in found)


def test_the_cache_is_not_fooled_by_a_date(tmp_path):
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2 << 20))
    cache = DigestCache(str(tmp_path / "cache"))
    before = digests(members(str(large)), cache=cache)
    status = large.stat()
    large.write_bytes(b"\x01" + bytes((2 << 20) - 1))
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests(members(str(large)), cache=cache) != before


def test_the_cache_remembers(tmp_path, monkeypatch):
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2 << 20))
    cache = DigestCache(str(tmp_path / "cache"))
    before = digests(members(str(large)), cache=cache)
    cache.save()
    from weighbridge.provenance import digest

    monkeypatch.setattr(digest, "_read", lambda *_: pytest.fail("it was read again"))
    assert digests(members(str(large)), cache=DigestCache(str(tmp_path / "cache"))) == before


def test_a_missing_folder_says_so(tmp_path, key):
    with pytest.raises(SourceError):
        signature.verify(
            str(tmp_path / "absent"), str(tmp_path / "absent.sig"), Trust(keys=(key,)), now=datetime.now(UTC)
        )


# The tool of the specification


def their(*arguments):
    command = [str(Path(sys.executable).with_name("model_signing")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("curve", ["p256", "p384"])
def test_model_signing_accepts_our_signature(tmp_path, curve):
    keys.new(str(tmp_path / "k"), curve=curve, now=NOW)
    folder = tmp_path / "model"
    for name in ("b.bin", "a/z.bin", "a.bin", "a/b/c.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    bundle = make(folder, tmp_path / "k", tmp_path / "m.sig")
    plain = tmp_path / "plain.pub"
    plain.write_bytes(keys.pem_of(keys.load_public(str(tmp_path / "k.pub")).key))
    done = their("verify", "key", folder, "--signature", bundle, "--public_key", plain)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "a.bin").write_bytes(b"x")
    assert their("verify", "key", folder, "--signature", bundle, "--public_key", plain).returncode != 0


def test_we_accept_the_signature_of_model_signing(tmp_path, key):
    folder = tmp_path / "model"
    for name in ("b.bin", "a/z.bin", "a.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    done = their("sign", "key", folder, "--private_key", tmp_path / "release", "--signature", tmp_path / "t.sig")
    assert done.returncode == 0, done.stdout + done.stderr
    whole = (folder, tmp_path / "t.sig", Trust(keys=(key,)))
    assert verify(whole).files == 3
    (folder / ".git").mkdir()
    (folder / ".git/config").write_bytes(b"x")
    assert refused(whole) == ".git/config is not signed"
