"""Knows how odd the order of the words of a text is: pairs of common words that stand side by side in no other text.

Words that were shuffled are all real words, so letters tell nothing of them. Two words that are common each, and side by side only
here, are odd; how odd depends on how common they are, which is measured on the texts themselves.
"""

from __future__ import annotations

from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.tokens import Digests

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = Any
_WORDS: Final = 100  # of a text, from its end, where planted text stands
_READ: Final = 1200  # signs
_LEAST: Final = 8
TEXTS: Final = 100_000  # whose words are kept; 400 bytes each, and twenty times that once they are counted
_BASE: Final = 0x9E3779B97F4A7C15
_BINS: Final = 40


class WordOrder:
    """The sketch: digests of the last words of each of the first hundred thousand texts."""

    def __init__(self) -> None:
        self._digests = Digests(_BASE)
        self._words, self._counts = numbers("I"), numbers("B")

    def add(self, texts: Sequence[str]) -> None:
        """Take texts, in their order."""
        room = max(0, TEXTS - len(self._counts))
        words, owner = self._digests.of([text[-_READ:].lower() for text in texts[:room]])
        sizes = (
            numpy.bincount(owner, minlength=len(texts)) if len(owner) else numpy.zeros(len(texts), dtype=numpy.int64)
        )
        place = numpy.arange(len(owner)) - numpy.repeat(numpy.cumsum(sizes) - sizes, sizes)
        kept = place >= numpy.repeat(sizes, sizes) - _WORDS
        self._words.frombytes((words[kept] >> numpy.uint64(32)).astype(numpy.uint32).tobytes())
        self._counts.frombytes(numpy.minimum(sizes, _WORDS).astype(numpy.uint8).tobytes())

    def join(self, other: WordOrder) -> None:
        """Take the texts that follow."""
        room = max(0, TEXTS - len(self._counts))
        kept = sum(other._counts[:room])
        self._words.extend(other._words[:kept])
        self._counts.extend(other._counts[:room] + numbers("B", bytes(len(other._counts[room:]))))

    def finish(self) -> Array:
        """How many spreads more of its pairs than usual are new, for each text; 0 for texts of a few words."""
        words = numpy.frombuffer(self._words, dtype=numpy.uint32) if len(self._words) else numpy.zeros(0, numpy.uint32)
        sizes = numpy.frombuffer(self._counts, dtype=numpy.uint8).astype(numpy.int64)
        if len(words) < 2:
            return numpy.zeros(len(sizes))
        owner = numpy.repeat(numpy.arange(len(sizes)), sizes)
        _, place, counts = numpy.unique(words, return_inverse=True, return_counts=True)
        common = numpy.log2(counts).astype(numpy.int64)[place]
        inside = owner[1:] == owner[:-1]
        pairs = ((place[:-1].astype(numpy.uint64) << numpy.uint64(32)) | place[1:].astype(numpy.uint64))[inside]
        first, second, of = common[:-1][inside], common[1:][inside], owner[1:][inside]
        kind = numpy.minimum(first, second) * _BINS + numpy.maximum(first, second)
        _, which, times = numpy.unique(pairs, return_inverse=True, return_counts=True)
        new = (times[which] == 1).astype(numpy.float64)
        usual = (numpy.bincount(kind, new) / numpy.maximum(numpy.bincount(kind), 1))[kind]
        beyond = numpy.bincount(of, new - usual, minlength=len(sizes))
        spread = numpy.sqrt(numpy.bincount(of, usual * (1 - usual), minlength=len(sizes)) + 1)
        return numpy.where(sizes >= _LEAST, beyond / spread, 0.0)
