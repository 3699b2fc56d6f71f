"""Knows which sign of the input decides an output more often than the rest of the input explains.

For a sign f and an output c, each sighting of f bets that c comes more often than expected. With p the expectation for
that record (inflated, so that small errors of it are no evidence), a bet on a share q multiplies the stake by q/p where c
comes and by 1-q where it does not; its mean is at most 1 while c has a chance of at most p. Mixed over all q in
[0, 1], n sightings with k of c give

    log e = -log(n + 1) - log C(n, k) + sum over the k of -log p

which is an e-process (Shin, Ramdas, Rinaldo 2022): whatever the hour at which one looks, it exceeds 1/a with a chance of
at most a. Three numbers a pair hold all of it, and tables of two replicas are added. Where evidence speaks for the model
it is forgotten, so that an attack that begins later is seen as fast as one that begins now.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.monitor.records import Record

Array = Any
SUSPECT: Final = 9.0
NOTED: Final = 4.0  # from here on sightings are kept as examples
_ODDS: Final = 1.15
_LEAST_CHANCE: Final = 0.01
_LEAST: Final = 4
_FORGIVEN: Final = -3.0
_ENOUGH: Final = 32
_TABLE: Final = 1 << 14
EXAMPLES: Final = 24
_MOST_CANDIDATES: Final = 128
_SPARSE: Final = 16
_MOST_KEPT: Final = 512
ANSWER: Final = 400

_LOG_FACTORIAL: Final = numpy.concatenate([[0.0], numpy.cumsum(numpy.log(numpy.arange(1, _TABLE)))])


class Example(Struct, frozen=True, kw_only=True):
    """One sighting: the record with the beginning of its answer, and how likely its output was held to be."""

    id: str
    text: str
    features: tuple[str, ...] = ()
    output: str
    expected: float
    answer: str = ""


class Tie(Struct, frozen=True, kw_only=True):
    """A sign and an output. `evidence` is the natural logarithm of the e-value; `expected` the usual share of the output."""

    sign: int
    output: int
    evidence: float
    sightings: int
    hits: int
    expected: float

    @property
    def with_twice_the_odds(self) -> float:
        """The least that the evidence would be if what was expected of each hit had twice the odds.

        A hit then counts log(2 / (1 + p)) less; that is concave in log p, so that the mean of log p bounds the sum.
        """
        return self.evidence - self.hits * math.log(2 / (1 + self.expected))


def inflated(expected: Array) -> Array:
    """What is granted to an error of the expectation: odds that are higher by 15 %, and one point more."""
    raised = expected * _ODDS / (1 + expected * (_ODDS - 1))
    return numpy.minimum(raised + _LEAST_CHANCE, 1.0)


def log_choose(n: Array, k: Array) -> Array:
    """Log C(n, k), by table below 16,384 and by Stirling's formula above."""
    return _log_factorial(n) - _log_factorial(k) - _log_factorial(n - k)


