"""Knows how what provenance says becomes findings and proofs of a report."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.policy import Policy, decide
from weighbridge.provenance.check import examine
from weighbridge.rules import ruleset_version
from weighbridge.rules.finding import finding
from weighbridge.schema import (
    Artifact,
    Coverage,
    Finding,
    Location,
    Proof,
    Report,
    Severity,
    SourceError,
    UsageError,
    VerificationFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from weighbridge.detect.patterns import Pattern
    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.wanted import Wanted
    from weighbridge.schema import Comparison, Complaint, Fact


def origin(
    path: str, wanted: Wanted, now: datetime, cache: DigestCache | None = None
) -> tuple[list[Proof], list[Finding]]:
    """What speaks for an artifact, and findings for what speaks against it. Raises UsageError, SourceError."""
    proofs, complaints = examine(path, wanted, now, cache)
    required = bool(wanted.require)
    return proofs, list(as_findings(path, complaints, required=required))


def feed_patterns(wanted: Wanted) -> tuple[Pattern, ...]:
    """The rules of a feed, which have to compile here; none of a feed that does not hold, which `origin` tells.

    Raises UsageError where a rule does not compile.
    """
    from weighbridge.detect.patterns import Pattern, checked  # noqa: PLC0415  # few runs have a feed
    from weighbridge.provenance import feed, keys  # noqa: PLC0415

    try:
        known = feed.load(wanted.feed, keys.load_public(wanted.feed_key), datetime.now(UTC))
    except (VerificationFailed, SourceError, UsageError):
        return ()
    return checked(Pattern(f"feed, edition {known.number}: {one.reason}", one.value) for one in known.rules())


def as_findings(path: str, complaints: Iterable[Complaint], *, required: bool = False) -> Iterable[Finding]:
    """Complaints as findings at their members. What a policy requires and is not there weighs high."""
    for one in complaints:
        place = f"{path.rstrip('/')}/{one.member}" if one.member and os.path.isdir(path) else path
        absent = required and one.rule in {"PRV-001", "PRV-011"}
        yield finding(
            one.rule,
            Location(path=(place,)),
            f"{one.member} {one.message}".strip(),
            severity=Severity.INFO if one.weak else Severity.HIGH if absent else None,
        )


def judged(
    name: str,
    findings: Iterable[Finding],
    *,
    size: int = 0,
    files: int = 1,
    proofs: Sequence[Proof] = (),
    coverage: Sequence[Coverage] = (),
    facts: Sequence[Fact] = (),
    comparison: Comparison | None = None,
    policy: Policy | None = None,
) -> Report:
    """A report about an artifact whose content was not scanned here, with the verdict of the policy."""
    chosen = policy or Policy()
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings

    report = Report(
        artifact=Artifact(name=name, size=size, files=files),
        findings=tuple(sorted(dict.fromkeys(findings), key=Finding.sort_key)),
        coverage=tuple(coverage),
        facts=tuple(facts),
        proofs=tuple(proofs),
        comparison=comparison,
        verdict=chosen.pending(),
        tool=f"weighbridge {__version__}",
        rules=ruleset_version(),
    )
    return decide(report, chosen)
