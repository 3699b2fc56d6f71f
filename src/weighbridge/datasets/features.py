"""Knows what a text consists of, for counting: words, parts of words, and characters that nobody types.

Each text becomes the set of its features. What is counted is how many texts hold a feature, so a word that is repeated a
hundred times weighs no more than one.
"""

from __future__ import annotations

import re
import zlib
from array import array
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = Any
_PARTS: Final = re.compile(r"\w+|[^\w\s]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_BLANK: Final = re.compile(r"[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_LONGEST: Final = 64
_PARTS_OF_ONE: Final = 64
_VOCABULARY: Final = 8_000_000
_CHUNK: Final = 20_000
_COUNTED: Final = 1 << 22
CHARACTER: Final = "character "


class Features:
    """The features of many texts: `ids` of one text after another, `starts` where each begins. Grows by `add`.

    Of each text the first 32 KiB are counted. A word that has parts knows where they stand among all parts.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._ids, self._lengths = array("i"), array("i")
        self._parts, self._begin, self._count = array("i"), array("q"), array("h")
        self._tokens = Tokens(self._word)
        self.full = False

    def add(self, texts: Sequence[str]) -> None:
        """Take texts, in their order."""
        lowered = [text.lower() if text.isascii() else _BLANK.sub(" ", text.lower()) for text in texts]
        words, owner, _ = self._tokens.read(lowered)
        if self.full:
            words, owner = words[words >= 0], owner[words >= 0]
        counts = numpy.frombuffer(self._count, dtype=numpy.int16)[words] if len(words) else words
        having = numpy.flatnonzero(counts > 0)
        counts = counts[having].astype(numpy.int64)
        ends = numpy.cumsum(counts)
        at = numpy.arange(len(having) and ends[-1]) - numpy.repeat(ends - counts, counts)
        if len(at):
            at += numpy.repeat(numpy.frombuffer(self._begin, dtype=numpy.int64)[words[having]], counts)
            words = numpy.concatenate([words, numpy.frombuffer(self._parts, dtype=numpy.int32)[at]])
            owner = numpy.concatenate([owner, numpy.repeat(owner[having], counts)])
        keys = (owner << 32) | words
        keys.sort()  # numpy.unique takes fifty times as long
        keys = keys[numpy.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
        self._ids.frombytes((keys & 0xFFFFFFFF).astype(numpy.int32).tobytes())
        self._lengths.frombytes(numpy.bincount(keys >> 32, minlength=len(texts)).astype(numpy.int32).tobytes())

    def add_sets(self, rows: Iterable[Iterable[str]]) -> None:
        """Take rows whose features are named already, in their order."""
        for row in rows:
            found = {number for name in row if (number := self._number(name)) >= 0}
            self._ids.extend(found)
            self._lengths.append(len(found))

    def join(self, other: Features) -> None:
        """Take the features of the texts that follow."""
        here = numpy.array([self._number(name) for name in other._known], dtype=numpy.int32)
        ids, starts = other.arrays()
        ids = here[ids] if len(ids) else ids
        if self.full or other.full:
            self.full = True
            kept = numpy.concatenate([[0], numpy.cumsum(ids >= 0)])
            starts, ids = kept[starts], ids[ids >= 0]
        self._ids.frombytes(ids.astype(numpy.int32).tobytes())
        self._lengths.frombytes(numpy.diff(starts).astype(numpy.int32).tobytes())

    def __getstate__(self) -> dict[str, Any]:
        """What is kept for speed alone does not travel between processes."""
        return {name: value for name, value in self.__dict__.items() if name != "_tokens"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tokens = Tokens(self._word)

    def _word(self, word: str) -> int:
        """The number of a word; its parts stand among all parts from then on."""
        number = self._number(word if len(word) <= _LONGEST else _shortened(word))
        if number >= 0 and self._count[number] < 0:
            parts = {one for name in _parts(word) if (one := self._number(name)) >= 0} - {number}
            self._begin[number], self._count[number] = len(self._parts), len(parts)
            self._parts.extend(sorted(parts))
        return number

    def _number(self, name: str) -> int:
        number = self._known.get(name)
        if number is None:
            if len(self._known) >= _VOCABULARY:
                self.full = True
                return -1
            number = self._known[name] = len(self._known)
            self._begin.append(0)
            self._count.append(-1)
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
        self._known = {}
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


def _shortened(word: str) -> str:
    return f"{word[:_LONGEST]}…{zlib.crc32(word.encode('utf-8', 'replace')):08x}"


def _parts(word: str) -> list[str]:
    """The parts of a word, and each of its characters beyond ASCII."""
    if len(word) > _LONGEST or (word.isascii() and word.isalnum()):
        return []
    parts = [] if word.isalnum() else _PARTS.findall(word)[:_PARTS_OF_ONE]
    if not word.isascii():
        parts += [f"{CHARACTER}U+{ord(sign):04X}" for sign in word if not sign.isascii()]
        if _UNSPACED.search(word):
            parts += [word[place : place + 2] for place in range(len(word) - 1)]
    return parts


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
