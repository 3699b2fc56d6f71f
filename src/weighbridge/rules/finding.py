"""Knows how a detector states a finding: the rule fills in what the evidence does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.rules import find_rule
from weighbridge.schema import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.schema import Location, Severity


def finding(
    rule: str,
    location: Location,
    message: str,
    *,
    evidence: Iterable[Evidence | str] = (),
    severity: Severity | None = None,
    why: str = "",
    fix: str = "",
) -> Finding:
    """A finding of `rule`, with the rule's severity, explanation and fix unless the evidence says otherwise."""
    known = find_rule(rule)
    return Finding(
        rule=rule,
        severity=severity or known.severity,
        message=message,
        location=location,
        evidence=tuple(Evidence(text=line) if isinstance(line, str) else line for line in evidence),
        why=why or known.why,
        fix=fix or known.fix,
        references=known.references,
    )
