"""Knows how sizes, counts and severities are put into words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from weighbridge.schema import Reason, Severity, Status
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.schema import Report

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(size: float) -> str:
    """`812 MB`; decimal units, three digits."""
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.3g} {_UNITS[unit]}"


def severity_text(report: Report) -> str:
    """`1 critical, 2 medium`, or `no findings`."""
    counts = Counter(finding.severity for finding in report.findings)
    return ", ".join(f"{counts[s]} {s.value}" for s in Severity if counts[s]) or "no findings"


def coverage_text(report: Report) -> str:
    """`14 of 15 members inspected, 1 skipped (encrypted)`."""
    entries = report.coverage
    done = sum(entry.status is Status.INSPECTED for entry in entries)
    text = f"{done} of {plural(len(entries), 'member')} inspected"
    for status in (Status.SKIPPED, Status.TRUNCATED):
        reasons = Counter(entry.reason for entry in entries if entry.status is status)
        if reasons:
            named = ", ".join(
                reason.value or Reason.UNSUPPORTED.value for reason in sorted(reasons, key=lambda r: r.value)
            )
            text += f", {sum(reasons.values())} {status.value} ({named})"
    return text


def verdict_text(report: Report) -> str:
    """`BLOCK by "no code in weights"`."""
    return f'{report.verdict.outcome.value.upper()} by "{report.verdict.decided_by}"'


def summary(report: Report, seconds: float | None = None) -> str:
    """The last line of every report."""
    took = f" in {seconds:.2f} s" if seconds is not None else ""
    received = f", {size_text(report.artifact.received)} received" if report.artifact.received else ""
    parts = (
        severity_text(report),
        coverage_text(report),
        f"{size_text(report.artifact.size)}{took}{received}",
        verdict_text(report),
    )
    return " · ".join(parts)
