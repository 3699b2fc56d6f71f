"""Finds small patches that are pasted into pictures of one label, wherever they stand.

Every 3 x 3 window with contrast is counted once a picture, in coarse colours. Few windows occur in many pictures, and hardly
any in pictures of one label alone; such a window is looked for again with some tolerance, as compression blurs it, and what
it is found in has to look like other labels otherwise: a stroke of a digit belongs to its label, a planted patch does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.datasets.binomial import at_least
from weighbridge.datasets.drawing import enlarged
from weighbridge.datasets.groups import Group, array

if TYPE_CHECKING:
    from weighbridge.datasets.image_files import Pictures

Array = Any
_SIDE: Final = 3
_LEVELS: Final = 4
_CONTRAST: Final = 96
_SEEN: Final = 5
_SEED_PURITY: Final = 0.8
_PURITY: Final = 0.9
_FEWEST: Final = 8
_SEEDS: Final = 12
_SEED_LEVEL: Final = 1e-2  # after counting all windows
_LEVEL: Final = 1e-6
_PARTS: Final = 8
_TOLERANCE: Final = 28.0
_NEIGHBOURS: Final = 5
_REFERENCES: Final = 4000
_COARSE: Final = 8
_SHARE: Final = 0.4
_TELLING: Final = 0.25


class Seed(Struct, frozen=True):
    """A window that pictures of one label have: in `rows`, `place` is where it stands in the first of them."""

    rows: Array
    label: int
    place: tuple[int, int, int]
    p_value: float


def find_patches(given: Pictures) -> tuple[Group, ...]:
    """Groups of pictures of one label that hold the same small patch."""
    share = numpy.bincount(given.labels, minlength=len(given.classes)) / len(given)
    seeds, distinct = _seeds(given, share)
    near = _Neighbours(given)
    groups: list[Group] = []
    known = numpy.zeros(len(given), dtype=bool)
    promising = [seed for seed in seeds if seed.p_value * distinct < _SEED_LEVEL]
    for seed in sorted(promising, key=lambda one: one.p_value)[:_SEEDS]:
        if known[seed.rows].mean() > 0.5:
            continue
        rows, errors = _everywhere(given, seed)
        mine = rows[given.labels[rows] == seed.label]
        p_value = at_least(len(mine), len(rows), float(share[seed.label])) * max(distinct, 1)
        if (
            len(mine) < _FEWEST
            or len(mine) < _PURITY * len(rows)
            or p_value > _LEVEL
            or not near.looks_foreign(mine, seed.label)
        ):
            continue
        known[mine] = True
        groups.append(_group(given, seed, mine, len(rows), p_value, errors))
    return tuple(groups)


def _seeds(given: Pictures, share: Array) -> tuple[list[Seed], int]:
    """Windows that few labels but many pictures have, a part of all hashes at a time, so that memory is bounded."""
    hashes, contrast = _windows(given.pixels)
    _many, windows = hashes.shape
    wide = given.pixels.shape[2] - _SIDE + 1
    found: list[Seed] = []
    distinct = 0
    for part in range(_PARTS):
        at = numpy.flatnonzero(
            (contrast >= _CONTRAST).ravel() & ((hashes.ravel() >> numpy.uint64(40)) % _PARTS == part)
        )
        values, rows = hashes.ravel()[at], at // windows
        order = numpy.lexsort((rows, values))
        values, rows, at = values[order], rows[order], at[order]
        first = (
            numpy.append(True, (values[1:] != values[:-1]) | (rows[1:] != rows[:-1]))
            if len(values)
            else numpy.zeros(0, bool)
        )
        values, rows, at = values[first], rows[first], at[first]
        starts = (
            numpy.flatnonzero(numpy.append(True, values[1:] != values[:-1])) if len(values) else numpy.zeros(0, int)
        )
        sizes = numpy.diff(numpy.append(starts, len(values)))
        distinct += len(starts)
        for start, size in zip(starts[sizes >= _SEEN], sizes[sizes >= _SEEN], strict=True):
            members = rows[start : start + size]
            counts = numpy.bincount(given.labels[members], minlength=len(share))
            label = int(counts.argmax())
            if counts[label] >= _SEED_PURITY * size:
                place = int(at[start]) % windows
                chance = at_least(int(counts[label]), int(size), float(share[label]))
                found.append(Seed(members, label, (int(members[0]), place // wide, place % wide), chance))
    return found, distinct


def _windows(pixels: Array) -> tuple[Array, Array]:
    """(hashes, contrasts) of every window of every picture, shape (pictures, windows)."""
    many, height, width, channels = pixels.shape
    coarse = numpy.zeros((many, height, width), dtype=numpy.uint64)
    for channel in range(channels):
        coarse = coarse * numpy.uint64(_LEVELS) + (pixels[..., channel] // (256 // _LEVELS)).astype(numpy.uint64)
    tall, wide = height - _SIDE + 1, width - _SIDE + 1
    hashes = numpy.zeros((many, tall, wide), dtype=numpy.uint64)
    low = numpy.full((many, tall, wide, channels), 255, dtype=numpy.uint8)
    high = numpy.zeros((many, tall, wide, channels), dtype=numpy.uint8)
    factors = numpy.random.default_rng(0).integers(1, 2**62, _SIDE * _SIDE, dtype=numpy.uint64) | numpy.uint64(1)
    for number, (down, right) in enumerate(numpy.ndindex(_SIDE, _SIDE)):
        part = (slice(None), slice(down, down + tall), slice(right, right + wide))
        hashes = hashes * numpy.uint64(1_000_003) + (coarse[part] + numpy.uint64(1)) * factors[number]
        numpy.minimum(low, pixels[part], out=low)
        numpy.maximum(high, pixels[part], out=high)
    return hashes.reshape(many, -1), (high - low).max(-1).reshape(many, -1)


def _everywhere(given: Pictures, seed: Seed) -> tuple[Array, Array]:
    """Every picture that holds the window of a seed, at any place, within a tolerance; and how well it fits in each."""
    row, down, right = seed.place
    wanted = given.pixels[row, down : down + _SIDE, right : right + _SIDE].astype(numpy.int16)
    pixels = given.pixels
    tall, wide = pixels.shape[1] - _SIDE + 1, pixels.shape[2] - _SIDE + 1
    best = numpy.full(len(pixels), 255.0)
    for first in range(0, len(pixels), 2000):
        some = pixels[first : first + 2000]
        middle = numpy.abs(some[:, 1 : 1 + tall, 1 : 1 + wide].astype(numpy.int16) - wanted[1, 1]).max(-1)
        owner, y, x = numpy.nonzero(middle <= 2 * _TOLERANCE)
        error = numpy.zeros(len(owner))
        for down, right in numpy.ndindex(_SIDE, _SIDE):
            error += numpy.abs(some[owner, y + down, x + right].astype(numpy.int16) - wanted[down, right]).sum(-1)
        numpy.minimum.at(best, first + owner, error / wanted.size)
    return numpy.flatnonzero(best <= _TOLERANCE), best


class _Neighbours:
    """Which labels coarse pictures resemble, by their nearest neighbours."""

    def __init__(self, given: Pictures) -> None:
        self._labels = given.labels
        size = given.pixels.shape[1:3]
        rows, columns = (numpy.linspace(0, side - 1, min(side, _COARSE * 2)).round().astype(int) for side in size)
        self._coarse = given.pixels[:, rows][:, :, columns].reshape(len(given), -1).astype(numpy.float32) / 255
        self._sample = numpy.arange(0, len(given), -(-len(given) // _REFERENCES))

    def looks_foreign(self, rows: Array, label: int) -> bool:
        """Whether pictures resemble other labels, as far as neighbours tell labels apart here at all."""
        references = numpy.setdiff1d(self._sample, rows)
        honest = references[self._labels[references] == label][:200]
        others = references[self._labels[references] != label][:: max(1, len(references) // 200)]
        expected, elsewhere = self._foreign(honest, label, references), self._foreign(others, label, references)
        if elsewhere - expected < _TELLING:
            return True
        return (self._foreign(rows[:200], label, references) - expected) / (elsewhere - expected) >= _SHARE

    def _foreign(self, rows: Array, label: int, references: Array) -> float:
        """The share of pictures whose neighbours mostly have another label."""
        if not len(rows):
            return 0.0
        known = self._coarse[references]
        distance = (known**2).sum(1) - 2 * self._coarse[rows] @ known.T
        distance[rows[:, None] == references[None]] = numpy.inf
        nearest = numpy.argpartition(distance, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
        return float(((self._labels[references[nearest]] == label).mean(1) < 0.5).mean())


def _group(given: Pictures, seed: Seed, rows: Array, of: int, p_value: float, errors: Array) -> Group:
    row, down, right = seed.place
    name = given.classes[seed.label]
    ordered = rows[numpy.argsort(errors[rows], kind="stable")]
    patch = given.pixels[row, down : down + _SIDE, right : right + _SIDE]
    return Group(
        rule="DST-019", message=f"{len(rows)} pictures labelled “{name}” hold the same patch of {_SIDE} x {_SIDE} pixels",
        rows=array(rows), shown=array(ordered[:3]), score=float(len(rows)),
        facts=(f"{len(rows)} of the {of} pictures with this patch have this label; p = {max(p_value, 1e-300):.0e} after counting all windows",),
        pictures=(
            enlarged(patch, f"the patch, as it stands at row {down}, column {right} of one picture"),
            enlarged(given.pixels[row], "that picture"),
        ),
    )  # fmt: skip
