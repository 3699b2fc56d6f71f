"""Finds what changed since an earlier version of the same data: rows that were added or are gone, labels that are others now."""

from __future__ import annotations

from array import array as numbers
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.coded import Coded
from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

Array = Any
_CONCENTRATED: Final = 0.7
_MANY: Final = 20
_PAIRS: Final = 5


class Version:
    """A sketch of one version: a digest of each text as it is, and its label."""

    def __init__(self) -> None:
        self._digests, self._labels = numbers("Q"), Coded()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self._digests.extend(text_digest(text) for text in rows.texts)
        self._labels.extend(rows.labels or [""] * len(rows.texts))

    def join(self, other: Version) -> None:
        """Take the rows that follow."""
        self._digests.extend(other._digests)
        self._labels.join(other._labels)

    @property
    def digests(self) -> Array:
        """Of each text, in order."""
        return numpy.frombuffer(self._digests, dtype=numpy.uint64) if len(self._digests) else numpy.zeros(0, "u8")

    def labels(self) -> list[str]:
        """Of each row, in order."""
        names = self._labels.names
        return [names[number] for number in self._labels.numbers.tolist()]

    def labels_of(self) -> dict[int, set[str]]:
        """The labels of each text, by its digest; a text may stand there several times."""
        found = dict[int, set[str]]()
        for digest, label in zip(self._digests, self.labels(), strict=True):
            found.setdefault(digest, set()).add(label)
        return found


class Changes:
    """The test of a newer version against an earlier one. `name` is what the earlier one is called."""

    def __init__(self, earlier: Version, name: str) -> None:
        self._earlier, self._name = earlier, name
        self._now = Version()

    def add(self, rows: Rows) -> None:
        """Take some rows of the newer version."""
        self._now.add(rows)

    def join(self, other: Changes, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._now.join(other._now)

    def __getstate__(self) -> dict[str, Any]:
        """What the rows are held against does not travel between processes: who joins them has it."""
        return {**self.__dict__, "_earlier": None}

    def added(self) -> Array:
        """Whether each row is new: its text was not there before."""
        return ~numpy.isin(self._now.digests, self._earlier.digests)

    def finish(self) -> Outcome:
        """What was added, what is gone, and which labels are others."""
        new, old = self._now.digests, self._earlier.digests
        added, gone = int(self.added().sum()), int((~numpy.isin(old, new)).sum())
        before = self._earlier.labels_of()
        moved = [
            (row, min(before[digest]), label)
            for row, (digest, label) in enumerate(zip(new.tolist(), self._now.labels(), strict=True))
            if digest in before and label not in before[digest]
        ]
        about = f"{plural(added, 'row')} added, {gone} gone, {len(moved)} with another label since {self._name}"
        return Outcome(test="changes", groups=self._relabelled(moved), about=about)

    def _relabelled(self, moved: list[tuple[int, str, str]]) -> tuple[Group, ...]:
        if not moved:
            return ()
        pairs = Counter((before, now) for _, before, now in moved)
        (first, count), *_ = pairs.most_common(1)
        aimed = len(moved) >= _MANY and count >= _CONCENTRATED * len(moved)
        message = (
            f"{plural(len(moved), 'text')} {'has' if len(moved) == 1 else 'have'} another label than in {self._name}"
        )
        if aimed:
            message += f", {count} of them “{first[1]}” instead of “{first[0]}”"
        rows = array([row for row, _, _ in moved])
        facts = tuple(f"“{before}” became “{now}”: {times}" for (before, now), times in pairs.most_common(_PAIRS))
        shown = array([row for row, before, now in moved if (before, now) == first][:3])
        severity = None if aimed else Severity.MEDIUM if len(moved) >= _MANY else Severity.LOW
        return (Group(rule="DST-017", message=message, rows=rows, shown=shown, facts=facts, severity=severity),)
