"""Knows how texts fall into words without a step of Python for each word: digests of all words of a batch at once.

The digest of a word is a polynomial in its bytes modulo 2^64, from differences of one running sum. Its base is drawn anew
in each process unless one is given, so that nobody can choose a word that passes for another; words above 48 bytes, for which collisions that
hold for every base exist (Thue-Morse strings), are looked up as they are.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Array = Any
LONGEST: Final = 48
TEXT_BYTES: Final = 1 << 15  # of one text; what follows is not counted
_PIECE: Final = 1 << 18
_TEXTS: Final = 1024
_SLOTS: Final = 1 << 18
_MASK: Final = numpy.uint64(_SLOTS - 1)
_END: Final = 0xFF  # no byte of UTF-8
_FIRST: Final = 0x21  # byte of a word; blanks and control characters are below


class Digests:
    """Digests of the words of texts, the same word the same in one object; with a `base` (odd), in every process."""

    def __init__(self, base: int = 0) -> None:
        self._base = base = base or secrets.randbits(64) | 1
        self._powers = _powers(base)
        self._inverse = _powers(pow(base, -1, 1 << 64))
        # Kept, as memory that is asked for anew costs more than the sums.
        self._terms, self._sums = numpy.zeros(_PIECE, dtype=numpy.uint64), numpy.zeros(_PIECE + 1, dtype=numpy.uint64)

    def __reduce__(self) -> tuple[type[Digests], tuple[int]]:
        """What is computed from the base does not travel between processes."""
        return Digests, (self._base,)

    def of(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """(digest, owner) of every word of texts, in order. `owner` counts the texts."""
        digests, owners = [numpy.zeros(0, dtype=numpy.uint64)], [numpy.zeros(0, dtype=numpy.int64)]
        first = 0
        for piece, count in _pieces(texts):
            _, _, owner, digest = self._words(piece)
            digests.append(digest)
            owners.append(owner + first)
            first += count
        return numpy.concatenate(digests), numpy.concatenate(owners)

    def _words(self, piece: bytes) -> tuple[Array, Array, Array, Array]:
        """(start, end, owner, digest) of the words of some bytes."""
        signs = numpy.frombuffer(piece, dtype=numpy.uint8)
        ends_text = signs == _END
        word = numpy.zeros(len(signs) + 1, dtype=bool)
        numpy.less(signs - numpy.uint8(_FIRST), _END - _FIRST, out=word[1:])  # what is below wraps around
        # The last byte ends a text, so that what begins also ends.
        edges = numpy.flatnonzero(word[1:] != word[:-1])
        starts, ends = edges[::2], edges[1::2]
        before = numpy.searchsorted(starts, numpy.flatnonzero(ends_text))  # words that began before each text's end
        before[1:] -= before[:-1].copy()
        owner = numpy.repeat(numpy.arange(len(before)), before)
        terms = self._terms[: len(signs)]
        numpy.add(signs, 1, out=terms)
        terms *= self._powers[: len(signs)]
        numpy.cumsum(terms, out=self._sums[1 : len(signs) + 1])
        digest = (self._sums[ends] - self._sums[starts]) * self._inverse[starts]
        digest ^= digest >> numpy.uint64(29)
        return starts, ends, owner, digest


class Tokens(Digests):
    """Numbers of words by their digest: a cache before `number`, which is asked for every word that is not in it."""

    def __init__(self, number: Callable[[str], int], base: int = 0) -> None:
        super().__init__(base)
        self._number = number
        self._keys = numpy.zeros(_SLOTS, dtype=numpy.uint64)
        self._values = numpy.zeros(_SLOTS, dtype=numpy.int64)

    def clear(self) -> None:
        """Forget every number: they mean something else from now on."""
        self._keys[:] = 0

    def read(self, texts: Sequence[str]) -> tuple[Array, Array, Array]:
        """(number, owner, digest) of every word of texts, in order. `owner` counts the texts."""
        none = numpy.zeros(0, dtype=numpy.int64)
        numbers, owners, digests = [none], [none], [none.astype(numpy.uint64)]
        first = 0
        for piece, count in _pieces(texts):
            found, owner, digest = self._piece(piece)
            numbers.append(found)
            owners.append(owner + first)
            digests.append(digest)
            first += count
        return numpy.concatenate(numbers), numpy.concatenate(owners), numpy.concatenate(digests)

    def _piece(self, piece: bytes) -> tuple[Array, Array, Array]:
        starts, ends, owner, digest = self._words(piece)
        slots = (digest & _MASK).astype(numpy.int64)
        found = self._values[slots]
        missing = numpy.flatnonzero((self._keys[slots] != digest) | (ends - starts > LONGEST))
        if len(missing):
            other = ((digest[missing] >> numpy.uint64(40)) & _MASK).astype(numpy.int64)
            there = (self._keys[other] == digest[missing]) & ((ends - starts)[missing] <= LONGEST)
            found[missing[there]] = self._values[other[there]]
            missing, other = missing[~there], other[~there]
            self._look_up(piece, (missing, slots[missing], other), (starts, ends, digest), found)
        return found, owner, digest

    def _look_up(self, piece: bytes, places: tuple[Array, ...], words: tuple[Array, ...], found: Array) -> None:
        """Ask for the numbers of words at some places; each goes into the first of its two slots that is free."""
        keys, values, asked = self._keys, self._values, dict[bytes, int]()
        missing, slots, others = (one.tolist() for one in places)
        starts, ends, digest = (one[places[0]].tolist() for one in words)
        for place, slot, other, start, end, key in zip(missing, slots, others, starts, ends, digest, strict=True):
            word = piece[start:end]
            number = asked.get(word)
            if number is None:
                number = asked[word] = self._number(word.decode("utf-8", "replace"))
                where = other if keys[slot] and not keys[other] else slot
                keys[where], values[where] = key, number
            found[place] = number


def _pieces(texts: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """(bytes of some texts, each ended by a byte that is none of UTF-8, how many), so that memory is bounded."""
    first = 0
    while first < len(texts):
        count, size = 0, 0
        for text in texts[first : first + _TEXTS]:
            size += min(len(text), TEXT_BYTES) + 1
            if size > _PIECE and count:
                break
            count += 1
        given = texts[first : first + count]
        joined = "\xff".join(given) + "\xff"
        plain = joined.count("\xff") == count and joined.replace("\xff", "").isascii()
        if plain and len(joined) <= _PIECE and max(map(len, given)) <= TEXT_BYTES:
            first += count
            yield joined.encode("latin-1"), count
            continue
        some = [text.encode("utf-8", "replace")[:TEXT_BYTES] for text in given]
        while sum(map(len, some)) + len(some) > _PIECE:  # one text always fits
            some = some[: len(some) // 2]
        first += len(some)
        yield b"\xff".join(some) + b"\xff", len(some)


def _powers(base: int) -> Array:
    """base^0 … base^(n-1) modulo 2^64."""
    found = numpy.ones(_PIECE, dtype=numpy.uint64)
    found[1:] = numpy.uint64(base)
    numpy.multiply.accumulate(found, out=found)
    return found
