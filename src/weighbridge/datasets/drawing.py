"""Knows how pixels become a picture in a report."""

from __future__ import annotations

from typing import Any, Final

import numpy

from weighbridge.schema import Picture

_SIDE: Final = 48


def enlarged(pixels: Any, caption: str) -> Picture:
    """Pixels (height, width, channels) from 0 to 255 as a picture of at most 48 cells on a side."""
    step = max(1, -(-max(pixels.shape[:2]) // _SIDE))
    small = numpy.asarray(pixels)[::step, ::step]
    colours = numpy.repeat(small[..., :1], 3, axis=-1) if small.shape[-1] < 3 else small[..., :3]
    data = numpy.clip(colours, 0, 255).round().astype(numpy.uint8)
    return Picture(caption=caption, width=data.shape[1], height=data.shape[0], colours=data.tobytes())
