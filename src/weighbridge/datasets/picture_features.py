"""Turns pictures into numbers that tell what is on them, learned from the pictures alone: a dictionary of small patches, pooled.

Source: Coates, Ng and Lee 2011, "An analysis of single-layer networks in unsupervised feature learning": patches are whitened and
clustered; how much of each centre is in each quarter of a picture is what a linear model needs.
"""

from __future__ import annotations

from typing import Any, Final

import numpy

Array = Any
_CENTRES: Final = 96
_PATCH: Final = 6
_DRAWN: Final = 20_000
_ROUNDS: Final = 8
_FLOOR: Final = 0.0015  # of the variance of a patch: flat ones are not blown up
_WHITENED: Final = 0.1
_BEYOND: Final = 0.5
_CELLS: Final = 2
_BATCH: Final = 128


def picture_features(pixels: Array, seed: int = 0) -> Array:
    """Numbers (pictures, centres x quarters) of pictures (n, height, width, channels) from 0 to 255, of like scale."""
    many, height, width, _ = pixels.shape
    side = min(_PATCH, height // _CELLS, width // _CELLS)
    dice = numpy.random.default_rng(seed)
    sample = _normal(_drawn(pixels, side, dice))
    middle = sample.mean(0)
    values, axes = numpy.linalg.eigh(numpy.cov(sample.T))
    whitening = ((axes / numpy.sqrt(values.clip(0) + _WHITENED)) @ axes.T).astype(numpy.float32)
    centres = _clustered((sample - middle) @ whitening, dice)
    project = whitening @ centres.T
    shift = middle @ project
    made = numpy.empty((many, len(centres) * _CELLS * _CELLS), dtype=numpy.float32)
    for first in range(0, many, _BATCH):
        windows = _windows(pixels[first : first + _BATCH], side)
        found = numpy.maximum(_normal(windows) @ project - shift - _BEYOND, 0)
        made[first : first + _BATCH] = _pooled(found)
    made -= made.mean(0)
    made /= made.std(0) + 1e-3
    return made / numpy.sqrt(made.shape[1])


def _drawn(pixels: Array, side: int, dice: numpy.random.Generator) -> Array:
    many, height, width, _ = pixels.shape
    picture = dice.integers(0, many, _DRAWN)
    top, left = dice.integers(0, height - side + 1, _DRAWN), dice.integers(0, width - side + 1, _DRAWN)
    rows = top[:, None, None] + numpy.arange(side)[None, :, None]
    columns = left[:, None, None] + numpy.arange(side)[None, None, :]
    found = pixels[picture[:, None, None], rows, columns]
    return found.transpose(0, 3, 1, 2).reshape(_DRAWN, -1).astype(numpy.float32) / 255


def _windows(pixels: Array, side: int) -> Array:
    x = pixels.astype(numpy.float32) / 255
    found = numpy.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    return found.reshape(*found.shape[:3], -1)


def _normal(patches: Array) -> Array:
    """Patches without their brightness, of one contrast."""
    patches = patches - patches.mean(-1, keepdims=True)
    return patches / numpy.sqrt((patches**2).mean(-1, keepdims=True) + _FLOOR)


def _clustered(patches: Array, dice: numpy.random.Generator) -> Array:
    """Directions that most patches lie near to: spherical k-means."""
    centres = patches[dice.permutation(len(patches))[:_CENTRES]]
    centres = centres / numpy.maximum(numpy.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
    for _ in range(_ROUNDS):
        nearest = (patches @ centres.T).argmax(1)
        sums = numpy.zeros_like(centres)
        numpy.add.at(sums, nearest, patches)
        sizes = numpy.linalg.norm(sums, axis=1, keepdims=True)
        centres = numpy.where(sizes > 0, sums / numpy.maximum(sizes, 1e-6), centres).astype(numpy.float32)
    return centres


def _pooled(found: Array) -> Array:
    """The mean of each centre over each quarter of the picture."""
    count, height, width, centres = found.shape
    rows = [found[:, height * at // _CELLS : height * (at + 1) // _CELLS] for at in range(_CELLS)]
    cells = [
        row[:, :, width * at // _CELLS : width * (at + 1) // _CELLS].mean((1, 2))
        for row in rows
        for at in range(_CELLS)
    ]
    return numpy.concatenate(cells, axis=1).reshape(count, centres * _CELLS * _CELLS)
