"""Knows what attestations state: our own frozen types, and those of SLSA as facts.

Sources: in-toto Attestation 1.0 (statement, TypeURI); SLSA provenance v1 and verification summary v1 (slsa.dev/spec/v1.0);
PEP 740 publish attestation.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from weighbridge.schema import VerificationFailed

SCAN: Final = "https://weighbridge.dev/attestation/scan-result/v1"
TEST: Final = "https://weighbridge.dev/attestation/test-result/v1"
APPROVAL: Final = "https://weighbridge.dev/attestation/approval/v1"
DECISION: Final = "https://weighbridge.dev/attestation/decision/v1"
WAIVER: Final = "https://weighbridge.dev/attestation/waiver/v1"
CONVERSION: Final = "https://weighbridge.dev/attestation/conversion/v1"
DATASET: Final = "https://weighbridge.dev/attestation/dataset/v1"
BILL: Final = "https://cyclonedx.org/bom"
SLSA: Final = "https://slsa.dev/provenance/v1"
VSA: Final = "https://slsa.dev/verification_summary/v1"
PUBLISH: Final = "https://docs.pypi.org/attestations/publish/v1"
NAMES: Final = {
    "scan": SCAN,
    "test": TEST,
    "approval": APPROVAL,
    "decision": DECISION,
    "waiver": WAIVER,
    "conversion": CONVERSION,
    "dataset": DATASET,
    "bom": BILL,
    "slsa": SLSA,
    "vsa": VSA,
    "publish": PUBLISH,
}


class Stated(Struct, frozen=True, kw_only=True):
    """One finding of a scan, as far as an attestation repeats it."""

    rule: str
    severity: str
    member: str


class ScanResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an inspection came to: by which tool, rules and policy, how complete, and the digest of the whole report."""

    tool: str
    rules: str
    policy: str
    verdict: str
    decided_by: str
    complete: bool
    inspected_at: str
    report_sha256: str
    findings: tuple[Stated, ...] = ()


class Tested(Struct, frozen=True, kw_only=True, rename="camel"):
    """One behaviour test: its outcome, p-value (0 to 1) and measured power (0 to 1) where they are known."""

    name: str
    outcome: str
    p_value: float | None = None
    power: float | None = None


class TestResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the backdoor tests of a model came to. `verdict` is one of theirs, never the word clean."""

    tool: str
    verdict: str
    tested_at: str
    tests: tuple[Tested, ...] = ()


class Approval(Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody's decision to let an artifact in: for which environments, until when (a date; empty for no end), why.

    A registry also says of which `subject` (`model acme/net@commit`) and case, who asked, who agreed, and by which policy
    and report.
    """

    by: str
    approved_at: str
    reason: str
    scopes: tuple[str, ...] = ()
    expires: str = ""
    subject: str = ""
    case: int = 0
    requester: str = ""
    reviewers: tuple[str, ...] = ()
    policy: str = ""
    report_sha256: str = ""


