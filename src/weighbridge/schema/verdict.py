"""Knows the three outcomes of a policy, and that each names what decided it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """What is to happen with the artifact."""

    ADMIT = "admit"
    REVIEW = "review"
    BLOCK = "block"


class Waived(Struct, frozen=True, kw_only=True):
    """A finding that a waiver covers: it stays in the report and does not decide."""

    rule: str
    member: str
    reason: str
    owner: str
    expires: str


class Verdict(Struct, frozen=True, kw_only=True):
    """An outcome, the policy statement that decided it, and what was waived on the way."""

    outcome: Outcome
    decided_by: str
    because: str
    policy: str
    waived: tuple[Waived, ...] = ()
