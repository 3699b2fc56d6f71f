"""Reads labels by numbers: what the rows that are nearest to a row, and a linear model of all others, say of its label.

Both are exact leave-one-out: neighbours without the row itself, and ridge regression through its hat matrix. Rows that both contradict
count for less in the next round, so that labels that were exchanged in great number do not vouch for each other.
"""

from __future__ import annotations

from typing import Any, Final

import numpy
from msgspec import Struct

Array = Any
_NEAREST: Final = 10
_ROUNDS: Final = 3
_DOUBTED: Final = 0.05  # what a doubted row counts for
_MOST_DOUBTED: Final = 0.1
_RIDGES: Final = (1e-1, 1e-2, 1e-3, 1e-4)
_SHARP: Final = 0.25
_COMPARED: Final = 20_000  # rows that neighbours are looked for among
_BLOCK: Final = 512


class LabelsRead(Struct, frozen=True):
    """What numbers say of each row: the likeliest other label or its own, and how far another label is ahead (-1 to 1, summed over rounds)."""

    predicted: Array
    margin: Array


def read_labels(numbers: Array, labels: Array, *, seed: int = 0) -> LabelsRead:
    """Numbers (rows, columns) of like scale, labels from 0."""
    kinds, many = int(labels.max()) + 1, len(labels)
    rows = numpy.arange(many)
    near = _nearest(numbers.astype(numpy.float32), seed)
    weights, margin = numpy.ones(many), numpy.zeros(many)
    said = numpy.zeros((many, kinds))
    solved = {one: _linear(numbers, labels, kinds, weights, one) for one in _RIDGES}
    ridge = max(_RIDGES, key=lambda one: _right(solved[one], labels))
    for number in range(_ROUNDS):
        linear = _linear(numbers, labels, kinds, weights, ridge) if number else solved[ridge]
        said = (_votes(near, labels, kinds, weights) + linear) / 2
        others = said.copy()
        others[rows, labels] = 0
        ahead = others.max(1) - said[rows, labels]
        margin += ahead
        # Where numbers tell little, most of what contradicts is honest: no more than a tenth is doubted.
        least = max(0.0, float(numpy.quantile(ahead, 1 - _MOST_DOUBTED)))
        weights = numpy.where(ahead > least, _DOUBTED, 1.0)
    return LabelsRead(said.argmax(1), margin / _ROUNDS)


def read_without(numbers: Array, labels: Array, left_out: Array) -> Array:
    """The likeliest label of each row by a linear model that some rows have no part in: what they say of themselves does not count."""
    weights = numpy.ones(len(labels))
    weights[left_out] = 0.0
    said: Array = _linear(numbers, labels, int(labels.max()) + 1, weights, _RIDGES[1]).argmax(1)
    return said


def scaled(numbers: Array) -> Array:
    """Columns with the mean 0 and the deviation 1; what is no number is the mean."""
    finite = numpy.where(numpy.isfinite(numbers), numbers, numpy.nan).astype(numpy.float64)
    mean = numpy.nan_to_num(numpy.nanmean(finite, axis=0))
    spread = numpy.nan_to_num(numpy.nanstd(finite, axis=0))
    made: Array = numpy.nan_to_num((finite - mean) / numpy.where(spread > 0, spread, 1))
    return made / max(1.0, numpy.sqrt(made.shape[1]))


def _nearest(numbers: Array, seed: int) -> Array:
    """The nearest other rows of each; of many rows, among some drawn by chance."""
    many = len(numbers)
    drawn = numpy.sort(numpy.random.default_rng(seed).permutation(many)[:_COMPARED])
    among, sizes = numbers[drawn], (numbers[drawn] ** 2).sum(1)
    place = numpy.full(many, -1)
    place[drawn] = numpy.arange(len(drawn))
    count = min(_NEAREST, max(1, len(drawn) - 1))
    found = numpy.empty((many, count), dtype=numpy.int64)
    for first in range(0, many, _BLOCK):
        part = slice(first, min(many, first + _BLOCK))
        far = sizes[None] - 2 * numbers[part] @ among.T
        own = place[part]
        far[numpy.flatnonzero(own >= 0), own[own >= 0]] = numpy.inf
        found[part] = drawn[numpy.argpartition(far, count - 1, axis=1)[:, :count]]
    return found


def _votes(near: Array, labels: Array, kinds: int, weights: Array) -> Array:
    votes = numpy.zeros((len(near), kinds))
    rows = numpy.arange(len(near))
    for column in near.T:
        votes[rows, labels[column]] += weights[column]
    return votes / numpy.maximum(votes.sum(1, keepdims=True), 1e-9)


def _right(chances: Array, labels: Array) -> float:
    return float((chances.argmax(1) == labels).mean())


def _linear(numbers: Array, labels: Array, kinds: int, weights: Array, ridge: float) -> Array:
    """Chances by weighted ridge regression on the labels, each row left out of its own."""
    many, columns = numbers.shape
    x = numpy.hstack([numbers, numpy.ones((many, 1))]).astype(numpy.float64)
    wanted = -numpy.ones((many, kinds))
    wanted[numpy.arange(many), labels] = 1
    weighted = x * weights[:, None]
    table = weighted.T @ x
    # The more alike the rows, the smaller their numbers' share: the penalty follows what there is to explain.
    table[numpy.arange(columns), numpy.arange(columns)] += (
        ridge * numpy.trace(table[:columns, :columns]) / max(1, columns) + 1e-9
    )
    inverse = numpy.linalg.pinv(table, hermitian=True)
    hat = ((x @ inverse) * x).sum(1) * weights
    scores = x @ (inverse @ (weighted.T @ wanted))
    scores = (scores - hat[:, None] * wanted) / numpy.maximum(1 - hat[:, None], 1e-3)
    scores = (scores - scores.max(1, keepdims=True)) / _SHARP
    chances = numpy.exp(scores)
    return chances / chances.sum(1, keepdims=True)
