"""Finds pictures of one class that hold something where nothing stands in the others: on paper, on black, outside of a scan.

A background that is the same in nearly all pictures shows whatever is added to it, however faint. Honest pictures differ from it
where their object reaches, each elsewhere; pictures that were blended with one pattern differ from it everywhere, and alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.spectra import pattern

if TYPE_CHECKING:
    from weighbridge.datasets.groups import Group
    from weighbridge.datasets.image_files import Pictures

Array = Any
_SAMPLE: Final = 4000
_CONSTANT: Final = 0.9  # of the pictures have the same value in a pixel of the background
_LEAST: Final = 0.05  # of the pixels are background
_PIXELS: Final = 24
_FILLED: Final = 0.3  # of the background differs in a picture that something was added to
_BETWEEN: Final = 0.5  # pictures that differ half as much are few where two kinds of pictures are there
_FEWEST: Final = 8
_ONE_LABEL: Final = 0.9
_ALIKE: Final = 0.3
_EVEN: Final = 0.2


def find_on_background(given: Pictures) -> tuple[Group, ...]:
    """At most one group for each label: pictures whose background is filled, all in the same way, with hardly any between."""
    flat = given.pixels.reshape(len(given.pixels), -1)
    usual, places = _background(flat)
    if len(places) < max(_PIXELS, _LEAST * flat.shape[1]):
        return ()
    differs = flat[:, places].astype(numpy.int16) - usual[places]
    filled = (differs != 0).mean(1)
    rows = numpy.flatnonzero(filled >= _FILLED)
    between = int(((filled >= _BETWEEN * _FILLED) & (filled < _FILLED)).sum())
    if len(rows) < _FEWEST or between > 0.1 * len(rows):
        return ()
    groups = []
    for label in range(len(given.classes)):
        chosen = rows[given.labels[rows] == label]
        if len(chosen) < max(_FEWEST, _ONE_LABEL * len(rows)) or not _alike(differs[chosen]):
            continue
        rest = numpy.setdiff1d(numpy.flatnonzero(given.labels == label), chosen)
        if len(rest):
            fact = f"{numpy.median(filled[chosen]):.0%} of the background of each differs, {numpy.quantile(numpy.delete(filled, rows), 0.999):.0%} of that of other pictures at most"
            groups.append(pattern(given, chosen, rest, label, float(len(chosen)), fact))
    return tuple(groups)


def _background(flat: Array) -> tuple[Array, Array]:
    """(the usual value of each pixel, the pixels that have it in nearly all pictures)."""
    sample = flat[:: -(-len(flat) // _SAMPLE)]
    usual = numpy.median(sample, axis=0).astype(numpy.int16)
    return usual, numpy.flatnonzero((sample == usual).mean(0) >= _CONSTANT)


def _alike(differs: Array) -> bool:
    """Whether pictures differ from the background in the same way: evenly, or as the mean of the others does beside its evenness."""
    mean = differs.mean(1, keepdims=True)
    centred = differs - mean
    is_even = centred.std(1) <= _EVEN * numpy.abs(mean[:, 0])
    unit = centred / numpy.linalg.norm(centred, axis=1, keepdims=True).clip(1e-9)
    others = unit.sum(0) - unit
    agree = (unit * others).sum(1) / numpy.linalg.norm(others, axis=1).clip(1e-9)
    return float(numpy.median(numpy.where(is_even, 1.0, agree))) >= _ALIKE
