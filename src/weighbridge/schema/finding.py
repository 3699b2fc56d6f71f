"""Knows what a finding is: a rule that holds at a place, with evidence a person can check."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.schema.location import Location
from weighbridge.schema.rule import Severity


class Evidence(Struct, frozen=True, kw_only=True):
    """One line of evidence. `culprit` marks the line that the finding is about."""

    text: str
    offset: int | None = None
    culprit: bool = False


class Finding(Struct, frozen=True, kw_only=True):
    """A rule that holds at a place.

    `severity` is the rule's, unless the evidence at hand makes it milder or worse.
    `message` is one sentence without a full stop.
    """

    rule: str
    severity: Severity
    message: str
    location: Location
    evidence: tuple[Evidence, ...] = ()
    why: str = ""
    fix: str = ""
    references: tuple[str, ...] = ()

    def sort_key(self) -> tuple[object, ...]:
        """Worst first, then by place; total, so that reports are reproducible."""
        where = self.location
        return (self.severity.rank, where.path, where.offset or 0, where.opcode or 0, self.rule, self.message)
