"""Finds texts of an evaluation set in training data: whoever trained on the questions is measured by memory.

A short text is held by its digest after normalisation; of a longer one thirteen words in a row are enough, wherever they stand
(Brown et al. 2020, appendix C). One digest of eight bytes a run of words.
"""

from __future__ import annotations

import re
from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.columns import Wish, find_roles
from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.datasets.table import open_file
from weighbridge.datasets.view import view
from weighbridge.schema import LimitExceeded, Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.datasets.view import Rows

Array = Any
_RUN: Final = 13
_LEAST: Final = 4  # words: shorter texts are in any data
_MOST: Final = 20_000_000
_MANY: Final = 0.01
_WORD: Final = re.compile(r"\w+")


class HeldOut:
    """The sketch: rows that hold something of the evaluation set, and which of its texts were met."""

    def __init__(self, known: dict[int, int], count: int, name: str) -> None:
        """`known` maps digests of runs to the number of their text; `count` texts are in the evaluation set called `name`."""
        self._known, self._count, self._name = known, count, name
        self._rows = numbers("q")
        self._met = set[int]()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        known = self._known
        for number, text in enumerate(rows.texts, rows.first):
            met = {known[run] for run in _runs(text) if run in known}
            if met:
                self._rows.append(number)
                self._met |= met

    def join(self, other: HeldOut, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        self._rows.extend(first + row for row in other._rows)
        self._met |= other._met

    def __getstate__(self) -> dict[str, Any]:
        """What the rows are held against does not travel between processes: who joins them has it."""
        return {**self.__dict__, "_known": {}}

    def finish(self) -> Outcome:
        """How much of the evaluation set is in the data."""
        rows = numpy.frombuffer(self._rows, dtype=numpy.int64) if len(self._rows) else numpy.zeros(0, "i8")
        about = f"{len(self._met)} of {plural(self._count, 'text')} of {self._name} are in the data"
        if not len(rows):
            return Outcome(test="held out", about=about)
        share = len(self._met) / max(1, self._count)
        group = Group(
            rule="DST-030", message=f"{len(self._met)} of {self._count} texts of {self._name} ({share:.1%}) are in {plural(len(rows), 'row')} of this data",
            rows=array(rows), shown=array(rows[:3]), severity=Severity.LOW if share < _MANY else None,
            facts=(f"the same text, or {_RUN} words of it in a row",),
        )  # fmt: skip
        return Outcome(test="held out", groups=(group,), about=about)


def _runs(text: str) -> Iterator[int]:
    """Digests of what a text is known by: all of it where it is short, each run of words where it is long."""
    words = _WORD.findall(text.lower())
    if len(words) < _LEAST:
        return
    if len(words) <= _RUN:
        yield text_digest(" ".join(words))
        return
    for at in range(len(words) - _RUN + 1):
        yield text_digest(" ".join(words[at : at + _RUN]))


def read_held_out(paths: Sequence[str]) -> tuple[dict[int, int], int, str]:
    """(digests of runs with the number of their text, how many texts, what to call them) of evaluation sets.

    A run that several texts share is no sign of any of them. Raises UsageError, SourceError, MalformedInput, LimitExceeded.
    """
    known: dict[int, int] = {}
    shared, count = set[int](), 0
    for path in paths:
        for text in _texts(path):
            for run in set(_runs(text)):
                if known.setdefault(run, count) != count:
                    shared.add(run)
            if len(known) > _MOST:
                raise LimitExceeded(f"{path}: more than {_MOST} runs of words", limit="members")
            count += 1
    names = ", ".join(path.rpartition("/")[2] for path in paths)
    return {run: number for run, number in known.items() if run not in shared}, count, names


def _texts(path: str) -> Iterator[str]:
    roles = None
    for batch in open_file(path).batches():
        roles = roles or find_roles(batch.columns, Wish())
        seen = view(roles, batch.columns, len(batch), 0, "")
        # The question alone: in training data it stands with any answer.
        yield from seen.prompts or seen.texts