class Decision(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a registry decided other than to let an artifact in: `outcome` is a state, such as rejected or revoked."""

    outcome: str
    by: str
    decided_at: str
    reason: str
    subject: str = ""
    case: int = 0
    policy: str = ""
    report_sha256: str = ""


class Waived(Struct, frozen=True, kw_only=True, rename="camel"):
    """A finding that somebody accepts in a set of files, until a date."""

    rule: str
    member: str
    reason: str
    owner: str
    expires: str
    granted_at: str
    case: int = 0


class Converted(Struct, frozen=True, kw_only=True, rename="camel"):
    """One file that was converted: what it was made from, with both SHA-256 digests, and what was not carried over."""

    output: str
    output_sha256: str
    source: str
    source_sha256: str
    format: str
    tensors: int
    aliases: dict[str, str] = {}
    refused: tuple[tuple[str, str], ...] = ()
    left: tuple[tuple[str, str], ...] = ()


class ConversionResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """How files were converted: nothing of the sources was executed, and every tensor is bit-identical."""

    tool: str
    converted_at: str
    files: tuple[Converted, ...]


class Shard(Struct, frozen=True, kw_only=True, rename="camel"):
    """One file of a data set: its bytes, SHA-256, how many rows it holds (-1: it is no table) and the names of its columns."""

    name: str
    size: int
    sha256: str
    rows: int = -1
    columns: tuple[str, ...] = ()


class DatasetManifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a data set is: its files in order, and the root of the Merkle tree (RFC 6962) over their names and digests."""

    tool: str
    made_at: str
    root: str
    rows: int
    shards: tuple[Shard, ...]


class Material(Struct, frozen=True, kw_only=True):
    """Something that went into a build: its address and digests by algorithm."""

    uri: str = ""
    name: str = ""
    digest: dict[str, str] = {}


class SlsaProvenance(Struct, frozen=True, kw_only=True):
    """SLSA provenance v1 as facts: who built what, of which materials, with which parameters."""

    builder: str
    build_type: str
    parameters: dict[str, Any]
    materials: tuple[Material, ...]
    invocation: str = ""


class Summary(Struct, frozen=True, kw_only=True):
    """An SLSA verification summary as facts."""

    verifier: str
    verified_at: str
    resource: str
    policy: str
    result: str
    levels: tuple[str, ...] = ()


Predicate: TypeAlias = (
    ScanResult
    | TestResult
    | Approval
    | Decision
    | ConversionResult
    | DatasetManifest
    | SlsaProvenance
    | Summary
    | dict[str, Any]
)


def read(kind: str, table: object) -> Predicate:
    """The predicate of a type that is known here, or its plain table. Raises VerificationFailed where it is incomplete."""
    own = {
        SCAN: ScanResult,
        TEST: TestResult,
        APPROVAL: Approval,
        DECISION: Decision,
        WAIVER: Waived,
        CONVERSION: ConversionResult,
        DATASET: DatasetManifest,
    }.get(kind)
    try:
        if own is not None:
            made: Predicate = msgspec.convert(table, own)
            return made
        if kind == SLSA:
            return _slsa(msgspec.convert(table, _Slsa))
        if kind == VSA:
            return _summary(msgspec.convert(table, _Vsa))
    except msgspec.ValidationError as error:
        raise VerificationFailed(
            f"the attestation {kind} is not complete: {error}", hint="ask who made it", rule="PRV-008"
        ) from error
    return table if isinstance(table, dict) else {}


class _Named(Struct):
    id: str = ""
    uri: str = ""


class _Definition(Struct, rename="camel"):
    build_type: str
    external_parameters: dict[str, Any] = {}
    resolved_dependencies: tuple[Material, ...] = ()


class _Run(Struct, rename="camel"):
    builder: _Named
    metadata: dict[str, Any] = {}


class _Slsa(Struct, rename="camel"):
    build_definition: _Definition
    run_details: _Run


class _Vsa(Struct, rename="camel"):
    verifier: _Named
    time_verified: str
    resource_uri: str
    policy: _Named
    verification_result: str
    verified_levels: tuple[str, ...] = ()


def _slsa(raw: _Slsa) -> SlsaProvenance:
    definition = raw.build_definition
    return SlsaProvenance(
        builder=raw.run_details.builder.id,
        build_type=definition.build_type,
        parameters=definition.external_parameters,
        materials=definition.resolved_dependencies,
        invocation=str(raw.run_details.metadata.get("invocationId", "")),
    )


def _summary(raw: _Vsa) -> Summary:
    return Summary(
        verifier=raw.verifier.id,
        verified_at=raw.time_verified,
        resource=raw.resource_uri,
        policy=raw.policy.uri,
        result=raw.verification_result,
        levels=raw.verified_levels,
    )


def summary(
    *, tool: str, now: str, resource: str, policy: str, passed: bool, levels: tuple[str, ...]
) -> dict[str, Any]:
    """The predicate of a verification summary."""
    return {
        "verifier": {"id": f"https://weighbridge.dev/verifier#{tool}"},
        "timeVerified": now,
        "resourceUri": resource,
        "policy": {"uri": policy},
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": list(levels) if passed else ["FAILED"],
        "slsaVersion": "1.0",
    }
