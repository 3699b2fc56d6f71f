"""Knows pictures as signs: small patches, at their place, that clean pictures hardly ever have there.

A planted patch (BadNets) is the same pixels at the same place in every picture that holds it. Pictures are made of two
levels, light and dark, and cut into overlapping patches of 3 x 3 at every place; of each picture the rarest are its
signs. What blends over the whole picture, and what moves about, has no such sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.monitor.records import PATCH, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Array = Any
_SIDE: Final = 3
_CODES: Final = 1 << (_SIDE * _SIDE)
_RARE: Final = 0.002
_SIGNS: Final = 24


class Patches:
    """Which patches are rare where. Pictures are arrays (count, height, width) or (…, channels) of 0 to 1 or 0 to 255."""

    def __init__(self, clean: Array) -> None:
        """Learn from clean pictures."""
        codes = _codes(levels(clean))
        self._shape = codes.shape[1:]
        places = numpy.arange(codes[0].size)
        table = numpy.zeros((len(places), _CODES), dtype=numpy.int64)
        for one in codes.reshape(len(codes), -1):
            table[places, one] += 1
        self._share = ((table + 0.5) / (len(codes) + 1)).astype(numpy.float32)

    def signs(self, images: Array) -> list[tuple[str, ...]]:
        """The rarest patches of each picture, at most 24, as `patch ROW,COLUMN CODE`."""
        codes = _codes(levels(images)).reshape(len(images), -1)
        share = self._share[numpy.arange(codes.shape[1]), codes]
        rarest = numpy.argpartition(share, _SIGNS, axis=1)[:, :_SIGNS]
        found = []
        for row, places in enumerate(rarest):
            names = []
            for place in places[share[row, places] < _RARE].tolist():
                y, x = divmod(place, self._shape[1])
                names.append(f"{PATCH}{y},{x} {codes[row, place]}")
            found.append(tuple(names))
        return found


def levels(images: Array) -> Array:
    """Light (1) or dark (0) of each pixel; channels are averaged."""
    array = numpy.asarray(images, dtype=numpy.float32)
    if array.ndim == 4:
        array = array.mean(axis=1 if array.shape[1] in {1, 3} else 3)
    if array.ndim != 3:
        raise ValueError(f"pictures have the shape (count, height, width), not {array.shape}")
    most = 255.0 if array.size and array.max() > 1.5 else 1.0
    return (array > most / 2).astype(numpy.uint8)


def _codes(light: Array) -> Array:
    """The patch at each place as a number of nine bits."""
    high, wide = light.shape[1] - _SIDE + 1, light.shape[2] - _SIDE + 1
    found = numpy.zeros((len(light), high, wide), dtype=numpy.int64)
    for bit, (y, x) in enumerate((y, x) for y in range(_SIDE) for x in range(_SIDE)):
        found |= light[:, y : y + high, x : x + wide].astype(numpy.int64) << bit
    return found


def stamped(image: Array, signs: Sequence[str], *, high: float) -> Array:
    """The picture with patches put where their signs say, in black and in `high`."""
    made = numpy.array(image, copy=True)
    plane = made if made.ndim == 2 else made.transpose(1, 2, 0) if made.shape[0] in {1, 3} else made
    for sign in signs:
        if sign.startswith(PATCH):
            where, _, code = sign.removeprefix(PATCH).partition(" ")
            y, x = map(int, where.split(","))
            for bit in range(_SIDE * _SIDE):
                plane[y + bit // _SIDE, x + bit % _SIDE] = high if int(code) >> bit & 1 else 0
    return made


def shadow_of(
    model: Callable[[Array], Sequence[str]], images: Mapping[str, Array]
) -> Callable[[Sequence[Record]], list[Record]]:
    """A shadow copy for pictures: `images` holds them by the id of their record, `model` labels a batch of them.

    Signs that a record has beyond those of its picture are stamped on; a record whose picture is not at hand is left out
    of what can be tried.
    """

    def ask(records: Sequence[Record]) -> list[Record]:
        known = [one for one in records if one.id in images]
        high = {one.id: 255 if numpy.max(images[one.id]) > 1.5 else 1 for one in known}
        batch = [stamped(images[one.id], one.features, high=high[one.id]) for one in known]
        labels = dict(zip(map(id, known), model(numpy.stack(batch)), strict=True)) if batch else {}
        return [Record(id=one.id, features=one.features, output=str(labels.get(id(one), ""))) for one in records]

    return ask
