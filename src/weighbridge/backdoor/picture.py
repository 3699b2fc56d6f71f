"""Knows how a small picture is written as PNG. Source: W3C PNG, third edition; eight bits a channel, no filter."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy

_SIDE: Final = 160  # about as wide as a small picture is shown


def png(pixels: Any) -> bytes:
    """Rows of RGB pixels (height, width, 3; uint8) as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[row].tobytes() for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def enlarged(image: Any) -> Any:
    """Rows of RGB bytes of an image (channels, height, width) from 0 to 1, grown so that people see single pixels."""
    image = numpy.broadcast_to(image, (3, *image.shape[1:])) if image.shape[0] == 1 else image[:3]
    times = max(1, _SIDE // image.shape[2])
    grown = image.repeat(times, 1).repeat(times, 2).transpose(1, 2, 0)
    return numpy.ascontiguousarray((grown * 255).round().astype(numpy.uint8))
