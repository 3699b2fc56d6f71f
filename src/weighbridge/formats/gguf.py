"""Knows GGUF: the header, every key, every tensor record, with each length checked before it is used.

Source: ggml `docs/gguf.md`, `gguf-py` 0.19 `constants.py` for the block sizes of tensor types.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.window import Window
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_SCALARS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_SIGNED: Final = frozenset({1, 3, 5, 11})
_STRING, _ARRAY = 8, 9
# Longer than any template that is parsed, so that a cut one is never taken for a whole one.
_KEPT: Final = 8 << 20
_NESTED: Final = 4
_SMALLEST_KEY: Final = 13
_SMALLEST_TENSOR: Final = 24
# Elements and bytes of one block, by ggml type.
BLOCKS: Final[dict[int, tuple[int, int]]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256,
    84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256,
    74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25:
    (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32,
    17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip


class Problem(Struct, frozen=True):
    """Something wrong: its kind, the key or tensor, and how exactly."""

    kind: str
    name: str
    detail: str
    offset: int


class Array(Struct, frozen=True):
    """An array value: its element type, its length, and its elements where they are few numbers."""

    kind: int
    count: int
    numbers: tuple[int, ...] = ()


class Tensor(Struct, frozen=True):
    """A tensor record. `size` is what its type and shape come to, -1 for an unknown type."""

    name: str
    dims: tuple[int, ...]
    kind: int
    offset: int
    size: int


class GgufFacts(Struct, frozen=True, kw_only=True):
    """A file: what it says, where its tensor data begins, and everything that is wrong."""

    version: int
    big_endian: bool
    values: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data: int
    alignment: int
    problems: tuple[Problem, ...]


def read_gguf(blob: Blob) -> GgufFacts:
    """The facts of a file, up to the place where it contradicts itself. Raises MalformedInput for a cut magic only."""
    return _Reader(Window(blob)).facts()


class _Stop(Exception):
    """What follows cannot be found, because a length before it is a lie."""


class _Reader:
    def __init__(self, window: Window) -> None:
        self._w = window
        self._problems: list[Problem] = []
        self._values: dict[str, Any] = {}
        self._tensors: list[Tensor] = []
        self._at = 8
        self._big = window.bytes(0, 4) == b"FUGG"
        version = window.bytes(4, 4)
        self.version = int.from_bytes(version, "little")
        if self.version > 0xFFFF:
            self._big, self.version = True, int.from_bytes(version, "big")

    def _uint(self, width: int) -> int:
        value = self._w.uint(self._at, width, big=self._big)
        self._at += width
        return value

    def _problem(self, kind: str, name: str, detail: str) -> None:
        self._problems.append(Problem(kind, name, detail, self._at))

    def facts(self) -> GgufFacts:
        if self._big or not 2 <= self.version <= 3:
            self._problem("version", "", f"version {self.version}{', big-endian' if self._big else ''}")
        data = 0
        try:
            width = 4 if self.version == 1 else 8
            tensors, keys = self._uint(width), self._uint(width)
            self._counts(tensors, keys)
            for _ in range(keys):
                self._key(width)
            for _ in range(tensors):
                self._tensor(width)
            data = self._layout()
        except _Stop:
            pass
        except MalformedInput as error:
            self._problem("count", "", f"the file ends inside its header: {error.message}")
        alignment = self._values.get("general.alignment", 32)
        return GgufFacts(
            version=self.version,
            big_endian=self._big,
            values=self._values,
            tensors=tuple(self._tensors),
            data=data,
            alignment=alignment if type(alignment) is int else 32,
            problems=tuple(self._problems),
        )

    def _counts(self, tensors: int, keys: int) -> None:
        left = self._w.size - self._at
        if keys > left // _SMALLEST_KEY or tensors > left // _SMALLEST_TENSOR:
            self._problem("count", "", f"{keys} keys and {tensors} tensors are claimed in {left} bytes")
            raise _Stop

    def _string(self, width: int, name: str) -> str:
        length = self._uint(width)
        if length > self._w.size - self._at:
            self._problem("string", name, f"a string of {length} bytes, and {self._w.size - self._at} are left")
            raise _Stop
        text = self._w.text(self._at, length, most=_KEPT)
        self._at += length
        return text

    def _key(self, width: int) -> None:
        self._w.step()
        key = self._string(width, "a key")
        kind = self._uint(4)
        if key in self._values:
            self._problem("duplicate", key, "the key occurs twice")
        if len(key) > 65535 or not key.isascii() or not key.isprintable() or " " in key:
            self._problem("duplicate", key[:80], "the key holds characters that the format does not allow")
        self._values[key] = self._value(kind, width, key, 0)

    def _value(self, kind: int, width: int, name: str, depth: int) -> Any:
        if kind in _SCALARS:
            size = _SCALARS[kind]
            raw = self._w.bytes(self._at, size)
            self._at += size
            return _number(kind, raw, big=self._big)
        if kind == _STRING:
            return self._string(width, name)
        if kind == _ARRAY:
            return self._array(width, name, depth)
        self._problem("array", name, f"value type {kind} does not exist")
        raise _Stop

    def _array(self, width: int, name: str, depth: int) -> Array:
        kind, count = self._uint(4), self._uint(width)
        left = self._w.size - self._at
        smallest = _SCALARS.get(kind, width if kind == _STRING else 4 + width)
        if kind not in _SCALARS and kind not in {_STRING, _ARRAY}:
            self._problem("array", name, f"an array of value type {kind}, which does not exist")
            raise _Stop
        if count > left // smallest or depth >= _NESTED:
            self._problem("array", name, f"an array of {count} elements at depth {depth}, and {left} bytes are left")
            raise _Stop
        if kind in _SCALARS:
            size = _SCALARS[kind]
            numbers = [self._w.bytes(self._at + n * size, size) for n in range(count)] if count <= 64 else []
            self._at += count * size
            return Array(
                kind, count, tuple(int(_number(kind, raw, big=self._big)) for raw in numbers if kind not in {6, 12})
            )
        for _ in range(count):
            self._w.step()
            if kind == _STRING:
                length = self._uint(width)
                if length > self._w.size - self._at:
                    self._problem("string", name, f"an element of {length} bytes")
                    raise _Stop
                self._at += length
            else:
                self._array(width, name, depth + 1)
        return Array(kind, count)

    def _tensor(self, width: int) -> None:
        self._w.step()
        name = self._string(width, "a tensor name")
        rank = self._uint(4)
        if rank > 4:
            self._problem("dims", name, f"{rank} dimensions")
            if rank > 64:
                raise _Stop
        dims = tuple(self._uint(width) for _ in range(rank))
        kind, offset = self._uint(4), self._uint(8)
        count = math.prod(dims)
        if any(dim == 0 or dim >= 1 << 63 for dim in dims) or count >= 1 << 63:
            self._problem("dims", name, f"the shape {list(dims)} comes to {count} elements")
        size = -1
        if kind in BLOCKS:
            block, width_bytes = BLOCKS[kind]
            if dims and dims[0] % block:
                self._problem("type", name, f"rows of {dims[0]} are no whole blocks of {block}")
            size = -(-count // block) * width_bytes
        else:
            self._problem("type", name, f"tensor type {kind} is not known")
        self._tensors.append(Tensor(name, dims, kind, offset, size))

    def _layout(self) -> int:
        """Where tensor data begins; every tensor must lie behind it, aligned, apart from the others."""
        alignment = self._values.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 20:
            self._problem("offset", "general.alignment", f"an alignment of {alignment}")
            alignment = 32
        data = self._at + -self._at % alignment
        end, last = 0, ""
        for tensor in sorted((t for t in self._tensors if t.size >= 0), key=lambda t: t.offset):
            if tensor.offset % alignment:
                self._problem("offset", tensor.name, f"offset {tensor.offset} is not a multiple of {alignment}")
            if tensor.size > self._w.size - data - tensor.offset:
                self._problem("offset", tensor.name, f"{tensor.size} bytes at {tensor.offset} reach beyond the file")
            if tensor.offset < end:
                self._problem("offset", tensor.name, f"overlaps {last}")
            if tensor.offset + tensor.size > end:
                end, last = tensor.offset + tensor.size, tensor.name
        return data


def _number(kind: int, raw: bytes, *, big: bool) -> int | float | bool:
    if kind in {6, 12}:
        import struct  # noqa: PLC0415

        number: float = struct.unpack((">" if big else "<") + ("f" if kind == 6 else "d"), raw)[0]
        return number
    value = int.from_bytes(raw, "big" if big else "little", signed=kind in _SIGNED)
    return bool(value) if kind == 7 else value
