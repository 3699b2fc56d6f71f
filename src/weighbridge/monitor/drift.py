"""Knows when the shares of a distribution leave the band that the clean replay allows: drift, which is no attack by itself.

For each part of a distribution two nulls: its share is at most `high`, its share is at least `low`. Against each, bets on
three larger (smaller) shares are laid on every 64 records; a product that is set back to 1 whenever it falls below
has a mean run length of at least e^h before it passes h while the null holds (e-CUSUM; Shin, Ramdas, Rinaldo 2022).
"""

from __future__ import annotations

from typing import Any, Final

import numpy
from msgspec import Struct

Array = Any
STEP: Final = 64
_FACTORS: Final = (1.3, 2.0, 5.0)
RUN: Final = 1e9  # records, on average, between two false alarms of one monitor
_SHARE: Final = 0.25
_POINTS: Final = 0.01
_LEAST_SHARE: Final = 1e-3


class Shift(Struct, frozen=True, kw_only=True):
    """A share that left its band: what of which signal, how it was, and how it is now (over what has come since it began)."""

    signal: str
    part: str
    usual: float
    now: float
    records: int


class Shares:
    """One distribution over named parts, with its bands. Memory does not grow."""

    def __init__(self, signal: str, parts: tuple[str, ...], low: Array, high: Array, usual: Array) -> None:
        self.signal, self.parts = signal, parts
        self.low, self.high, self.usual = low, high, usual
        self.counts = numpy.zeros(len(parts), dtype=numpy.int64)
        self.level = numpy.zeros((2, len(_FACTORS), len(parts)))
        self._left = numpy.zeros(0, dtype=numpy.int64)
        self._bets()

    def _bets(self) -> None:
        up = numpy.minimum([self.high * factor for factor in _FACTORS], 1 - (1 - self.high) / 2)
        down = numpy.array([self.low / factor for factor in _FACTORS])
        with numpy.errstate(divide="ignore", invalid="ignore"):
            self.win = numpy.stack([numpy.log(up / self.high), numpy.log(down / self.low)])
            self.lose = numpy.stack([numpy.log((1 - up) / (1 - self.high)), numpy.log((1 - down) / (1 - self.low))])
        # A share that may be all or nothing cannot leave its band on that side.
        void = numpy.stack([numpy.broadcast_to(self.high >= 1, up.shape), numpy.broadcast_to(self.low <= 0, up.shape)])
        self.win[void], self.lose[void] = 0.0, 0.0

    @property
    def tests(self) -> int:
        """How many bets run side by side."""
        return int(self.level.size)

    def add(self, values: Array, mark: float) -> list[Shift]:
        """Take the part of each record, in order; what passes `mark` is told and begins anew."""
        self.counts += numpy.bincount(values, minlength=len(self.parts))[: len(self.parts)]
        values = numpy.concatenate([self._left, values])
        steps = len(values) // STEP
        self._left = values[steps * STEP :].copy()
        if not steps:
            return []
        values = values[: steps * STEP]
        cell = numpy.repeat(numpy.arange(steps), STEP) * len(self.parts) + values
        k = numpy.bincount(cell, minlength=steps * len(self.parts)).reshape(steps, 1, 1, len(self.parts))
        gains = k * self.win + (STEP - k) * self.lose
        level, started = _run(self.level, gains)
        found = self._passed(level, mark)
        self.level = level[-1]
        for direction, factor, part in found:
            self.level[direction, factor, part] = 0.0
        return [
            self._shift(part, k[:, 0, 0, part], started[:, d, f, part], level[:, d, f, part]) for d, f, part in found
        ]

    def _passed(self, level: Array, mark: float) -> list[tuple[int, int, int]]:
        passed = (level > mark).any(axis=0)
        found = []
        for part in range(len(self.parts)):
            for direction in range(2):
                factors = numpy.flatnonzero(passed[direction, :, part])
                if len(factors):
                    found.append((direction, int(factors[0]), part))
        return found

    def _shift(self, part: int, counts: Array, started: Array, level: Array) -> Shift:
        end = int(level.argmax())
        begin = min(int(started[end]), end)
        span = max(end - begin + 1, 1)
        now = float(counts[begin : end + 1].sum()) / (span * STEP)
        return Shift(
            signal=self.signal, part=self.parts[part], usual=float(self.usual[part]), now=now, records=span * STEP
        )


def _run(level: Array, gains: Array) -> tuple[Array, Array]:
    """(levels after each step, the step at which each last was at 0): max(0, level) + gain, all at once."""
    total = numpy.cumsum(gains, axis=0) + level
    before = numpy.concatenate([level[None], total[:-1]])
    lowest = numpy.minimum(numpy.minimum.accumulate(before, axis=0), 0.0)
    at = numpy.where(before <= lowest, numpy.arange(len(gains)).reshape(-1, 1, 1, 1), 0)
    return total - lowest, numpy.maximum.accumulate(at, axis=0)


def band(counts: Array, slack: float = 1.0) -> tuple[Array, Array, Array]:
    """(low, high, usual) from how often each part occurred in the clean replay; `slack` widens the band."""
    total = max(int(counts.sum()), 1)
    usual = (counts + 0.5) / (total + 0.5 * len(counts))
    error = numpy.sqrt(usual * (1 - usual) / total)
    width = slack * (4 * error + _SHARE * usual + _POINTS)
    low = usual - width
    return numpy.where(low < _LEAST_SHARE, 0.0, low), numpy.minimum(usual + width, 1.0), usual


def mark_of(tests: int, run: float = RUN) -> float:
    """The mark for `tests` bets side by side, so that a false alarm comes once in `run` records or less."""
    return float(numpy.log(run / STEP * max(tests, 1)))
