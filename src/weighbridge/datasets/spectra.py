"""Finds what is added to whole pictures of a class: blended patterns, waves, patches at a fixed place.

Natural pictures have little in fine detail that is the same in many of them. Each frequency is divided by its usual power
(whitening), and in each class the directions of most variance, and of the most shifted frequency, are tried as a filter. A
planted pattern splits its class in two heaps far apart; nature gives one heap. Without a model, and without training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.drawing import enlarged
from weighbridge.datasets.groups import Group, array

if TYPE_CHECKING:
    from weighbridge.datasets.image_files import Pictures
    from weighbridge.schema import Picture

Array = Any
_DIRECTIONS: Final = 3
_FREQUENCIES: Final = 2
_ROUNDS: Final = 12
_SAMPLE: Final = 4000
_FEWEST: Final = 8
LEAST: Final = 32  # pictures of a class, for it to be looked at
_APART: Final = 5.0
_SMALL: Final = 16  # pixels on a side: below, nature has two heaps as well (the two ways to write a 1)
_APART_SMALL: Final = 10.0
_OTHERS: Final = 2000
_FLOOR: Final = 1e-3


def find_added(given: Pictures) -> tuple[Group, ...]:
    """Groups of pictures of one class that share what the rest of the class lacks."""
    groups = []
    pixels = given.pixels.astype(numpy.float32)
    power, mean = _usual(pixels)
    for label in range(len(given.classes)):
        rows = numpy.flatnonzero(given.labels == label)
        if len(rows) >= LEAST:
            groups += _in_class(given, pixels, rows, label, power, mean)
    return tuple(groups)


def _usual(pixels: Array) -> tuple[Array, Array]:
    """The usual power of each frequency (by its median: what is planted in a tenth does not hide itself), and the mean spectrum."""
    spectra = numpy.fft.rfft2(pixels[:: -(-len(pixels) // _SAMPLE)], axes=(1, 2)).astype(numpy.complex64)
    mean = spectra.mean(0)
    power = numpy.sqrt(numpy.median(numpy.abs(spectra - mean) ** 2, axis=0) / math.log(2))
    return numpy.maximum(power, _FLOOR * power.max(initial=1e-9)), mean


def _in_class(given: Pictures, pixels: Array, rows: Array, label: int, power: Array, mean: Array) -> list[Group]:
    """Try every direction; a direction is learned on a sample and held against all."""
    flat = _flat(pixels[rows], power, mean)
    spectra = flat.view(numpy.complex64).reshape(len(rows), *mean.shape)
    middle = flat.mean(0)
    flat = flat - middle
    sample = flat[:: -(-len(flat) // _SAMPLE)]
    others = numpy.flatnonzero(given.labels != label)
    others = others[:: -(-len(others) // _OTHERS) or 1]
    limit = _APART if min(given.pixels.shape[1:3]) >= _SMALL else _APART_SMALL
    found: list[tuple[float, Array]] = []
    elsewhere = None
    for direction in (*_variance(sample).T, *_shifted(spectra)):
        scores = flat @ direction
        apart, low, high = _heaps(scores)
        if apart <= limit:
            continue
        if elsewhere is None:
            elsewhere = _flat(pixels[others], power, mean) - middle
        usual = float(numpy.median(elsewhere @ direction))
        heap = max((low, high), key=lambda one: abs(float(numpy.median(scores[one])) - usual))
        if not any(_same(heap, other) for _, other in found):
            found.append((apart, heap))
    return [_group(given, rows, heap, label, apart) for apart, heap in sorted(found, key=lambda one: -one[0])]


def _flat(pixels: Array, power: Array, mean: Array) -> Array:
    spectra = ((numpy.fft.rfft2(pixels, axes=(1, 2)) - mean) / power).astype(numpy.complex64)
    return spectra.reshape(len(pixels), -1).view(numpy.float32)


def _variance(flat: Array) -> Array:
    """The directions of most variance, by orthogonal iteration from a fixed start."""
    start = numpy.random.default_rng(0).normal(size=(flat.shape[1], _DIRECTIONS)).astype(numpy.float32)
    for _ in range(_ROUNDS):
        start, _ = numpy.linalg.qr(flat.T @ (flat @ start))
    return start


def _shifted(spectra: Array) -> list[Array]:
    """The frequencies whose phase is most alike within the class, each as a filter."""
    mean = spectra.mean(0)
    size = numpy.abs(mean).sum(-1)
    size[0, 0] = 0
    made = []
    for place in numpy.argsort(-size, axis=None)[:_FREQUENCIES]:
        at = numpy.unravel_index(place, size.shape)
        chosen = numpy.zeros_like(mean)
        chosen[at] = mean[at] / max(1e-9, float(numpy.linalg.norm(mean[at])))
        made.append(chosen.reshape(-1).view(numpy.float32))
    return made


def _heaps(scores: Array) -> tuple[float, Array, Array]:
    """How far apart two heaps of numbers lie, in robust spreads, and which numbers are in each (Otsu 1979)."""
    order = numpy.argsort(scores)
    ordered = scores[order].astype(numpy.float64)
    many = len(ordered)
    below = numpy.arange(1, many)
    sums = numpy.cumsum(ordered)
    between = below * (many - below) * (sums[:-1] / below - (sums[-1] - sums[:-1]) / (many - below)) ** 2
    cut = int(between.argmax()) + 1
    low, high = ordered[:cut], ordered[cut:]
    if min(len(low), len(high)) < _FEWEST:
        return 0.0, order[:cut], order[cut:]
    spread = numpy.sqrt((_spread(low) ** 2 + _spread(high) ** 2) / 2)
    return float((numpy.median(high) - numpy.median(low)) / max(spread, 1e-9)), order[:cut], order[cut:]


def _spread(values: Array) -> float:
    return float(1.4826 * numpy.median(numpy.abs(values - numpy.median(values)))) or float(values.std())


def _same(one: Array, other: Array) -> bool:
    return len(numpy.intersect1d(one, other)) >= 0.5 * min(len(one), len(other))


def _group(given: Pictures, rows: Array, heap: Array, label: int, apart: float) -> Group:
    chosen = numpy.sort(rows[heap])
    fact = f"two heaps lie {apart:.0f} spreads apart; natural classes stay near 2.5"
    return pattern(given, chosen, numpy.setdiff1d(rows, chosen), label, apart, fact)


def pattern(given: Pictures, chosen: Array, rest: Array, label: int, score: float, fact: str) -> Group:
    """Pictures of a label that share what the `rest` of it lacks, with how they look."""
    name = given.classes[label]
    return Group(
        rule="DST-019", message=f"{len(chosen)} pictures labelled “{name}” carry a pattern that the others of this label lack",
        rows=array(chosen), shown=array(chosen[:3]), score=score,
        facts=(fact,),
        pictures=beside_others(given, chosen, rest, name),
    )  # fmt: skip


def beside_others(given: Pictures, chosen: Array, rest: Array, name: str) -> tuple[Picture, ...]:
    """What some pictures of a label have on average beyond the `rest` of it, and one of them."""
    added = given.pixels[chosen].mean(0) - given.pixels[rest].mean(0)
    scale = max(1.0, float(numpy.abs(added).max()))
    return (
        enlarged(
            128 + 127 * added / scale,
            f"what {len(chosen)} pictures labelled “{name}” have on average beyond the others",
        ),
        enlarged(given.pixels[chosen[0]], "one of them"),
    )
