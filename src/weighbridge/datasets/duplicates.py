"""Finds texts that occur again: with another label, in another split, or so often that somebody is flooding."""

from __future__ import annotations

from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.coded import Coded
from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.datasets.table import HELD_OUT
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

Array = Any
_FLOOD: Final = 20
_LEAKED: Final = 0.01
_LEAST_WORDS: Final = 4  # shorter texts ("yes", "Thank you!") repeat in any data


class Duplicates:
    """The sketch: a digest of each text after normalisation (case and blanks), its label and its split."""

    def __init__(self) -> None:
        self._digests, self._labels, self._splits = numbers("Q"), Coded(), Coded()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for text in rows.texts:
            words = _normal(text)
            short = len(text) < 4 * _LEAST_WORDS and words.count(" ") < _LEAST_WORDS - 1
            self._digests.append(0 if short else text_digest(words) | 1)
        self._labels.extend(rows.labels or [""] * len(rows.texts))
        self._splits.extend([rows.split] * len(rows.texts))

    def join(self, other: Duplicates, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._digests.extend(other._digests)
        self._labels.join(other._labels)
        self._splits.join(other._splits)

    def finish(self) -> Outcome:
        """Conflicts of labels, leaks between splits, floods."""
        digests = numpy.frombuffer(self._digests, dtype=numpy.uint64) if len(self._digests) else numpy.zeros(0, "u8")
        order = numpy.argsort(digests, kind="stable")
        order = order[digests[order] != 0]
        if not len(order):
            return Outcome(test="repeated texts")
        ordered = digests[order]
        starts = numpy.flatnonzero(numpy.append(True, ordered[1:] != ordered[:-1]))
        sizes = numpy.diff(numpy.append(starts, len(ordered)))
        again = [order[start : start + size] for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True)]
        extra = int((sizes - 1).sum())
        about = (
            f"{plural(extra, 'row')} {'repeats' if extra == 1 else 'repeat'} a text that occurred before"
            if extra
            else ""
        )
        groups = (*self._conflicts(again), *self._leaks(again), *_floods(again))
        return Outcome(test="repeated texts", groups=groups, about=about)

    def _conflicts(self, again: list[Array]) -> tuple[Group, ...]:
        labels, kinds = self._labels.numbers, len(self._labels.names)
        found = [rows for rows in again if kinds > 1 and len(numpy.unique(labels[rows])) > 1]
        if not found:
            return ()
        rows = numpy.sort(numpy.concatenate(found))
        message = f"{plural(len(found), 'text')} {'carries' if len(found) == 1 else 'carry'} different labels in {len(rows)} rows"
        return (
            Group(rule="DST-017", message=message, rows=array(rows), shown=array(found[0][:3]), severity=Severity.LOW),
        )

    def _leaks(self, again: list[Array]) -> tuple[Group, ...]:
        inside = self._splits.among(HELD_OUT)
        if inside.all() or not inside.any():
            return ()
        leaked = [rows for rows in again if inside[rows].any() and not inside[rows].all()]
        if not leaked:
            return ()
        rows = numpy.sort(numpy.concatenate([rows[inside[rows]] for rows in leaked]))
        share = len(rows) / max(1, int(inside.sum()))
        message = f"{plural(len(rows), 'row')} of the held-out splits ({share:.1%}) {'is' if len(rows) == 1 else 'are'} in the training data as well"
        return (
            Group(
                rule="DST-030",
                message=message,
                rows=array(rows),
                shown=array(leaked[0][:3]),
                severity=Severity.LOW if share < _LEAKED else None,
            ),
        )


def _normal(text: str) -> str:
    """A text in small letters with single blanks; most have no others, which is seen faster than made."""
    small = text.lower()
    is_normal = small.isprintable() and "  " not in small and small[:1] != " " and small[-1:] != " "
    return small if is_normal else " ".join(small.split())


def _floods(again: list[Array]) -> tuple[Group, ...]:
    largest = sorted((rows for rows in again if len(rows) >= _FLOOD), key=len, reverse=True)[:5]
    return tuple(
        Group(rule="DST-021", message=f"the same text occurs {len(rows)} times", rows=array(numpy.sort(rows)), shown=array(rows[:1]), facts=(f"rows {rows.min() + 1} to {rows.max() + 1}",))
        for rows in largest
    )  # fmt: skip
