"""Knows the arrays of a Flax checkpoint: a tree of msgpack maps whose leaves are extension values.

Source: msgpack specification; `flax/serialization.py` (`_ndarray_to_bytes`: extension 1 packs shape, dtype name, bytes;
`_chunk_array_leaves_in_place`: arrays above a gibibyte are a map with `__msgpack_chunked_array__`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.msgpack import COUNTED, EXTENSIONS, FIXED_EXTENSIONS, WIDTHS
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_ITEMS: Final = 5_000_000
_DEPTH: Final = 512
_KEY: Final = 4096
_SIDES: Final = 64
_HEAD: Final = 1024
_ARRAY: Final = 1


class FlaxArray(Struct, frozen=True, kw_only=True):
    """One array: its path, type as numpy names it, shape, and where its bytes are in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


class FlaxTree(Struct, frozen=True, kw_only=True):
    """The arrays of a checkpoint, what could not be read as one (path, why), and paths of other values."""

    arrays: tuple[FlaxArray, ...]
    refused: tuple[tuple[str, str], ...]
    left: tuple[str, ...]


def read_flax(blob: Blob) -> FlaxTree:
    """Walk one msgpack object. Raises MalformedInput where it is none, LimitExceeded where it is too much."""
    walker = _Walker(blob)
    walker.run()
    return FlaxTree(arrays=tuple(walker.arrays), refused=tuple(walker.refused), left=tuple(walker.left))


class _Frame:
    """A map or array that is still open. `key` is the path of the value that comes next."""

    __slots__ = ("count", "mapped", "name", "number")

    def __init__(self, name: str, count: int, *, mapped: bool) -> None:
        self.name, self.count, self.mapped, self.number = name, count, mapped, 0


class _Walker:
    def __init__(self, blob: Blob) -> None:
        self.blob, self.at = blob, 0
        self.arrays: list[FlaxArray] = []
        self.refused: list[tuple[str, str]] = []
        self.left: list[str] = []
        self.frames: list[_Frame] = []

    def run(self) -> None:
        self.value("")
        for _ in range(_ITEMS):
            if not self.frames:
                return
            frame = self.frames[-1]
            if frame.number == frame.count:
                self.frames.pop()
                continue
            key = self.key() if frame.mapped else str(frame.number)
            frame.number += 1
            self.value(f"{frame.name}.{key}" if frame.name else key)
        raise LimitExceeded(f"more than {_ITEMS} items", limit="members")

    def take(self, count: int) -> bytes:
        self.room(count)
        self.at += count
        return self.blob.read(self.at - count, count)

    def room(self, count: int) -> None:
        if count > self.blob.size - self.at:
            raise MalformedInput(f"{count} bytes are claimed and {self.blob.size - self.at} are left", offset=self.at)

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def key(self) -> str:
        kind = self.take(1)[0]
        if 0xA0 <= kind <= 0xBF:
            return self.take(kind & 31).decode("utf-8", "replace")
        if kind in {0xD9, 0xDA, 0xC4, 0xC5}:
            length = self.number(COUNTED[kind])
            if length <= _KEY:
                return self.take(length).decode("utf-8", "replace")
        if kind <= 0x7F:
            return str(kind)
        raise MalformedInput("a key is neither a short text nor a small number", offset=self.at)

    def value(self, name: str) -> None:
        kind = self.take(1)[0]
        if 0x80 <= kind <= 0x9F or 0xDC <= kind <= 0xDF:
            self.open(name, kind)
        elif kind in EXTENSIONS or kind in FIXED_EXTENSIONS:
            length = self.number(EXTENSIONS[kind]) if kind in EXTENSIONS else FIXED_EXTENSIONS[kind]
            code = self.take(1)[0]
            self.room(length)
            if code == _ARRAY:
                self.array(name, length)
            else:
                self.left.append(name)
            self.at += length
        elif kind == 0xC1:
            raise MalformedInput("0xc1 is no msgpack type", offset=self.at - 1)
        else:
            length = kind & 31 if 0xA0 <= kind <= 0xBF else WIDTHS.get(kind, 0)
            length = self.number(COUNTED[kind]) if kind in COUNTED else length
            self.room(length)
            self.at += length
            self.left.append(name)

    def open(self, name: str, kind: int) -> None:
        mapped = kind <= 0x8F or kind >= 0xDE
        count = kind & 15 if kind <= 0x9F else self.number(2 if kind in {0xDC, 0xDE} else 4)
        self.room(count)
        if len(self.frames) >= _DEPTH:
            raise LimitExceeded(f"nested deeper than {_DEPTH}", limit="depth")
        self.frames.append(_Frame(name, count, mapped=mapped))
        if mapped and count and self.blob.read(self.at + 1, 25) == b"__msgpack_chunked_array__":
            self.refused.append((name, "it is written in chunks, which are not put together here"))

    def array(self, name: str, length: int) -> None:
        """The packed triple of shape, dtype and bytes; its bytes must end where the extension ends."""
        head = _Triple(self.blob.read(self.at, min(length, _HEAD)))
        try:
            shape, dtype, size = head.read()
        except (IndexError, MalformedInput):
            self.refused.append((name, "the array has another form than Flax writes"))
            return
        if head.at + size != length:
            self.refused.append((name, f"its bytes end at {head.at + size} of {length}"))
            return
        self.arrays.append(FlaxArray(name=name, dtype=dtype, shape=shape, start=self.at + head.at, size=size))


class _Triple:
    """The head of one packed array."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self) -> tuple[tuple[int, ...], str, int]:
        if self.byte() != 0x93:
            raise MalformedInput("no array of three")
        kind = self.byte()
        sides = kind & 15 if 0x90 <= kind <= 0x9F else self.uint(2) if kind == 0xDC else _SIDES + 1
        if sides > _SIDES:
            raise MalformedInput("no shape")
        shape = tuple(self.natural() for _ in range(sides))
        kind = self.byte()
        length = kind & 31 if 0xA0 <= kind <= 0xBF else self.uint(1) if kind in {0xD9, 0xC4} else 0
        dtype = self.data[self.at : self.at + length].decode("ascii", "replace")
        self.at += length
        kind = self.byte()
        if kind not in {0xC4, 0xC5, 0xC6}:
            raise MalformedInput("no bytes")
        return shape, dtype, self.uint(COUNTED[kind])

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def uint(self, width: int) -> int:
        raw = self.data[self.at : self.at + width]
        if len(raw) < width:
            raise IndexError
        self.at += width
        return int.from_bytes(raw, "big")

    def natural(self) -> int:
        kind = self.byte()
        if kind <= 0x7F:
            return kind
        if kind in {0xCC, 0xCD, 0xCE, 0xCF}:
            return self.uint(WIDTHS[kind])
        raise MalformedInput("no side")
