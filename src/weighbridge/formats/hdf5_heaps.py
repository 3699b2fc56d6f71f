"""Knows the heaps and second-version trees of HDF5: local, global and fractal heaps, and the index of a dense group.

Source: HDF5 File Format Specification 3.0, III.A.2, III.D to III.G.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.window import Window

_NAME: Final = 4096
_RECORDS: Final = 200_000


def local_text(window: Window, heap: int, place: int, base: int, offsets: int, lengths: int) -> str:
    """The text at a place of a local heap."""
    if window.bytes(heap, 4) != b"HEAP":
        raise MalformedInput("no local heap", offset=heap)
    size = window.uint(heap + 8, lengths)
    data = base + window.uint(heap + 8 + 2 * lengths, offsets)
    if place >= size:
        raise MalformedInput("a name lies outside its heap", offset=heap)
    raw = window.bytes(data + place, min(_NAME, size - place, max(0, window.size - data - place)))
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def global_object(window: Window, heap: int, index: int, lengths: int) -> tuple[int, int]:
    """(start, size) of an object of a global heap collection."""
    for number, start, size in _objects(window, heap, lengths):
        if number == index:
            return start, size
    raise MalformedInput(f"no object {index} in the global heap", offset=heap)


def collection(window: Window, heap: int, lengths: int) -> dict[int, tuple[int, int]]:
    """(start, size) of every object of a global heap collection, by its number."""
    return {number: (start, size) for number, start, size in _objects(window, heap, lengths)}


def _objects(window: Window, heap: int, lengths: int) -> Iterator[tuple[int, int, int]]:
    if window.bytes(heap, 4) != b"GCOL":
        raise MalformedInput("no global heap", offset=heap)
    end = min(heap + window.uint(heap + 8, lengths), window.size)
    at = heap + 8 + lengths
    while at + 8 + lengths <= end:
        window.step()
        number, size = window.uint(at, 2), window.uint(at + 8, lengths)
        if number == 0:
            return
        yield number, at + 8 + lengths, size
        at += 8 + lengths + size + -size % 8


class DenseLinks:
    """Objects of a fractal heap, found through a tree of version 2."""

    def __init__(self, window: Window, base: int, offsets: int, lengths: int) -> None:
        self._w, self._base, self._o, self._l = window, base, offsets, lengths
        self.unread: list[str] = []

    def objects(self, heap: int, index: int, record_skip: int) -> Iterator[tuple[int, int]]:
        """(start, size) of each object; `record_skip` bytes stand before the heap id in an index record."""
        self._heap(heap)
        for at in self._records(index):
            place = at + record_skip
            kind = self._w.uint(place, 1) >> 4 & 3
            if kind != 0:
                self.unread.append("an object that is too large for its heap")
                continue
            offset = self._w.uint(place + 1, self._offset_size)
            size = self._w.uint(place + 1 + self._offset_size, self._length_size)
            yield self._place(offset, size), size

    def _heap(self, at: int) -> None:
        w, o, length = self._w, self._o, self._l
        if w.bytes(at, 4) != b"FRHP":
            raise MalformedInput("no fractal heap", offset=at)
        if w.uint(at + 7, 2):
            raise MalformedInput("a fractal heap with filters", offset=at)
        biggest = w.uint(at + 10, 4)
        table = at + 14 + 10 * length + 2 * o
        self._width = w.uint(table, 2)
        self._start = w.uint(table + 2, length)
        self._most = w.uint(table + 2 + length, length)
        bits = w.uint(table + 2 + 2 * length, 2)
        root = w.uint(table + 6 + 2 * length, o)
        rows = w.uint(table + 6 + 2 * length + o, 2)
        if not (0 < self._width <= 1024 and self._start and bits <= 64 and rows <= 64):
            raise MalformedInput("a fractal heap with odd sizes", offset=table)
        self._offset_size = (bits + 7) // 8
        self._length_size = max(1, (min(self._most, biggest).bit_length() + 7) // 8)
        self._blocks: list[tuple[int, int, int]] = []
        if rows == 0:
            self._blocks.append((0, self._start, self._base + root))
        else:
            self._indirect(self._base + root, rows)

    def _indirect(self, at: int, rows: int) -> None:
        if self._w.bytes(at, 4) != b"FHIB":
            raise MalformedInput("no indirect block", offset=at)
        place = at + 5 + self._o + self._offset_size
        offset = 0
        for row in range(rows):
            size = self._start << max(0, row - 1)
            if size > self._most:
                self.unread.append("a heap of more than one level")
                return
            for _ in range(self._width):
                address = self._w.uint(place, self._o)
                if address != (1 << 8 * self._o) - 1:
                    self._blocks.append((offset, size, self._base + address))
                place += self._o
                offset += size

    def _place(self, offset: int, size: int) -> int:
        for start, length, address in self._blocks:
            if start <= offset < start + length:
                if size > length - (offset - start):
                    raise MalformedInput("an object crosses its heap block", offset=address)
                return address + offset - start
        raise MalformedInput("an object outside its heap")

    def _records(self, at: int) -> Iterator[int]:
        w, o = self._w, self._o
        if w.bytes(at, 4) != b"BTHD":
            raise MalformedInput("no tree of version 2", offset=at)
        node_size, record, depth = w.uint(at + 6, 4), w.uint(at + 10, 2), w.uint(at + 12, 2)
        root, count = w.uint(at + 16, o), w.uint(at + 16 + o, 2)
        if not record or node_size < 16 or depth > 8 or root == (1 << 8 * o) - 1:
            return
        sizes = self._pointer_sizes(node_size, record, depth)
        waiting = [(self._base + root, depth, count)]
        told = 0
        while waiting:
            node, level, used = waiting.pop()
            if w.bytes(node, 4) != (b"BTIN" if level else b"BTLF"):
                raise MalformedInput("no tree node", offset=node)
            for number in range(used):
                w.step()
                told += 1
                if told > _RECORDS:
                    return
                yield node + 6 + number * record
            place = node + 6 + used * record
            for _ in range(used + 1 if level else 0):
                many, total = sizes[level]
                waiting.append((self._base + w.uint(place, o), level - 1, w.uint(place + o, many)))
                place += o + many + total

    def _pointer_sizes(self, node_size: int, record: int, depth: int) -> list[tuple[int, int]]:
        """For each level, the bytes of a child's record count and of its subtree's."""
        most = (node_size - 10) // record
        total, width = most, max(1, (most.bit_length() + 7) // 8)
        sizes = [(0, 0)]
        subtree = 0
        for level in range(1, depth + 1):
            sizes.append((width, subtree if level > 1 else 0))
            pointer = self._o + width + (subtree if level > 1 else 0)
            most = max(1, (node_size - 10 - pointer) // (record + pointer))
            total = (most + 1) * total + most
            subtree = max(1, (total.bit_length() + 7) // 8)
        return sizes
