"""Knows what a comparison with another version gives away (WGT, and the ADP rules about jobs and bases)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.derivation import EMBEDDING, experts
from weighbridge.rules.finding import finding
from weighbridge.schema import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.schema import Change, Comparison, Finding

_SHOWN: Final = 8
_ROWS: Final = 64
_PART: Final = 0.1


def detect_comparison(found: Comparison, *, frozen: str = "", expected: str = "") -> Iterator[Finding]:
    """Findings at the newer version. `frozen` is a regular expression, `expected` what should have been done."""
    place = Location(path=(found.new,))
    if found.kind == "rank-one edit":
        lines = [_line(change) for change in found.changed]
        yield finding(
            "WGT-001",
            place,
            f"{len(lines)} of {len(lines) + len(found.same)} tensors changed, each in one direction",
            evidence=lines,
        )
    for change in found.changed:
        if EMBEDDING.search(change.name) and 0 < change.rows <= min(_ROWS, _PART * change.shape[0]):
            rows = ", ".join(map(str, change.moved))
            message = f"{change.rows} of {change.shape[0]} rows of {change.name} moved"
            yield finding("WGT-002", place, message, evidence=[f"rows {rows}", _line(change)])
    if found.kind == "unrelated weights":
        yield finding(
            "WGT-003",
            place,
            f"{len(found.same)} tensors are the same; {len(found.changed)} have nothing in common with those of {found.old}",
        )
    broken = [change for change in found.changed if change.broken]
    if broken:
        lines = [f"{change.name}: {change.broken} values" for change in broken[:_SHOWN]]
        yield finding("WGT-010", place, f"{_count(broken)} no longer made of numbers alone", evidence=lines)
    touched, every = experts(found)
    if touched and len(touched) <= max(1, every // 4):
        names = [change.name for change in found.changed]
        yield finding(
            "WGT-013", place, f"of {every} experts only {', '.join(map(str, touched))} changed", evidence=names[:_SHOWN]
        )
    yield from _job(found, place, frozen, expected)
    yield from _base(found, place)


def _job(found: Comparison, place: Location, frozen: str, expected: str) -> Iterator[Finding]:
    """More was done than was ordered."""
    touched = [change for change in found.changed if frozen and re.search(frozen, change.name)]
    names = [_line(change) for change in touched]
    gone = [f"{name}: {what}" for what, group in (("removed", found.removed), ("another shape", found.reshaped), ("added", found.added)) for name in group if frozen and re.search(frozen, name)]  # fmt: skip
    if names or gone:
        yield finding(
            "ADP-015",
            place,
            f"{_count([*names, *gone])} not as before, and had to be",
            evidence=[*names, *gone][:_SHOWN],
        )
    if expected and found.kind and found.kind != expected:
        odd = [_line(change) for change in found.changed if change.name in found.odd]
        yield finding("ADP-015", place, f"{expected} was ordered, and this is {found.kind}", evidence=odd[:_SHOWN])
    elif found.odd and not names:
        odd = [_line(change) for change in found.changed if change.name in found.odd]
        yield finding(
            "ADP-015", place, f"{found.kind}: {_count(odd)} not of a kind with the rest", evidence=odd[:_SHOWN]
        )


def _base(found: Comparison, place: Location) -> Iterator[Finding]:
    alike = len(found.same) + len(found.changed)
    other = len(found.added) + len(found.removed) + len(found.reshaped)
    if other > alike:
        message = f"{alike} tensors have a place in {found.old}, {len(found.reshaped)} have another shape there, {len(found.added)} are not there"
        yield finding("ADP-002", place, message, evidence=[*found.reshaped, *found.added][:_SHOWN])


def _line(change: Change) -> str:
    directions = f", {change.directions} direction{'s' * (change.directions > 1)}" if change.directions else ""
    rows = f", {change.rows} of {change.shape[0]} rows" if change.rows and change.rows < change.shape[0] else ""
    return (
        f"{change.name}  {'x'.join(map(str, change.shape))}  changed by {100 * change.relative:.2g} %{directions}{rows}"
    )


def _count(found: Sequence[object]) -> str:
    return f"{len(found)} tensors are" if len(found) != 1 else "1 tensor is"
