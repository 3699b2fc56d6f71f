"""Knows the signs of requests as numbers, in bounded memory: words, characters that nobody types, metadata.

A sign that was seen once and not again makes room for new ones; what is known from the clean replay stays.
"""

from __future__ import annotations

import unicodedata
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.features import CHARACTER
from weighbridge.datasets.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.monitor.records import Record

Array = Any
CAPACITY: Final = 1 << 17
_LONGEST: Final = 48
_WORD: Final = (1 << 64) - 1
_PAIRS: Final = 1 << 18
_EDGES: Final = ".,;:!?\"'()[]{}<>*_`~|/\\-–—“”‘’…"  # noqa: RUF001  # signs around words
_HIDDEN: Final = frozenset({"Cf", "Co", "Cn", "Cc", "Cs"})
NONE: Final = -1


class Vocabulary:
    """Signs with their numbers, at most `capacity` of them.

    A word as it is written stands for its sign (`Film,` for `film`); one with hidden characters has several.
    """

    def __init__(self, capacity: int = CAPACITY, *, pairs: bool = False, base: int = 0) -> None:
        """With `pairs`, two words that stand side by side are a sign, too: `of the`. `base` is that of `Digests`."""
        self.capacity, self.pairs = capacity, pairs
        self.names: list[str] = []
        self.born = numpy.zeros(capacity, dtype=numpy.int64)
        self.arrivals = 0
        self.held = 0  # signs below this number are from the clean replay and stay
        self.dropped = 0
        self._ids: dict[str, int] = {}
        self._tokens = Tokens(self.number, base)
        self._several: list[tuple[int, ...]] = []
        self._free: list[int] = []
        self._pair_keys = numpy.full(_PAIRS if pairs else 1, NONE, dtype=numpy.int64)
        self._pair_values = numpy.zeros(_PAIRS if pairs else 1, dtype=numpy.int64)

    def __len__(self) -> int:
        return len(self.names) - len(self._free)

    def number(self, word: str) -> int:
        """The number of a word that was not met before; below -1 where it stands for several signs."""
        signs = signs_of(word)
        if len(signs) == 1:
            found = self.sign(signs[0])
        elif not signs:
            found = NONE
        else:
            self._several.append(tuple(self.sign(one) for one in signs))
            found = -1 - len(self._several)
        return found

    def sign(self, name: str) -> int:
        """The number of a sign; a new one where there is room, else none."""
        found = self._ids.get(name)
        if found is not None:
            return found
        self.arrivals += 1
        if self._free:
            number = self._free.pop()
            self.names[number] = name
        elif len(self.names) < self.capacity:
            number = len(self.names)
            self.names.append(name)
        else:
            self.dropped += 1
            return NONE
        self._ids[name] = number
        self.born[number] = self.arrivals
        return number

    def find(self, name: str) -> int:
        """The number of a sign that is known, or none."""
        return self._ids.get(name, NONE)

    @property
    def crowded(self) -> bool:
        """Whether it is time to forget: nine tenths are in use."""
        return len(self) * 10 >= self.capacity * 9

    def forget(self, numbers: Sequence[int]) -> None:
        """Make room: these signs are unknown from now on."""
        for number in numbers:
            if number >= self.held and self._ids.pop(self.names[number], NONE) == number:
                self._free.append(number)
        self._tokens.clear()
        self._several.clear()
        self._pair_keys[:] = NONE

    def hold(self) -> None:
        """Keep what is known now for good."""
        self.held = len(self.names)

    def read(self, records: Sequence[Record]) -> tuple[Array, Array]:
        """(numbers, owner): the signs of each record, each once, and which record each belongs to."""
        numbers, owner, _ = self.digested(records)
        return numbers, owner

    def digested(self, records: Sequence[Record]) -> tuple[Array, Array, Array]:
        """The same, and for each record a digest of what is in it, the order of words aside; it depends on `base`."""
        numbers, owner, digests = self._tokens.read([one.text for one in records])
        whole = numpy.zeros(len(records), dtype=numpy.uint64)
        numpy.add.at(whole, owner, digests)
        if self.pairs:
            both, of_both = self._side_by_side(numbers, owner)
            numbers, owner = numpy.concatenate([numbers, both]), numpy.concatenate([owner, of_both])
        if any([one.features for one in records]):  # noqa: C419  # a list is faster here
            extra = [self.sign(one) for record in records for one in record.features]
            whose = [place for place, record in enumerate(records) for _ in record.features]
            # The hash of no features is one number like any other.
            whole += numpy.fromiter(
                (hash(one.features) & _WORD for one in records), dtype=numpy.uint64, count=len(records)
            )
            numbers, owner = numpy.concatenate([numbers, extra]), numpy.concatenate([owner, whose])
        if len(numbers) and numbers.min() < 0:
            numbers, owner = self._spread(numbers, owner)
        return *_each_once(numbers, owner, self.capacity), whole.view(numpy.int64)

    def _side_by_side(self, numbers: Array, owner: Array) -> tuple[Array, Array]:
        """(numbers, owner) of the pairs of words that follow one another in a text."""
        there = (owner[1:] == owner[:-1]) & (numbers[1:] >= 0) & (numbers[:-1] >= 0)
        keys = (numbers[:-1] * self.capacity + numbers[1:])[there]
        slots = (keys ^ (keys >> 17)) & (_PAIRS - 1)
        found = self._pair_values[slots]
        missing = numpy.flatnonzero(self._pair_keys[slots] != keys)
        asked: dict[int, int] = {}
        for place, key in zip(missing.tolist(), keys[missing].tolist(), strict=True):
            number = asked.get(key)
            if number is None:
                first, second = divmod(key, self.capacity)
                number = asked[key] = self.sign(f"{self.names[first]} {self.names[second]}")
                self._pair_keys[slots[place]], self._pair_values[slots[place]] = key, number
            found[place] = number
        return found, owner[1:][there]

    def _spread(self, numbers: Array, owner: Array) -> tuple[Array, Array]:
        """Words of several signs as these; words of none left out."""
        several = numpy.flatnonzero(numbers < NONE)
        more = [self._several[-2 - number] for number in numbers[several].tolist()]
        extra = numpy.fromiter(chain.from_iterable(more), dtype=numpy.int64)
        whose = numpy.repeat(owner[several], [len(one) for one in more])
        numbers, owner = numpy.concatenate([numbers, extra]), numpy.concatenate([owner, whose])
        keep = numbers >= 0
        return numbers[keep], owner[keep]


def _each_once(numbers: Array, owner: Array, capacity: int) -> tuple[Array, Array]:
    key = owner * capacity + numbers
    key.sort()
    first = numpy.ones(len(key), dtype=bool)
    numpy.not_equal(key[1:], key[:-1], out=first[1:])
    key = key[first]
    owner = key // capacity
    return key - owner * capacity, owner


def signs_of(word: str) -> list[str]:
    """The signs that one written word stands for."""
    plain = word.lower().strip(_EDGES) or word
    if word.isascii():
        return [plain[:_LONGEST]]
    if len(word.split()) > 1:  # blanks beyond ASCII
        return list(dict.fromkeys(sign for part in word.split() for sign in signs_of(part)))
    hidden = [sign for sign in dict.fromkeys(word) if unicodedata.category(sign) in _HIDDEN]
    bare = "".join(sign for sign in plain if sign not in hidden)
    if len(bare) > 12 and not any(sign.isascii() for sign in bare):  # a script without blanks
        parts = [bare[place : place + 2] for place in range(min(len(bare), 64) - 1)]
    else:
        parts = [bare[:_LONGEST]] if bare else []
    return list(dict.fromkeys([*parts, *(f"{CHARACTER}U+{ord(sign):04X}" for sign in hidden[:8])]))
