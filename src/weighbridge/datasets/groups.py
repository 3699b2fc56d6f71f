"""Knows what a test of data says: a group of rows that belong together, with a reason that a person can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


def follow(rows: list[int], following: Sequence[int], first: int, most: int) -> None:
    """Put rows of the part that follows behind those so far, while there are fewer than `most`; its first row has the number `first`."""
    rows.extend(first + row for row in following[: most - len(rows)])


class WithRows(Protocol):
    """Anything that is about rows."""

    @property
    def rows(self) -> Array:
        """Their numbers, each once."""
        ...


Found = TypeVar("Found", bound=WithRows)


def merged(
    found: Iterable[Found], alike: Callable[[Found, Found], bool] = lambda _one, _other: True
) -> list[list[Found]]:
    """What is about the same rows together: half of the fewer rows are in both. The first of each list has its rows."""
    groups: list[list[Found]] = []
    for one in found:
        for members in groups:
            first = members[0]
            same = len(numpy.intersect1d(one.rows, first.rows, assume_unique=True)) if alike(one, first) else -1
            if same >= 0.5 * min(len(one.rows), len(first.rows)):
                members.append(one)
                break
        else:
            groups.append([one])
    return groups
