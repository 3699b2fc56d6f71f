"""Knows R's serialisation (RDS, RData): which kinds of object a stream holds, item by item.

Source: R Internals 1.8 "Serialization Formats"; CVE-2024-27322 for promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_ITEMS: Final = 5_000_000
_REFERENCE: Final = 255
_PSEUDO: Final = frozenset({254, 253, 252, 251, 250, 242, 241})
NAMES: Final = {3: "closure", 4: "environment", 5: "promise", 6: "call", 7: "special", 8: "builtin", 20: "expression",
                21: "bytecode", 22: "external pointer", 23: "weak reference"}  # fmt: skip
_WIDTHS: Final = {10: 4, 13: 4, 14: 8, 15: 16, 24: 1}


class RdsFacts(Struct, frozen=True, kw_only=True):
    """A stream: its format version, for each kind of code object the first place and the count, and why it broke off."""

    version: int
    kinds: tuple[tuple[str, int, int], ...]
    symbols: tuple[str, ...]
    end: int
    problem: str = ""


def starts_like_rds(head: bytes) -> int:
    """Where the format letter stands: 1 for RDS and 6 for RData, 0 where it is neither."""
    start = 5 if head[:5] in {b"RDX2\n", b"RDX3\n"} else 0
    if head[start : start + 2] != b"X\n" or len(head) < start + 14:
        return 0
    version = int.from_bytes(head[start + 2 : start + 6], "big")
    return start + 1 if version in {2, 3} else 0


def read_rds(blob: Blob) -> RdsFacts:
    """The kinds of object in a stream, up to the place where it breaks. Raises MalformedInput where there is no header."""
    window = Window(blob, steps=_ITEMS)
    start = starts_like_rds(window.bytes(0, min(blob.size, 32)))
    if not start:
        raise MalformedInput("no R serialisation header")
    at = start + 1
    version = window.uint(at, 4, big=True)
    at += 12
    if version == 3:
        at += 4 + window.uint(at, 4, big=True)
    return _Reader(window, at, version).facts()


class _Reader:
    """Items wait on a stack of tasks, since each says how many follow it."""

    def __init__(self, window: Window, at: int, version: int) -> None:
        self._w, self._at, self._version = window, at, version
        self._found: dict[str, tuple[int, int]] = {}
        self._symbols: list[str] = []

    def _int(self) -> int:
        value = self._w.sint(self._at, 4, big=True)
        self._at += 4
        return value

    def _length(self) -> int:
        length = self._int()
        if length == -1:
            length = (self._int() << 32) + (self._int() & 0xFFFFFFFF)
        if length < 0 or length > self._w.size - self._at:
            raise MalformedInput(f"a vector of {length} elements", offset=self._at)
        return length

    def facts(self) -> RdsFacts:
        problem = ""
        try:
            self._items()
        except (MalformedInput, LimitExceeded) as error:
            problem = error.message
        kinds = tuple((name, place, count) for name, (place, count) in sorted(self._found.items()))
        return RdsFacts(version=self._version, kinds=kinds, symbols=tuple(self._symbols), end=self._at, problem=problem)

    def _items(self) -> None:
        waiting = 1
        tasks: list[int] = []
        while waiting or tasks:
            if not waiting:
                waiting = tasks.pop()
                continue
            waiting -= 1
            more = self._item()
            if more:
                if waiting:
                    tasks.append(waiting)
                waiting = more

    def _item(self) -> int:
        """Read one item; the number of items that belong to it and follow."""
        self._w.step()
        place = self._at
        flags = self._int()
        kind, attributes, tag = flags & 0xFF, bool(flags & 0x200), bool(flags & 0x400)
        name = NAMES.get(kind) or {240: "call", 21: "bytecode"}.get(kind)
        if name:
            first, count = self._found.get(name, (place, 0))
            self._found[name] = (first, count + 1)
        if kind in _PSEUDO or kind == 0:
            return 0
        if kind == _REFERENCE:
            if flags >> 8 == 0:
                self._int()
            return 0
        if kind in {2, 3, 5, 6, 17, 239, 240}:
            return 2 + attributes + tag
        return self._other(kind, attributes=attributes)

    def _other(self, kind: int, *, attributes: bool) -> int:
        if kind == 1:
            return 1
        if kind == 4:
            self._int()
            return 4
        if kind == 9:
            length = self._int()
            if length >= 0:
                self._text(length)
            return 0
        if kind in {7, 8}:
            self._text(self._int())
            return 0
        if kind in _WIDTHS:
            self._skip(self._length() * _WIDTHS[kind])
            return int(attributes)
        if kind in {16, 19, 20}:
            return self._length() + attributes
        if kind in {247, 248, 249}:
            self._int()
            return self._length()
        if kind == 238:
            return 3
        if kind == 25:
            return int(attributes)
        if kind == 22:
            return 2 + attributes
        if kind == 23:
            return int(attributes)
        if kind == 21:
            raise MalformedInput("bytecode; what follows is not read", offset=self._at)
        raise MalformedInput(f"object type {kind}", offset=self._at)

    def _skip(self, length: int) -> None:
        if length > self._w.size - self._at:
            raise MalformedInput(f"{length} bytes are claimed", offset=self._at)
        self._at += length

    def _text(self, length: int) -> None:
        if len(self._symbols) < 2000 and length < 200:
            self._symbols.append(self._w.text(self._at, length))
        self._skip(length)
