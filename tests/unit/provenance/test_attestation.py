"""Attestations: real ones of GitHub, PyPI and Google verify offline, our own go round, and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.lineage import key, model, scan_result, slsa
from weighbridge.provenance import attestation, bundle, predicates, signature
from weighbridge.provenance.bundle import Trust
from weighbridge.provenance.check import examine
from weighbridge.provenance.wanted import Wanted
from weighbridge.schema import UsageError, VerificationFailed, WeighbridgeError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
REAL = Path(__file__).parents[2] / "fixtures/attestations"
GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19"
WHEEL = "pypi_attestations-0.0.19.tar.gz"


def real(name, *files, **wanted):
    asked = Wanted(
        **{"identity": WORKFLOW, "issuer": GITHUB, **wanted}, attestations=tuple(str(REAL / f) for f in files)
    )
    return examine(str(REAL / name) if isinstance(name, str) else str(name), asked, NOW)


def test_what_the_package_index_serves_verifies_offline():
    proofs, complaints = real(WHEEL, f"{WHEEL}.provenance")
    assert not complaints
    assert [(proof.kind, proof.by) for proof in proofs] == [("publish", f"{WORKFLOW} ({GITHUB})")]


def test_build_provenance_is_read_as_facts():
    proofs, complaints = real(WHEEL, f"{WHEEL}.slsa.attestation", require=("slsa",), builder=WORKFLOW)
    assert not complaints
    assert "git+https://github.com/trailofbits/pypi-attestations@refs/tags/v0.0.19" in proofs[0].what


def test_another_builder_is_refused():
    proofs, complaints = real(WHEEL, f"{WHEEL}.slsa.attestation", builder="https://builder.example")
    assert not proofs
    assert [(one.rule, "not by https://builder.example" in one.message) for one in complaints] == [("PRV-008", True)]


def test_a_service_account_verifies_by_its_own_issuer():
    name = "gcb_attestation_test-0.0.0.tar.gz"
    account = "919436158236-compute@developer.gserviceaccount.com"
    proofs, complaints = real(name, f"{name}.provenance", identity=account, issuer="https://accounts.google.com")
    assert not complaints
    assert len(proofs) == 1


@pytest.mark.parametrize(
    ("wanted", "rule", "message"),
    [
        ({"identity": "https://github.com/stranger/x"}, "PRV-003", "and not by https://github.com/stranger/x"),
        ({"issuer": "https://gitlab.com"}, "PRV-003", "issuer"),
    ],
)
def test_another_identity_is_refused(wanted, rule, message):
    proofs, complaints = real(WHEEL, f"{WHEEL}.provenance", **wanted)
    assert not proofs
    assert [(one.rule, message in one.message.replace("Issuer", "issuer")) for one in complaints] == [(rule, True)]


def test_a_keyless_bundle_needs_to_be_told_whose_it_has_to_be(tmp_path):
    made, _ = key(tmp_path)
    with pytest.raises(VerificationFailed, match="keyless"):
        attestation.read(str(REAL / f"{WHEEL}.slsa.attestation"), Trust(keys=(made,)), NOW)


def test_an_artifact_that_was_changed_is_refused(tmp_path):
    shutil.copy(REAL / WHEEL, tmp_path)
    with (tmp_path / WHEEL).open("ab") as file:
        file.write(b"x")
    proofs, complaints = real(tmp_path / WHEEL, f"{WHEEL}.provenance")
    assert not proofs
    assert [(one.rule, one.member) for one in complaints] == [("PRV-008", WHEEL)]


@pytest.mark.parametrize("part", ["statement", "signature", "certificate", "inclusion"])
def test_a_bundle_that_was_changed_is_refused(tmp_path, part):
    table = json.loads((REAL / f"{WHEEL}.slsa.attestation").read_text())
    entry = table["verification_material"]["transparency_entries"][0]
    if part == "certificate":
        other = json.loads((REAL / f"{WHEEL}.provenance").read_text())["attestation_bundles"][0]["attestations"][0]
        table["verification_material"]["certificate"] = other["verification_material"]["certificate"]
    elif part == "inclusion":
        entry["inclusionProof"]["rootHash"] = entry["inclusionProof"]["hashes"][0]
    else:
        text = table["envelope"][part]
        table["envelope"][part] = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    (tmp_path / "a.att").write_text(json.dumps(table))
    trust = Trust(identity=WORKFLOW, issuer=GITHUB)
    with pytest.raises(VerificationFailed):
        attestation.read(str(tmp_path / "a.att"), trust, NOW)


def test_the_extra_names_itself_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sigstore.models", None)
    with pytest.raises(WeighbridgeError) as refusal:
        attestation.read(str(REAL / f"{WHEEL}.slsa.attestation"), Trust(identity=WORKFLOW, issuer=GITHUB), NOW)
    assert "weighbridge[keyless]" in refusal.value.hint


# Our own


PREDICATES = {
    "scan": scan_result(),
    "test": {"tool": "t", "verdict": "no evidence", "testedAt": "2026-06-01", "tests": [{"name": "a", "outcome": "x"}]},
    "approval": {"by": "ann", "approvedAt": "2026-06-01", "reason": "looked at it", "scopes": ["prod"]},
    "slsa": slsa(),
    "vsa": predicates.summary(tool="w", now="n", resource="r", policy="p", passed=True, levels=("A",)),
}


def made(folder, kind, predicate=None):
    path, (public, private) = model(folder), key(folder)
    target = folder / "a.att"
    target.write_bytes(attestation.attest(str(path), predicates.NAMES[kind], predicate or PREDICATES[kind], private))
    return path, target, Trust(keys=(public,))


def verified(path, target, trust, **more):
    return attestation.verify(str(path), attestation.read(str(target), trust, NOW), now=NOW, **more)


@pytest.mark.parametrize("kind", PREDICATES)
def test_each_kind_goes_round(tmp_path, kind):
    proofs = verified(*made(tmp_path, kind))
    assert [(proof.kind, proof.files) for proof in proofs] == [(kind, 2)]
    assert proofs[0].what


@pytest.mark.parametrize("kind", PREDICATES)
def test_a_predicate_that_lacks_something_is_refused(tmp_path, kind):
    first = next(iter(PREDICATES[kind]))
    with pytest.raises(VerificationFailed, match="not complete"):
        verified(*made(tmp_path, kind, {name: value for name, value in PREDICATES[kind].items() if name != first}))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("scan", {"verdict": "block"}, "says block"),
        ("test", {"verdict": "reject"}, "says reject"),
        ("vsa", {"verificationResult": "FAILED"}, "says FAILED"),
        ("approval", {"expires": "2026-05-31"}, "ended on 2026-05-31"),
        ("slsa", {"runDetails": {"builder": {"id": ""}}}, "names no builder"),
    ],
)
def test_what_an_attestation_says_against_the_artifact_counts(tmp_path, kind, change, message):
    with pytest.raises(VerificationFailed, match=message):
        verified(*made(tmp_path, kind, {**PREDICATES[kind], **change}))


def test_an_approval_holds_on_its_last_day(tmp_path):
    assert verified(*made(tmp_path, "approval", {**PREDICATES["approval"], "expires": "2026-06-01"}))


@pytest.mark.parametrize(
    ("change", "member"),
    [
        (lambda path: (path / "config.json").write_bytes(b"[]"), "config.json"),
        (lambda path: (path / "run.py").write_bytes(b"x"), "run.py"),
        (lambda path: (path / "config.json").unlink(), "config.json"),
        (lambda path: (path / "config.json").rename(path / "other.json"), "other.json"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, change, member):
    path, target, trust = made(tmp_path, "scan")
    change(path)
    with pytest.raises(VerificationFailed) as refusal:
        verified(path, target, trust)
    assert member in refusal.value.message


def test_a_model_signature_is_no_attestation_of_a_scan(tmp_path):
    path, (public, private) = model(tmp_path), key(tmp_path)
    output = tmp_path / "model.sig"
    output.write_bytes(signature.sign(str(path), private, now=NOW, output=str(output)))
    asked = Wanted(keys=(public.name,), attestations=(str(output),), require=("scan",))
    assert "PRV-001" in {one.rule for one in examine(str(path), asked, NOW)[1]}


def test_an_attestation_is_no_model_signature(tmp_path):
    path, target, trust = made(tmp_path, "scan")
    with pytest.raises(VerificationFailed) as refusal:
        signature.verify(str(path), str(target), trust, now=NOW)
    assert refusal.value.complaints[0].rule == "PRV-009"


def test_several_in_one_file_are_all_held(tmp_path):
    path, target, trust = made(tmp_path, "scan")
    one = target.read_bytes()
    target.write_bytes(one + b"\n" + one + b"\n")
    assert len(verified(path, target, trust)) == 2


def test_weak_digests_alone_bind_nothing(tmp_path):
    path, (public, private) = model(tmp_path), key(tmp_path)
    statement = json.loads(attestation.statement([], predicates.SCAN, scan_result()))
    statement["subject"] = [{"name": "config.json", "digest": {"md5": "0" * 32}}]
    target = tmp_path / "a.att"
    target.write_bytes(bundle.seal(json.dumps(statement).encode(), bundle.IN_TOTO, private))
    with pytest.raises(VerificationFailed) as refusal:
        verified(path, target, Trust(keys=(public,)))
    assert refusal.value.complaints[0].rule == "PRV-005"


def test_nothing_is_attested_of_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        attestation.attest(str(tmp_path / "empty"), predicates.SCAN, scan_result(), key(tmp_path)[1])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 5000), value=st.integers(0, 255), cut=st.booleans())
def test_any_change_of_a_bundle_is_refused(tmp_path_factory, at, value, cut):
    if not hasattr(test_any_change_of_a_bundle_is_refused, "made"):
        test_any_change_of_a_bundle_is_refused.made = made(tmp_path_factory.mktemp("a"), "approval")
    path, target, trust = test_any_change_of_a_bundle_is_refused.made
    good = target.read_bytes()
    at %= len(good)
    bad = good[:at] if cut else good[:at] + bytes([value]) + good[at + 1 :]
    other = target.with_name("changed.att")
    other.write_bytes(bad)
    try:
        proofs = verified(path, other, trust)
    except VerificationFailed as refusal:
        assert refusal.message
    else:
        # A byte may be one that nothing depends on, such as white space; what is signed is the same then.
        assert proofs == verified(path, target, trust)


def test_what_a_code_host_gives_for_download_is_lines_of_bundles(tmp_path):
    table = json.loads((REAL / f"{WHEEL}.slsa.attestation").read_text())
    material = table["verification_material"]
    line = json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"certificate": {"rawBytes": material["certificate"]}, "tlogEntries": material["transparency_entries"]},
        "dsseEnvelope": {
            "payload": table["envelope"]["statement"], "payloadType": bundle.IN_TOTO,
            "signatures": [{"sig": table["envelope"]["signature"]}],
        },
    })  # fmt: skip
    (tmp_path / "a.jsonl").write_text(f"{line}\n{line}\n")
    asked = Wanted(identity=WORKFLOW, issuer=GITHUB, attestations=(str(tmp_path / "a.jsonl"),), require=("slsa",))
    proofs, complaints = examine(str(REAL / WHEEL), asked, NOW)
    assert not complaints
    assert [proof.kind for proof in proofs] == ["slsa", "slsa"]
