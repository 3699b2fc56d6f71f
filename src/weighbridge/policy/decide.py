"""Knows how a report becomes a verdict. Pure: the same report and policy give the same verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from weighbridge.schema import Finding, Outcome, Report, Status, Verdict, Waived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.policy.language import Policy, Statement, Waiver

_ORDER = (Outcome.BLOCK, Outcome.REVIEW, Outcome.ADMIT)


def decide(report: Report, policy: Policy) -> Report:
    """The report with the verdict of `policy`. Block wins over review, review over admit."""
    open_findings, covered = _split(report.findings, policy)
    for outcome in _ORDER:
        verdict = _by_statement(outcome, open_findings, policy, covered) or _by_coverage(
            outcome, report, policy, covered
        )
        if verdict is not None:
            return msgspec.structs.replace(report, verdict=verdict)
    admitted = Verdict(
        outcome=Outcome.ADMIT, decided_by="nothing stands against it", because=_nothing(report), policy=policy.name, waived=covered,
    )  # fmt: skip
    return msgspec.structs.replace(report, verdict=admitted)


def _nothing(report: Report) -> str:
    return "everything was inspected" if report.complete else "what was inspected gave no reason to stop it"


def waived(findings: Iterable[Finding], policy: Policy) -> tuple[Waived, ...]:
    """What the waivers of a policy cover."""
    return _split(findings, policy)[1]


def _split(findings: Iterable[Finding], policy: Policy) -> tuple[list[Finding], tuple[Waived, ...]]:
    still_open, covered = [], []
    for finding in findings:
        waiver = next((w for w in policy.waivers if w.covers(finding, policy.today)), None)
        if waiver is None:
            still_open.append(finding)
        else:
            covered.append(_record(finding, waiver))
    return still_open, tuple(covered)


def _record(finding: Finding, waiver: Waiver) -> Waived:
    return Waived(
        rule=finding.rule,
        member=finding.location.member,
        reason=waiver.reason,
        owner=waiver.owner,
        expires=waiver.expires.isoformat(),
    )


def _by_statement(
    outcome: Outcome, findings: list[Finding], policy: Policy, covered: tuple[Waived, ...]
) -> Verdict | None:
    for statement in policy.statements:
        if statement.outcome is not outcome:
            continue
        held = next((finding for finding in findings if statement.holds(finding)), None)
        if held is not None:
            return _verdict(outcome, statement, held, policy, covered)
    return None


def _verdict(
    outcome: Outcome, statement: Statement, held: Finding, policy: Policy, covered: tuple[Waived, ...]
) -> Verdict:
    because = f"{held.rule} in {held.location.member}: {held.message}"
    return Verdict(outcome=outcome, decided_by=statement.name, because=because, policy=policy.name, waived=covered)


def _by_coverage(outcome: Outcome, report: Report, policy: Policy, covered: tuple[Waived, ...]) -> Verdict | None:
    if policy.incomplete is not outcome or outcome is Outcome.ADMIT:
        return None
    if not report.artifact.files:
        because = "there was nothing to inspect"
        return Verdict(outcome=outcome, decided_by="everything is inspected", because=because, policy=policy.name)
    missing = next((entry for entry in report.coverage if entry.status is not Status.INSPECTED), None)
    if missing is None:
        return None
    because = f"{missing.member}: {missing.status.value}, {missing.detail or missing.reason.value}"
    return Verdict(
        outcome=outcome, decided_by="everything is inspected", because=because, policy=policy.name, waived=covered
    )
