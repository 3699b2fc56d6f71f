"""Knows how surprising the letters of a text are, measured by the pairs of letters of all the others."""

from __future__ import annotations

from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = Any
_READ: Final = 2000  # letters of a text, from its end, where planted text stands
_SIDE: Final = 256
_LEAST: Final = 40


class Surprise:
    """The sketch: counts of pairs of letters, and the pairs of each text. Letters beyond Latin share a place."""

    def __init__(self) -> None:
        self._pairs = numpy.ones((_SIDE, _SIDE))
        self._held = bytearray()
        self._ends = numbers("q")

    def add(self, texts: Iterable[str]) -> None:
        """Take texts."""
        for text in texts:
            self._held += text[-_READ:].lower().encode("latin-1", "replace")
            self._ends.append(len(self._held))

    def join(self, other: Surprise) -> None:
        """Take the texts that follow."""
        before = len(self._held)
        self._held += other._held
        self._ends.extend(before + end for end in other._ends)

    def finish(self) -> Array:
        """Surprise of each text in robust spreads from the usual; 0 for texts of a few letters."""
        letters = numpy.frombuffer(bytes(self._held), dtype=numpy.uint8).astype(numpy.int32)
        ends = numpy.frombuffer(self._ends, dtype=numpy.int64)
        if len(letters) < 2:
            return numpy.zeros(len(ends))
        pairs = letters[:-1] * _SIDE + letters[1:]
        counts = numpy.bincount(pairs, minlength=_SIDE * _SIDE).astype(float) + 0.5
        table = counts.reshape(_SIDE, _SIDE)
        cost = -numpy.log(table / table.sum(1, keepdims=True)).ravel()[pairs]
        total = numpy.concatenate(([0.0], numpy.cumsum(cost)))
        starts = numpy.concatenate(([0], ends[:-1]))
        lengths = ends - starts
        sums = total[numpy.maximum(starts, ends - 1)] - total[starts]
        mean = sums / numpy.maximum(lengths - 1, 1)
        enough = lengths >= _LEAST
        usual = numpy.median(mean[enough]) if enough.any() else 0.0
        spread = 1.4826 * numpy.median(numpy.abs(mean[enough] - usual)) if enough.any() else 1.0
        return numpy.where(enough, (mean - usual) / max(float(spread), 1e-6), 0.0)
