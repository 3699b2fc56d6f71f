"""Knows what a rule is: one catalogued attack or weakness, with its id for ever."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """How bad it is when a rule holds on an artifact of unknown origin."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst, 4 for the mildest."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Mode(StrEnum):
    """How the evidence comes about."""

    DETERMINISTIC = "deterministic"
    HEURISTIC = "heuristic"


class Rule(Struct, frozen=True, kw_only=True):
    """One catalogued attack.

    `id` is one string everywhere: docs anchor, test folder, SARIF rule id, waiver key.
    `references` are edition-qualified framework ids, each known to `rules.references`.
    """

    id: str
    name: str
    severity: Severity
    mode: Mode
    surface: str
    effects: str
    what: str
    why: str
    evidence: str
    fix: str
    references: tuple[str, ...]
