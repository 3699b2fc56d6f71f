"""Knows how a row of the catalogue becomes a rule."""

from __future__ import annotations

from weighbridge.rules.references import complete
from weighbridge.schema import Mode, Rule, Severity

CRITICAL, HIGH, MEDIUM, LOW, INFO = Severity
_HEURISTIC = "heuristic"


def rule(  # one row of the catalogue
    identifier: str,
    name: str,
    severity: Severity,
    effects: str,
    references: str,
    *,
    what: str,
    why: str,
    fix: str,
    evidence: str = "",
    heuristic: bool = False,
    surface: str = "models",
) -> Rule:
    """A rule with the references that its effects bring along. `references` are separated by blanks."""
    return Rule(
        id=identifier,
        name=name,
        severity=severity,
        mode=Mode.HEURISTIC if heuristic else Mode.DETERMINISTIC,
        surface=surface,
        effects=effects,
        what=what,
        why=why,
        evidence=evidence or "the place in the file, with the bytes or names that were read there",
        fix=fix,
        references=complete(effects, surface, tuple(references.split())),
    )
