"""Knows FlatBuffers: tables, vectors and strings, with every offset checked.

Source: flatbuffers.dev/internals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.window import Window


class Table:
    """A table at a position. Fields are named by their number in the schema."""

    def __init__(self, window: Window, at: int) -> None:
        self._w = window
        self.at = at
        window.step()
        back = window.sint(at, 4)
        self._fields = at - back
        if not 0 <= self._fields <= window.size - 4:
            raise MalformedInput("a field table lies outside", offset=at)
        self._size = window.uint(self._fields, 2)
        self._length = window.uint(self._fields + 2, 2)
        if self._size < 4 or self._size % 2 or self._length < 4 or self._length > window.size - at:
            raise MalformedInput("a field table with odd sizes", offset=self._fields)

    def place(self, number: int) -> int:
        """Where a field lies; 0 where it is absent."""
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return 0
        offset = self._w.uint(self._fields + entry, 2)
        if offset and offset >= self._length:
            raise MalformedInput("a field lies outside its table", offset=self.at)
        return self.at + offset if offset else 0

    def uint(self, number: int, width: int, default: int = 0) -> int:
        """An unsigned number."""
        place = self.place(number)
        return self._w.uint(place, width) if place else default

    def sint(self, number: int, width: int, default: int = 0) -> int:
        """A signed number."""
        place = self.place(number)
        return self._w.sint(place, width) if place else default

    def table(self, number: int) -> Table | None:
        """A table that a field points to."""
        place = self.place(number)
        return Table(self._w, target(self._w, place)) if place else None

    def text(self, number: int) -> str:
        """A string."""
        place = self.place(number)
        return string(self._w, target(self._w, place)) if place else ""

    def vector(self, number: int, item: int) -> tuple[int, int]:
        """(first element, count) of a vector whose elements have `item` bytes; (0, 0) where it is absent."""
        place = self.place(number)
        if not place:
            return 0, 0
        at = target(self._w, place)
        count = self._w.uint(at, 4)
        if count > (self._w.size - at - 4) // item:
            raise MalformedInput(f"a vector of {count} elements reaches beyond the file", offset=at)
        return at + 4, count

    def tables(self, number: int) -> Iterator[Table]:
        """The tables of a vector."""
        at, count = self.vector(number, 4)
        for index in range(count):
            yield Table(self._w, target(self._w, at + 4 * index))

    def texts(self, number: int) -> Iterator[str]:
        """The strings of a vector."""
        at, count = self.vector(number, 4)
        for index in range(count):
            self._w.step()
            yield string(self._w, target(self._w, at + 4 * index))

    def numbers(self, number: int) -> tuple[int, ...]:
        """The 32-bit signed numbers of a vector, at most a thousand."""
        at, count = self.vector(number, 4)
        return tuple(self._w.sint(at + 4 * index, 4) for index in range(min(count, 1000)))


def root(window: Window) -> Table:
    """The root table of a buffer."""
    return Table(window, target(window, 0))


def target(window: Window, place: int) -> int:
    """Where an offset leads."""
    offset = window.uint(place, 4)
    if not 0 < offset <= window.size - place - 4:
        raise MalformedInput(f"an offset of {offset} leads outside", offset=place)
    return place + offset


def string(window: Window, at: int) -> str:
    """A string at its length."""
    return window.text(at + 4, window.uint(at, 4), most=1 << 16)