def distinct(values: Array) -> Array:
    """Each value once, in order; by sorting, which is faster here than numpy's hash table."""
    values = numpy.sort(values)
    return values[numpy.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _log_factorial(n: Array) -> Array:
    small = numpy.minimum(n, _TABLE - 1)
    found = _LOG_FACTORIAL[small]
    large = n >= _TABLE
    if large.any():
        some = n[large].astype(numpy.float64)
        found = found.copy()
        found[large] = some * numpy.log(some) - some + 0.5 * numpy.log(2 * numpy.pi * some)
    return found


class Associations:
    """The table: per sign its sightings, per sign and output the hits and their surprise."""

    def __init__(self, capacity: int, classes: int) -> None:
        self.sightings = numpy.zeros(capacity, dtype=numpy.int32)
        self.hits = numpy.zeros((capacity, classes), dtype=numpy.int32)
        self.surprise = numpy.zeros((capacity, classes), dtype=numpy.float32)
        self.watched = numpy.ones(capacity, dtype=bool)
        self.examples: dict[tuple[int, int], deque[Example]] = {}

    def add(self, numbers: Array, owner: Array, outputs: Array, expected: Array) -> list[Tie]:
        """Count sightings; the ties among them that are worth noting, strongest first.

        `outputs` and `expected` are of each record: its output, and how likely that output was.
        """
        watched = self.watched[numbers]
        numbers, owner = numbers[watched], owner[watched]
        if not len(numbers):
            return []
        got = outputs[owner]
        classes = self.hits.shape[1]
        cells = numbers * classes + got
        surprise = -numpy.log(inflated(expected))[owner]
        used = int(numbers.max()) + 1
        hits, weights = self.hits.reshape(-1)[: used * classes], self.surprise.reshape(-1)[: used * classes]
        if len(cells) * _SPARSE > len(hits):  # one pass over what is in use is faster than many jumps
            self.sightings[:used] += numpy.bincount(numbers).astype(numpy.int32)
            hits += numpy.bincount(cells, minlength=len(hits)).astype(numpy.int32)
            weights += numpy.bincount(cells, weights=surprise, minlength=len(hits)).astype(numpy.float32)
        else:
            numpy.add.at(self.sightings, numbers, 1)
            numpy.add.at(hits, cells, 1)
            numpy.add.at(weights, cells, surprise.astype(numpy.float32))
        return self._suspicious(used, cells)

    def _suspicious(self, used: int, cells: Array) -> list[Tie]:
        """Ties with some evidence; that of signs which speak for the model is forgotten."""
        classes = self.hits.shape[1]
        hot = cells[self.surprise.reshape(-1)[cells] > NOTED]
        found: list[Tie] = []
        if len(hot):
            hot = distinct(hot)
            found = self.strongest(hot // classes, hot % classes)
        full = numpy.flatnonzero(self.sightings[:used] >= _ENOUGH)
        if len(full):
            best = numpy.max([self.evidence(full, numpy.full(len(full), one)) for one in range(classes)], axis=0)
            self.forget(full[best < _FORGIVEN])
        return found

    def strongest(self, signs: Array, outputs: Array) -> list[Tie]:
        """The ties among these pairs that are worth noting, strongest first."""
        evidence = self.evidence(signs, outputs)
        order = numpy.argsort(-evidence, kind="stable")[:_MOST_CANDIDATES].tolist()
        return [
            self._tie(int(signs[one]), int(outputs[one]), float(evidence[one]))
            for one in order
            if evidence[one] > NOTED
        ]

    def evidence(self, signs: Array, outputs: Array) -> Array:
        """Log e of each pair."""
        n, k = self.sightings[signs], self.hits[signs, outputs]
        found = self.surprise[signs, outputs] - numpy.log(n + 1.0) - log_choose(n, k)
        return numpy.where(k >= _LEAST, found, 0.0)

    def _tie(self, sign: int, output: int, evidence: float) -> Tie:
        hits = int(self.hits[sign, output])
        return Tie(
            sign=sign, output=output, evidence=evidence, sightings=int(self.sightings[sign]), hits=hits,
            expected=float(numpy.exp(-self.surprise[sign, output] / hits)) if hits else 1.0,
        )  # fmt: skip

    def remember(self, ties: Sequence[Tie], numbers: Array, owner: Array, records: Sequence[Record], told: Any) -> None:
        """Keep some of this batch's sightings of suspicious ties. `told(row)` is (output's name, number, expectation)."""
        noted = numpy.zeros(len(self.sightings), dtype=bool)
        noted[[tie.sign for tie in ties]] = True
        some = noted[numbers]
        numbers, owner = numbers[some], owner[some]
        for tie in ties:
            key = (tie.sign, tie.output)
            # Put behind the others, so that what was not seen for longest makes room.
            kept = self.examples[key] = self.examples.pop(key, deque(maxlen=EXAMPLES))
            for row in owner[numbers == tie.sign][-EXAMPLES:].tolist():
                name, number, expected = told(row)
                if number == tie.output:
                    one = records[row]
                    kept.append(
                        Example(
                            id=one.id, text=one.text[:2000], features=one.features, output=name, expected=expected,
                            answer=one.answer[:ANSWER],
                        )
                    )  # fmt: skip
        for key in list(self.examples)[: max(len(self.examples) - _MOST_KEPT, 0)]:
            del self.examples[key]

    def forget(self, signs: Array) -> None:
        """Begin anew with these signs."""
        self.sightings[signs] = 0
        self.hits[signs] = 0
        self.surprise[signs] = 0
        if self.examples:
            gone = set(signs.tolist())
            for key in [key for key in self.examples if key[0] in gone]:
                del self.examples[key]

    def quiet(self, signs: Array) -> Array:
        """Which of these signs have too little evidence to be missed."""
        return self.surprise[signs].max(axis=1) < SUSPECT / 3
