"""Knows what the rest of a request lets one expect of its output: a naive Bayes of the clean replay, made honest.

It is no copy of the model, only a yardstick: where words speak for sports and the model says business a thousand times
in a row after one word, that word decides. Overconfidence of naive Bayes is taken out by a temperature and a floor that
are fitted on records that the counts have not seen, so that expectations are probabilities.
"""

from __future__ import annotations

from typing import Any, Final

import numpy

Array = Any
MOST_CLASSES: Final = 32
OTHERS: Final = "(others)"
_SMOOTH: Final = 0.5
_TEMPERATURES: Final = (1.0, 0.8, 0.6, 0.45, 0.35, 0.25, 0.15, 0.08, 0.0)
_FLOORS: Final = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.25, 0.5)


class Expectation:
    """Per sign and class how much it speaks for the class (`weights`, natural logarithms), prior, temperature and floor."""

    def __init__(self, weights: Array, prior: Array, temperature: float = 0.35, floor: float = 0.1) -> None:
        self.weights, self.prior = weights, prior
        self.temperature, self.floor = temperature, floor

    @property
    def classes(self) -> int:
        """How many classes."""
        return len(self.prior)

    def scores(self, numbers: Array, owner: Array, count: int) -> Array:
        """Of `count` records, per class, before temperature: shape (count, classes)."""
        total = numpy.zeros((count, self.classes), dtype=numpy.float32)
        if len(numbers):
            known = numbers < len(self.weights)
            if not known.all():
                numbers, owner = numbers[known], owner[known]
        if len(numbers):
            starts = numpy.flatnonzero(numpy.r_[True, owner[1:] != owner[:-1]])
            total[owner[starts]] = numpy.add.reduceat(self.weights[numbers], starts, axis=0)
        return total

    def probabilities(self, scores: Array, temperature: float | None = None, floor: float | None = None) -> Array:
        """What is to be expected, per record and class; each row sums to 1."""
        heat = self.temperature if temperature is None else temperature
        low = self.floor if floor is None else floor
        raised = scores * numpy.float32(heat) + numpy.log(self.prior)
        raised -= raised.max(axis=1, keepdims=True)
        numpy.exp(raised, out=raised)
        raised /= raised.sum(axis=1, keepdims=True)
        raised *= numpy.float32(1 - low)
        raised += (low * self.prior).astype(numpy.float32)
        return raised

    def fit(self, scores: Array, outputs: Array) -> float:
        """Choose temperature and floor by likelihood on records that the counts have not seen; the mean of -log p there."""
        best = numpy.inf
        rows = numpy.arange(len(outputs))
        for heat in _TEMPERATURES:
            for low in _FLOORS:
                loss = float(-numpy.log(self.probabilities(scores, heat, low)[rows, outputs]).mean())
                if loss < best - 1e-4:
                    best, self.temperature, self.floor = loss, heat, low
        return best


def learn(numbers: Array, owner: Array, outputs: Array, classes: int, signs: int) -> Expectation:
    """Count: `outputs` is the class of each record, `numbers` and `owner` its signs."""
    counts = numpy.zeros((signs, classes), dtype=numpy.float32)
    numpy.add.at(counts, (numbers, outputs[owner]), 1)
    of_class = numpy.bincount(outputs, minlength=classes).astype(numpy.float32)
    prior = (of_class + 1) / (of_class.sum() + classes)
    total = counts.sum(axis=1, keepdims=True)
    # Smoothed towards the prior, so that a sign that was seen once says little.
    share = (counts + _SMOOTH * classes * prior) / (total + _SMOOTH * classes)
    return Expectation(numpy.log(share / prior).astype(numpy.float32), prior.astype(numpy.float32))
