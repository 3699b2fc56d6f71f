"""Knows pictures by how they look: hashes of 64 bits that stay nearly the same when a picture is scaled, cropped a little or saved anew.

The definitions are those of the imagehash library, whose hexadecimal lists carry: `phash` (the low frequencies of 32 x 32 pixels
above their median), `dhash` (whether each of 9 x 8 pixels is darker than the next), `ahash` (which of 8 x 8 are above their mean).
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.columns import LOOKS
from weighbridge.datasets.image_files import opened

if TYPE_CHECKING:
    from collections.abc import Callable

Array = Any
NEAR: Final = 10  # of 64 bits: what scaling and JPEG move; pictures of different things differ in some 32
_SIDE: Final = 8
_FINE: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]{16}\Z")
_KINDS: Final = {"perceptual_hash": "phash", "average_hash": "ahash", "difference_hash": "dhash"}


class Unreadable(ValueError):
    """What was fetched is no picture that can be read."""


def kind_of(column: str) -> str:
    """`phash`, `dhash` or `ahash` by the name of a column, or nothing."""
    found = LOOKS.search(column)
    return _KINDS.get(found[1].lower(), found[1].lower()) if found else ""


def is_hash(value: object) -> bool:
    """Whether a cell holds such a hash."""
    return isinstance(value, str) and bool(_HEX.match(value.strip()))


def distance(data: bytes, kind: str, said: str) -> int:
    """How many of 64 bits differ between a picture and the hash that is said of it. Raises Unreadable."""
    return (int(looks(data, kind), 16) ^ int(said.strip(), 16)).bit_count()


def looks(data: bytes, kind: str) -> str:
    """The hash of a picture, 16 hexadecimal digits. Raises Unreadable."""
    bits = _BITS[kind](data).reshape(-1)
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def _grey(data: bytes, width: int, height: int) -> Array:
    try:
        with opened(BytesIO(data)) as image:
            # 1 is the Lanczos filter of Pillow.
            return numpy.asarray(image.convert("L").resize((width, height), 1), dtype=numpy.float64)
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        raise Unreadable(str(error)[:100]) from error


def _average(data: bytes) -> Array:
    pixels = _grey(data, _SIDE, _SIDE)
    return pixels > pixels.mean()


def _difference(data: bytes) -> Array:
    pixels = _grey(data, _SIDE + 1, _SIDE)
    return pixels[:, 1:] > pixels[:, :-1]


def _frequencies(data: bytes) -> Array:
    pixels = _grey(data, _FINE, _FINE)
    places = numpy.arange(_FINE)
    cosines = 2 * numpy.cos(numpy.pi * places[:_SIDE, None] * (2 * places[None] + 1) / (2 * _FINE))
    low = cosines @ pixels @ cosines.T
    return low > numpy.median(low)


_BITS: Final[dict[str, Callable[[bytes], Array]]] = {"phash": _frequencies, "dhash": _difference, "ahash": _average}
