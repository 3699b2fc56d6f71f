"""Knows what a test of data says: a group of rows that belong together, with a reason that a person can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from weighbridge.schema import Picture, Severity

Array = Any


class Group(Struct, frozen=True, kw_only=True):
    """Rows (numbers in the data set, from 0) that a rule holds for.

    `shown` are the rows to show first, `facts` lines of evidence with their numbers. `mark` is what the rows share, to be
    found again in their text. A group without rows is about the data set as a whole.
    """

    rule: str
    message: str
    rows: tuple[int, ...] = ()
    facts: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()
    mark: str = ""
    severity: Severity | None = None
    pictures: tuple[Picture, ...] = ()
    why: str = ""
    score: float = 0.0


class Outcome(Struct, frozen=True, kw_only=True):
    """What one test came to: its groups, or that it could not say anything and why."""

    test: str
    groups: tuple[Group, ...] = ()
    about: str = ""
    not_tested: str = ""


def array(values: Array) -> tuple[int, ...]:
    """Row numbers as a group holds them."""
    return tuple(int(value) for value in values)
