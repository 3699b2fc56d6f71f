"""Knows attestations: signed statements about digests, made for an artifact and held against one.

Source: in-toto Statement v1, inside bundles as `bundle` knows them.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.provenance import bundle, dsse, keys, predicates
from weighbridge.provenance.digest import digests, members
from weighbridge.provenance.predicates import (
    Approval,
    ConversionResult,
    Decision,
    Predicate,
    ScanResult,
    SlsaProvenance,
    Summary,
    TestResult,
)
from weighbridge.provenance.signature import refuse
from weighbridge.provenance.statement import STATEMENT
from weighbridge.schema import Complaint, Proof, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography import x509

    from weighbridge.provenance.bundle import Trust
    from weighbridge.provenance.digest import DigestCache, FileDigest
    from weighbridge.provenance.keys import SigningKey

_STRONG: Final = ("sha256", "sha384", "sha512")
_HUB: Final = re.compile(
    r"(?:hf://|pkg:huggingface/|https://huggingface\.co/)(datasets/)?([\w.-]{1,96}/[\w.-]{1,96}?)(?:@.*|/.*)?\Z"
)
_ADMITTED: Final = frozenset({"admit"})
_TESTED: Final = frozenset({"no evidence"})


class Attestation(Struct, frozen=True, kw_only=True):
    """One attestation that is authentic: its type, its subjects with digests, what it states, and whose it is."""

    kind: str
    subjects: tuple[tuple[str, dict[str, str]], ...]
    predicate: Predicate
    by: str
    key: str


def statement(found: Sequence[FileDigest], kind: str, predicate: dict[str, Any]) -> bytes:
    """The statement about files, ready to be signed."""
    table = {
        "_type": STATEMENT,
        "subject": [{"name": one.name, "digest": {"sha256": one.sha256}} for one in found],
        "predicateType": kind,
        "predicate": predicate,
    }
    return json.dumps(table, separators=(",", ":")).encode()


def attest(
    path: str,
    kind: str,
    predicate: dict[str, Any],
    private: SigningKey,
    *,
    chain: Sequence[x509.Certificate] = (),
    without: Sequence[str] = (),
) -> bytes:
    """A bundle that states `predicate` about every file of a tree."""
    found = digests(members(path, without=[os.path.realpath(name) for name in without]))
    if not found:
        raise UsageError(f"{path}: there are no files to attest", hint="give a folder with files, or a file")
    return bundle.seal(statement(found, kind, predicate), bundle.IN_TOTO, private, chain)


def read(path: str, trust: Trust, now: datetime) -> list[Attestation]:
    """The attestations of a file: one bundle, JSON Lines of them, or a provenance object of a package index.

    Raises VerificationFailed for the first that is not authentic.
    """
    return [authentic(one, trust, now) for one in _bundles(keys.read_bundle(path))]


def claimed(data: bytes) -> list[frozenset[str]]:
    """The SHA-256 that each attestation of a file says it is about, whoever signed it.

    Raises VerificationFailed for what is no attestation.
    """
    return [_claimed(bundle.statement_of(one)) for one in _bundles(data)]


def _claimed(payload: bytes) -> frozenset[str]:
    subjects = dsse.strict_json(payload, "the signed statement").get("subject")
    named = [one.get("digest") for one in subjects if isinstance(one, dict)] if isinstance(subjects, list) else []
    return frozenset(str(digest.get("sha256", "")).lower() for digest in named if isinstance(digest, dict))


def _bundles(data: bytes) -> Iterator[bytes]:
    """Source: PEP 740 (provenance object); `gh attestation download` writes JSON Lines."""
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        yield from lines
        return
    table = dsse.strict_json(data, "the attestation")
    groups = table.get("attestation_bundles")
    if not isinstance(groups, list):
        yield data
        return
    for group in groups:
        for one in group.get("attestations", ()) if isinstance(group, dict) else ():
            yield json.dumps(one).encode()


def authentic(data: bytes, trust: Trust, now: datetime) -> Attestation:
    """What one bundle attests. Raises VerificationFailed where it is not authentic."""
    payload, key = bundle.authentic(data, trust, now)
    table = dsse.strict_json(payload, "the signed statement")
    kind, subjects = table.get("predicateType"), table.get("subject")
    if table.get("_type") != STATEMENT or not isinstance(kind, str) or not isinstance(subjects, list) or not subjects:
        raise VerificationFailed(
            "the signed statement is no in-toto statement of version 1", hint="ask who made it", rule="PRV-009"
        )
    found = []
    for one in subjects:
        name = one.get("name") if isinstance(one, dict) else None
        digest = one.get("digest") if isinstance(one, dict) else None
        if not isinstance(digest, dict) or not all(isinstance(value, str) for value in digest.values()):
            raise VerificationFailed("a subject has no digest", hint="ask who made it", rule="PRV-009")
        found.append((str(name or ""), {str(k): v for k, v in digest.items()}))
    return Attestation(
        kind=kind,
        subjects=tuple(found),
        predicate=predicates.read(kind, table.get("predicate")),
        by=key.name,
        key=key.fingerprint,
    )


def verify(
    path: str,
    found: Sequence[Attestation],
    *,
    now: datetime,
    builder: str = "",
    cache: DigestCache | None = None,
    without: Sequence[str] = (),
) -> list[Proof]:
    """Hold a tree against attestations: each must be about exactly these files, and say something in their favour.

    Raises VerificationFailed with every complaint.
    """
    tree = digests(members(path, without=[os.path.realpath(name) for name in without]), cache=cache)
    proofs, complaints = [], []
    alone = os.path.isfile(path)
    for one in found:
        against = [*_subjects(one, tree, alone=alone), *objections(one, now, builder)]
        complaints += against
        size = sum(file.size for file in tree)
        if not against:
            proofs.append(
                Proof(kind=_short(one.kind), by=one.by, key=one.key, files=len(tree), size=size, what=described(one))
            )
    refuse(complaints)
    return proofs


def _subjects(one: Attestation, tree: Sequence[FileDigest], *, alone: bool) -> Iterator[Complaint]:
    """Files that the attestation is not about. A file that stands `alone` may be one of several, under any name."""
    strong = {digest["sha256"]: name for name, digest in one.subjects if "sha256" in digest}
    if not strong:
        weak = ", ".join(sorted({kind for _, digest in one.subjects for kind in digest}))
        rule = "PRV-008" if any(kind in weak for kind in _STRONG) else "PRV-005"
        yield Complaint(rule, "", f"the attestation {one.kind} names digests of the kind {weak or 'none'} only")
        return
    for file in tree:
        if file.sha256 not in strong:
            yield Complaint("PRV-008", file.name, f"is not what the attestation {_short(one.kind)} is about")
        elif not alone and strong[file.sha256] != file.name and file.name not in dict(one.subjects):
            yield Complaint("PRV-008", file.name, f"is attested as {strong[file.sha256]}")
    present = {file.sha256 for file in tree}
    if not alone:
        for digest, name in strong.items():
            if digest not in present:
                yield Complaint("PRV-008", name, f"is attested by {_short(one.kind)} and is not here")


def objections(one: Attestation, now: datetime, builder: str = "") -> Iterator[Complaint]:
    """What an attestation itself says against the artifact."""
    said = one.predicate
    if isinstance(said, ScanResult) and said.verdict not in _ADMITTED:
        yield Complaint("PRV-008", "", f"the signed scan result says {said.verdict} by {said.decided_by!r}")
    elif isinstance(said, TestResult) and said.verdict not in _TESTED:
        yield Complaint("PRV-008", "", f"the signed test result says {said.verdict}")
    elif isinstance(said, Summary) and said.result != "PASSED":
        yield Complaint("PRV-008", "", f"the verification summary of {said.verifier} says {said.result}")
    elif isinstance(said, Decision):
        yield Complaint("PRV-008", "", f"{said.by} decided: {said.outcome}, because {said.reason}")
    elif isinstance(said, Approval) and said.expires and f"{now:%Y-%m-%d}" > said.expires[:10]:
        yield Complaint("PRV-006", "", f"the approval by {said.by} ended on {said.expires}")
    elif isinstance(said, SlsaProvenance):
        if builder and said.builder != builder:
            yield Complaint("PRV-008", "", f"it was built by {said.builder or 'nobody named'}, not by {builder}")
        yield from _evidence(said)


def _evidence(said: SlsaProvenance) -> Iterator[Complaint]:
    """What is missing to follow a job: who ran it, and the digests of what went in."""
    if not said.builder:
        yield Complaint("ADP-016", "", "the build provenance names no builder")
    if not said.materials:
        yield Complaint("ADP-016", "", "the build provenance names nothing that went in")
    for material in said.materials:
        if not any(kind in material.digest for kind in (*_STRONG, "gitCommit", "sha1")):
            name = material.name or material.uri or "a material"
            yield Complaint("ADP-016", "", f"the build provenance names {name} without a digest")


def described(one: Attestation) -> str:
    """What an attestation states, in one line."""
    said = one.predicate
    if isinstance(said, ScanResult):
        whole = "" if said.complete else ", incomplete"
        return f"scan result: {said.verdict} by {said.policy!r}, rules {said.rules}{whole}, {said.inspected_at}"
    if isinstance(said, TestResult):
        return f"test result: {said.verdict}, {len(said.tests)} tests, {said.tested_at}"
    if isinstance(said, Approval):
        scopes = f" for {', '.join(said.scopes)}" if said.scopes else ""
        return f"approved by {said.by}{scopes}{f' until {said.expires}' if said.expires else ''}: {said.reason}"
    if isinstance(said, Decision):
        return f"{said.outcome} by {said.by}: {said.reason}"
    if isinstance(said, SlsaProvenance):
        parts = ", ".join(material.name or material.uri for material in said.materials[:4])
        return f"built by {said.builder} ({said.build_type}) from {parts}"
    if isinstance(said, ConversionResult):
        sources = ", ".join(f"{file.source} (sha256 {file.source_sha256[:16]}…)" for file in said.files[:4])
        return f"converted from {sources} by {said.tool}, {said.converted_at}"
    if isinstance(said, Summary):
        return f"verified by {said.verifier}: {said.result}, {', '.join(said.levels)}"
    return _short(one.kind)


def went_in(one: Attestation) -> Iterator[tuple[str, str]]:
    """Base models and datasets among the materials of a build: (base model or dataset, name)."""
    for material in one.predicate.materials if isinstance(one.predicate, SlsaProvenance) else ():
        match = _HUB.match(material.uri)
        if match is not None:
            yield "dataset" if match[1] else "base model", match[2]


def _short(kind: str) -> str:
    return next((name for name, uri in predicates.NAMES.items() if uri == kind), kind)
