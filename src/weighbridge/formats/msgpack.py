"""Knows msgpack as Flax writes it: a tree of maps whose arrays are extension values.

Source: msgpack specification; `flax/serialization.py` (extension codes 1 ndarray, 2 complex, 3 scalar).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

_ITEMS: Final = 5_000_000
_DEPTH: Final = 512
_NOTED: Final = 1000
WIDTHS: Final = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
COUNTED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
FIXED_EXTENSIONS: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


class Extension(Struct, frozen=True, kw_only=True):
    """An extension value; `dtype` is what an ndarray (code 1) or scalar (code 3) claims to be."""

    code: int
    offset: int
    length: int
    dtype: str = ""


class MsgpackFacts(Struct, frozen=True, kw_only=True):
    """One msgpack object: how far it goes, what it holds, and what stops it."""

    end: int
    items: int
    depth: int
    maps: int
    extensions: tuple[Extension, ...]
    tensor_bytes: int
    broken: str = ""
    limit: str = ""


def read_msgpack(blob: Blob) -> MsgpackFacts:
    """Walk the first object of a blob, iteratively and within bounds."""
    walker = _Walker(blob)
    try:
        walker.run()
    except MalformedInput as error:
        walker.broken = error.message
    return MsgpackFacts(
        end=walker.at,
        items=walker.items,
        depth=walker.deepest,
        maps=walker.maps,
        extensions=tuple(walker.extensions),
        tensor_bytes=walker.tensor_bytes,
        broken=walker.broken,
        limit=walker.limit,
    )


class _Walker:
    def __init__(self, blob: Blob) -> None:
        self.blob, self.at, self.items, self.deepest, self.maps, self.tensor_bytes = blob, 0, 0, 0, 0, 0
        self.extensions: list[Extension] = []
        self.broken = self.limit = ""
        self.left = [1]

    def run(self) -> None:
        while self.left:
            if not self.left[-1]:
                self.left.pop()
                continue
            self.left[-1] -= 1
            self.items += 1
            self.deepest = max(self.deepest, len(self.left) - 1)
            if self.items > _ITEMS or len(self.left) > _DEPTH:
                self.limit = "items" if self.items > _ITEMS else "depth"
                return
            self.value()

    def take(self, count: int) -> bytes:
        if count > self.blob.size - self.at:
            raise MalformedInput(f"{count} bytes are claimed and {self.blob.size - self.at} are left", offset=self.at)
        self.at += count
        return self.blob.read(self.at - count, count)

    def skip(self, count: int) -> None:
        if count > self.blob.size - self.at:
            raise MalformedInput(f"{count} bytes are claimed and {self.blob.size - self.at} are left", offset=self.at)
        self.at += count

    def value(self) -> None:
        kind = self.take(1)[0]
        if kind <= 0x7F or kind >= 0xE0:
            return
        if kind <= 0x8F or kind in {0xDE, 0xDF}:
            self.maps += 1
            self.open(2 * (kind & 15 if kind <= 0x8F else self.number(2 if kind == 0xDE else 4)))
        elif kind <= 0x9F or kind in {0xDC, 0xDD}:
            self.open(kind & 15 if kind <= 0x9F else self.number(2 if kind == 0xDC else 4))
        elif kind <= 0xBF:
            self.skip(kind & 31)
        elif kind in WIDTHS:
            self.skip(WIDTHS[kind])
        elif kind in COUNTED:
            self.skip(self.number(COUNTED[kind]))
        elif kind in EXTENSIONS:
            self.extension(self.number(EXTENSIONS[kind]))
        elif kind in FIXED_EXTENSIONS:
            self.extension(FIXED_EXTENSIONS[kind])
        else:
            raise MalformedInput("0xc1 is no msgpack type", offset=self.at - 1)

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def open(self, count: int) -> None:
        if count > self.blob.size - self.at:
            raise MalformedInput(
                f"{count} items are claimed and {self.blob.size - self.at} bytes are left", offset=self.at
            )
        self.left.append(count)

    def extension(self, length: int) -> None:
        code = struct.unpack("b", self.take(1))[0]
        start = self.at
        self.skip(length)
        dtype = next(_dtype(self.blob.read(start, min(length, 256))), "") if code in {1, 3} else ""
        self.tensor_bytes += length if code == 1 else 0
        if len(self.extensions) < _NOTED or code not in {1, 2, 3} or "O" in dtype:
            self.extensions.append(Extension(code=code, offset=start, length=length, dtype=dtype))


def _dtype(body: bytes) -> Iterator[str]:
    """The dtype name of Flax's packed (shape, dtype, bytes); nothing where the body has another form."""
    at = 1
    if not body or not 0x90 <= body[0] <= 0x9F:
        return
    if 0x90 <= body[1] <= 0x9F if len(body) > 1 else False:
        sides = body[1] & 15
        at = 2
        for _ in range(sides):
            if at >= len(body):
                return
            at += 1 + (WIDTHS.get(body[at], 0) if body[at] > 0x7F else 0)
    if at < len(body) and 0xA0 <= body[at] <= 0xBF:
        yield body[at + 1 : at + 1 + (body[at] & 31)].decode("latin-1")
    elif at + 1 < len(body) and body[at] in {0xD9, 0xC4}:
        yield body[at + 2 : at + 2 + body[at + 1]].decode("latin-1")
