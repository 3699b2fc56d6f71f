"""Reads what is in a dataset of an HDF5 file, some rows at a time: numbers and texts, in one piece or in compressed ones.

Nothing outside the file is followed, and nothing is unpickled. Source: HDF5 File Format Specification 3.0, III.A.1, III.I, VII.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.formats.hdf5_heaps import collection
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.hdf5 import Chunks, Dataset, Hdf5Facts
    from weighbridge.source import Blob

Array = Any
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3
_TREE, _SINGLE, _IMPLICIT, _FIXED = 0, 1, 2, 3
_PIECE: Final = 256 << 20  # bytes of one piece, unpacked
_ROWS: Final = 1 << 30  # bytes of the rows that are asked for at once
_LONGEST: Final = 1 << 48
_ITEM: Final = 16 << 20
_TEXT: Final = 16 << 20
_STRING: Final = 3
_HEAPS: Final = 64
_BATCH: Final = 4096


class _Piece(Struct, frozen=True):
    """A piece: where its first item stands in the dataset, where its bytes are, how many, and which filters are left out."""

    at: tuple[int, ...]
    start: int
    size: int
    skipped: int


class Hdf5Array:
    """The rows of one dataset. Raises Unavailable where its type, listing, filters or storage are none that are read here."""

    def __init__(self, blob: Blob, facts: Hdf5Facts, dataset: Dataset) -> None:
        self._w, self._facts, self.dataset = Window(blob), facts, dataset
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self.kind = _kind(dataset)
        if dataset.external or dataset.sources:
            raise Unavailable(f"{dataset.path}: its bytes are in another file", hint="inspect that file")
        odd = [one for one in dataset.filters if one not in {_DEFLATE, _SHUFFLE, _CHECKSUM}]
        if odd:
            raise Unavailable(f"{dataset.path}: packed by filter {odd[0]}", hint="h5repack -f GZIP=1 repacks it")
        if max(dataset.shape, default=0) > _LONGEST:
            raise LimitExceeded(f"{dataset.path}: {max(dataset.shape)} rows or columns", limit="members")
        if not dataset.chunks and dataset.address < 0 and dataset.stored < 0:
            raise Unavailable(f"{dataset.path}: stored in a way of old that is not read", hint="h5repack rewrites it")
        self._pieces = self._listed(dataset.chunks) if dataset.chunks else []
        self._begins = [piece.at[0] for piece in self._pieces]  # in order: pieces are sorted by where they stand

    def __len__(self) -> int:
        return self.dataset.shape[0] if self.dataset.shape else 1

    def rows(self, first: int, last: int) -> Array | list[str]:
        """Rows from `first` up to before `last`: an array of numbers, or texts. Raises MalformedInput, LimitExceeded."""
        shape = (max(0, min(last, len(self)) - first), *self.dataset.shape[1:])
        if math.prod(shape) * self.dataset.item > _ROWS:
            raise LimitExceeded(f"{self.dataset.path}: rows of {math.prod(shape[1:])} items", limit="bytes")
        try:
            found = self._assembled(first, shape) if self.dataset.chunks else self._straight(first, shape)
        except (ValueError, OverflowError, MemoryError) as error:
            raise MalformedInput(f"{self.dataset.path}: its shape is none ({str(error)[:100]})") from error
        if self.dataset.varies:
            return [self._text(bytes(one)) for one in found.reshape(-1)]
        if self.dataset.type_class == _STRING:
            return [bytes(one).partition(b"\0")[0].rstrip().decode("utf-8", "replace") for one in found.reshape(-1)]
        return found

    def whole(self) -> Array:
        """All rows, a column of one number each as a vector."""
        parts = [numpy.asarray(self.rows(first, first + _BATCH)) for first in range(0, len(self), _BATCH)]
        found = numpy.concatenate(parts) if parts else numpy.asarray(self.rows(0, 0))
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def _straight(self, first: int, shape: tuple[int, ...]) -> Array:
        row = math.prod(shape[1:]) * self.dataset.item
        if self.dataset.address < 0:
            return numpy.zeros(shape, self.kind)
        raw = self._w.bytes(self.dataset.address + first * row, shape[0] * row)
        return numpy.frombuffer(raw, self.kind).reshape(shape)

    def _assembled(self, first: int, shape: tuple[int, ...]) -> Array:
        """Rows put together of the pieces that reach into them; where there is no piece, zeros, as HDF5 fills."""
        assert self.dataset.chunks is not None
        sides = self.dataset.chunks.shape
        made = numpy.zeros(shape, self.kind)
        some = slice(bisect_right(self._begins, first - sides[0]), bisect_left(self._begins, first + shape[0]))
        for piece in self._pieces[some]:
            low, high = max(first, piece.at[0]), min(first + shape[0], piece.at[0] + sides[0])
            ends = [min(at + side, whole) for at, side, whole in zip(piece.at, sides, self.dataset.shape, strict=True)]
            if low >= min(high, ends[0]) or any(at >= end for at, end in zip(piece.at, ends, strict=True)):
                continue
            high = min(high, ends[0])
            block = self._unpacked(piece, sides)
            rest = tuple(slice(at, end) for at, end in zip(piece.at[1:], ends[1:], strict=True))
            inner = tuple(slice(0, end - at) for at, end in zip(piece.at[1:], ends[1:], strict=True))
            made[(slice(low - first, high - first), *rest)] = block[
                (slice(low - piece.at[0], high - piece.at[0]), *inner)
            ]
        return made

    def _unpacked(self, piece: _Piece, sides: tuple[int, ...]) -> Array:
        wanted = math.prod(sides) * self.dataset.item
        assert self.dataset.chunks is not None
        filters = self.dataset.filters
        if self.dataset.chunks.whole_edges and any(
            at + side > whole for at, side, whole in zip(piece.at, sides, self.dataset.shape, strict=True)
        ):
            filters = ()
        raw = self._w.bytes(piece.start, piece.size or wanted)
        for number in reversed(range(len(filters))):
            if not piece.skipped >> number & 1:
                raw = _undone(filters[number], raw, wanted, self.dataset)
        if len(raw) != wanted:
            raise MalformedInput(f"{self.dataset.path}: a piece of {len(raw)} bytes, and its shape takes {wanted}")
        return numpy.frombuffer(raw, self.kind).reshape(sides)

    def _text(self, raw: bytes) -> str:
        """A text in the global heap."""
        width = self._facts.offsets
        heap = int.from_bytes(raw[4 : 4 + width], "little")
        if heap in {0, (1 << 8 * width) - 1}:
            return ""
        if heap not in self._heaps:
            if len(self._heaps) >= _HEAPS:
                self._heaps.pop(next(iter(self._heaps)))
            self._heaps[heap] = collection(self._w, self._facts.base + heap, self._facts.lengths)
        number = int.from_bytes(raw[4 + width : 8 + width], "little")
        if number not in self._heaps[heap]:
            raise MalformedInput(f"{self.dataset.path}: no text {number} in its heap")
        start, size = self._heaps[heap][number]
        return self._w.text(start, min(size, int.from_bytes(raw[:4], "little")), most=_TEXT)

    # Where pieces are listed

    def _listed(self, chunks: Chunks) -> list[_Piece]:
        shape = self.dataset.shape
        if not shape or len(chunks.shape) != len(shape) or 0 in chunks.shape:
            raise MalformedInput(f"{self.dataset.path}: pieces of another shape than the whole")
        if math.prod(chunks.shape) * self.dataset.item > _PIECE:
            raise LimitExceeded(f"{self.dataset.path}: pieces above {_PIECE >> 20} MiB", limit="bytes")
        if chunks.index < 0:
            return []
        if chunks.listing == _TREE:
            return sorted(self._tree(chunks, len(shape)), key=lambda piece: piece.at)
        if chunks.listing == _SINGLE:
            return [_Piece((0,) * len(shape), chunks.index, chunks.size, chunks.skipped)]
        if chunks.listing == _IMPLICIT:
            size = math.prod(chunks.shape) * self.dataset.item
            return [_Piece(at, chunks.index + number * size, 0, 0) for number, at in self._places(chunks)]
        if chunks.listing == _FIXED:
            return list(self._fixed(chunks))
        raise Unavailable(
            f"{self.dataset.path}: pieces are listed in a way that is not read here", hint="h5repack --low=0 --high=2 rewrites it"
        )  # fmt: skip

    def _places(self, chunks: Chunks) -> Iterator[tuple[int, tuple[int, ...]]]:
        counts = [-(-whole // side) for whole, side in zip(self.dataset.shape, chunks.shape, strict=True)]
        self._w.step(math.prod(counts))
        for number, at in enumerate(numpy.ndindex(*counts)):
            yield number, tuple(one * side for one, side in zip(at, chunks.shape, strict=True))

    def _tree(self, chunks: Chunks, rank: int) -> Iterator[_Piece]:
        width, key = self._facts.offsets, 8 + 8 * (rank + 1)
        waiting, seen = [chunks.index], set[int]()
        while waiting:
            node = waiting.pop()
            self._w.step()
            if node in seen:
                raise MalformedInput(f"{self.dataset.path}: its pieces are listed in a ring", offset=node)
            seen.add(node)
            if self._w.bytes(node, 5) != b"TREE\1":
                raise MalformedInput(f"{self.dataset.path}: no tree of pieces", offset=node)
            level, at = self._w.uint(node + 5, 1), node + 8 + 2 * width
            for number in range(self._w.uint(node + 6, 2)):
                self._w.step()
                here = at + number * (key + width)
                child = self._facts.base + self._w.uint(here + key, width)
                if level:
                    waiting.append(child)
                    continue
                places = tuple(self._w.uint(here + 8 + 8 * axis, 8) for axis in range(rank))
                yield _Piece(places, child, self._w.uint(here, 4), self._w.uint(here + 4, 4))

    def _fixed(self, chunks: Chunks) -> Iterator[_Piece]:
        """A fixed array of pieces, in pages where it is long."""
        w, width, lengths = self._w, self._facts.offsets, self._facts.lengths
        if w.bytes(chunks.index, 4) != b"FAHD":
            raise MalformedInput(f"{self.dataset.path}: no array of pieces", offset=chunks.index)
        entry, bits = w.uint(chunks.index + 6, 1), w.uint(chunks.index + 7, 1)
        count = w.uint(chunks.index + 8, lengths)
        block = self._facts.base + w.uint(chunks.index + 8 + lengths, width)
        at, page = block + 6 + width, 1 << min(bits, 40)
        paged = count > page
        if paged:
            at += (-(-count // page) + 7) // 8 + 4
        filtered = bool(self.dataset.filters)
        if entry < width + (5 if filtered else 0):
            raise MalformedInput(f"{self.dataset.path}: entries of {entry} bytes", offset=chunks.index)
        for number, place in self._places(chunks):
            here = at + number * entry + (4 * (number // page) if paged else 0)
            address = w.uint(here, width)
            if address == (1 << 8 * width) - 1:
                continue
            size = w.uint(here + width, entry - width - 4) if filtered else 0
            skipped = w.uint(here + entry - 4, 4) if filtered else 0
            yield _Piece(place, self._facts.base + address, size, skipped)


def _kind(dataset: Dataset) -> Any:
    if not 0 < dataset.item <= _ITEM:
        raise MalformedInput(f"{dataset.path}: items of {dataset.item} bytes")
    if dataset.varies or dataset.type_class == _STRING:
        return numpy.dtype(f"V{dataset.item}")
    if not dataset.numbers or "b" in dataset.numbers:
        raise Unavailable(
            f"{dataset.path}: its items are neither plain numbers nor texts", hint="compound types are not read"
        )
    return numpy.dtype(dataset.numbers)


def _undone(name: int, raw: bytes, wanted: int, dataset: Dataset) -> bytes:
    """One filter taken back."""
    if name == _CHECKSUM:
        return raw[:-4]
    if name == _SHUFFLE:
        item = dataset.item
        whole = len(raw) // item * item
        turned = numpy.frombuffer(raw[:whole], numpy.uint8).reshape(item, -1).T.tobytes()
        return turned + raw[whole:]
    opened = zlib.decompressobj()
    try:
        made = opened.decompress(raw, wanted + 64)
    except zlib.error as error:
        raise MalformedInput(f"{dataset.path}: a piece cannot be unpacked ({error})") from error
    if opened.unconsumed_tail:
        raise LimitExceeded(f"{dataset.path}: a piece unpacks to more than its shape takes", limit="bytes")
    return made
