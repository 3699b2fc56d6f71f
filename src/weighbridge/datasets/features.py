"""Knows what a text consists of, for counting: words, parts of words, and characters that nobody types.

Each text becomes the set of its features. What is counted is how many texts hold a feature, so a word that is repeated a
hundred times weighs no more than one.
"""

from __future__ import annotations

import re
import zlib
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = Any
_PARTS: Final = re.compile(r"\w+|[^\w\s]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LONGEST: Final = 64
_WORDS: Final = 4096  # of one text; the rest of a longer one is not counted
_PARTS_OF_ONE: Final = 64
_VOCABULARY: Final = 8_000_000
_CHUNK: Final = 20_000
_COUNTED: Final = 1 << 22
CHARACTER: Final = "character "


class Features:
    """The features of many texts: `ids` of one text after another, `starts` where each begins. Grows by `add`."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._of_word: dict[str, tuple[int, ...]] = {}
        self._ids, self._lengths = array("i"), array("i")
        self.full = False

    def add(self, texts: Iterable[str]) -> None:
        """Take texts, in their order."""
        of_word, ids, lengths = self._of_word, self._ids, self._lengths
        for text in texts:
            words = text.lower().split(None, _WORDS)[:_WORDS]
            try:
                found = set(chain.from_iterable([of_word[word] for word in words]))
            except KeyError:
                found = set(chain.from_iterable([self._features(word) for word in words]))
            ids.extend(found)
            lengths.append(len(found))

    def add_sets(self, rows: Iterable[Iterable[str]]) -> None:
        """Take rows whose features are named already, in their order."""
        for row in rows:
            found = {number for name in row if (number := self._number(name)) >= 0}
            self._ids.extend(found)
            self._lengths.append(len(found))

    def _features(self, word: str) -> tuple[int, ...]:
        known = self._of_word.get(word)
        if known is None:
            # Most words of a large table come once, as numbers and names do: what is kept for speed is kept from the second time on.
            again = word in self._known
            known = tuple(dict.fromkeys(self._number(name) for name in _names(word)))
            known = tuple(number for number in known if number >= 0)
            if again and not self.full:
                self._of_word[word] = known
        return known

    def _number(self, name: str) -> int:
        number = self._known.get(name)
        if number is None:
            if len(self._known) >= _VOCABULARY:
                self.full = True
                return -1
            number = self._known[name] = len(self._known)
        return number

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def names(self) -> list[str]:
        """The features, by their number."""
        return list(self._known)

    def lengths(self) -> Array:
        """How many features each text has."""
        return numpy.frombuffer(self._lengths, dtype=numpy.int32) if len(self._lengths) else numpy.zeros(0, "i4")

    def repeated(self) -> tuple[Array, Array, list[str]]:
        """(ids, starts, names) of the features that more than one text holds, numbered anew. The sketch is used up.

        What one text alone holds says nothing of others; in large tables that is nearly every word.
        """
        ids, starts = self.arrays()
        counts = numpy.zeros(len(self._known), dtype=numpy.int32)
        for first in range(0, len(ids), _COUNTED):
            counts += numpy.bincount(ids[first : first + _COUNTED], minlength=len(counts))
        number = numpy.cumsum(counts > 1, dtype=numpy.int32) - 1
        number[counts < 2] = -1
        names = [name for name, kept in zip(self._known, (counts > 1).tolist(), strict=True) if kept]
        self._known, self._of_word = {}, {}
        made = numpy.zeros(len(starts), dtype=numpy.int64)
        last = 0
        for first in range(0, len(starts) - 1, _CHUNK):
            some = starts[first : first + _CHUNK + 1]
            part = number[ids[some[0] : some[-1]]]
            kept = numpy.concatenate([[0], numpy.cumsum(part >= 0)])
            made[first + 1 : first + len(some)] = last + kept[some[1:] - some[0]]
            part = part[part >= 0]
            ids[last : last + len(part)] = part  # never beyond what was read already
            last += len(part)
        return ids[:last], made, names

    def arrays(self) -> tuple[Array, Array]:
        """(ids, starts): the features of text i are ids[starts[i]:starts[i + 1]]."""
        lengths = self.lengths()
        starts = numpy.zeros(len(lengths) + 1, dtype=numpy.int64)
        numpy.cumsum(lengths, out=starts[1:])
        ids = numpy.frombuffer(self._ids, dtype=numpy.int32) if len(self._ids) else numpy.zeros(0, "i4")
        return ids, starts


def _names(word: str) -> list[str]:
    """The word itself, its parts, and each of its characters beyond ASCII."""
    if len(word) > _LONGEST:
        return [f"{word[:_LONGEST]}…{zlib.crc32(word.encode('utf-8', 'replace')):08x}"]
    names = [word]
    if not word.isalnum():
        names += _PARTS.findall(word)[:_PARTS_OF_ONE]
    if not word.isascii():
        names += [f"{CHARACTER}U+{ord(sign):04X}" for sign in word if not sign.isascii()]
        if _UNSPACED.search(word):
            names += [word[place : place + 2] for place in range(len(word) - 1)]
    return names


def is_in(feature: str, text: str) -> bool:
    """Whether a text holds a feature."""
    if feature.startswith(CHARACTER):
        return chr(int(feature.removeprefix(f"{CHARACTER}U+"), 16)) in text.lower()
    return feature.partition("…")[0] in text.lower()


def features_of(ids: Array, starts: Array, rows: Array) -> tuple[Array, Array]:
    """The features of some rows one after another, and which of the rows (0, 1 …) each belongs to."""
    sizes = starts[rows + 1] - starts[rows]
    owner = numpy.repeat(numpy.arange(len(rows)), sizes)
    at = numpy.arange(len(owner)) - numpy.repeat(numpy.cumsum(sizes) - sizes, sizes) + numpy.repeat(starts[rows], sizes)
    return ids[at], owner


def own_share(ids: Array, starts: Array, counts: Array) -> Array:
    """The share of each text's features that no other text has: code and foreign languages repeat theirs, gibberish does not."""
    sizes = numpy.diff(starts)
    owner = numpy.repeat(numpy.arange(len(sizes)), sizes)
    alone = numpy.bincount(owner, counts[ids] == 1, minlength=len(sizes))
    return alone / numpy.maximum(sizes, 1)


def rows_with(ids: Array, starts: Array, features: Array) -> dict[int, Array]:
    """The rows that hold each of some features; a part of the rows at a time, so that memory is bounded."""
    place = numpy.full(int(ids.max(initial=0)) + 1, -1, dtype=numpy.int32)
    place[features] = numpy.arange(len(features), dtype=numpy.int32)
    counts = numpy.zeros(len(features) + 1, dtype=numpy.int64)
    for first in range(0, len(ids), _COUNTED):
        counts += numpy.bincount(place[ids[first : first + _COUNTED]] + 1, minlength=len(counts))
    ends = numpy.concatenate([[0], numpy.cumsum(counts[1:])])
    rows, free = numpy.empty(int(ends[-1]), dtype=numpy.int32), ends[:-1].copy()
    for first in range(0, len(starts) - 1, _CHUNK):
        some = starts[first : first + _CHUNK + 1]
        which = place[ids[some[0] : some[-1]]]
        at = numpy.flatnonzero(which >= 0)
        # Those of one feature stand together then, in the order of their rows, behind those of earlier parts.
        at = at[numpy.argsort(which[at], kind="stable")]
        which = which[at]
        began = numpy.searchsorted(which, which)
        rows[free[which] + numpy.arange(len(which)) - began] = (
            numpy.searchsorted(some, at + some[0], side="right") - 1 + first
        )
        free += numpy.bincount(which, minlength=len(free))
    return {int(feature): rows[ends[n] : ends[n + 1]] for n, feature in enumerate(features)}
