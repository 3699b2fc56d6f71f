"""Knows how tensors travel from one file to another: by the kernel where they lie in order, and digested on the way."""

from __future__ import annotations

import hashlib
import os
import threading
from itertools import product
from typing import TYPE_CHECKING, Final, Literal

from weighbridge.formats.safetensors import BITS
from weighbridge.schema import MalformedInput, SourceError
from weighbridge.source import FileBlob
from weighbridge.source.blob import Slice, chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.conversion.layout import Layout
    from weighbridge.conversion.weights import Weight
    from weighbridge.source import Blob

_STEP: Final = 16 << 20
_PIECE: Final = 1 << 20
_ITEMS: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {8: "B", 16: "H", 32: "I", 64: "Q"}
_REGION: Final = 1 << 30


class Progress:
    """How far a file is written, for the one who reads behind."""

    def __init__(self) -> None:
        self._written, self._ended = 0, False
        self._moved = threading.Condition()

    def at(self, written: int, *, ended: bool = False) -> None:
        """Tell how far it is."""
        with self._moved:
            self._written, self._ended = written, ended
            self._moved.notify_all()

    def beyond(self, position: int) -> int:
        """Wait until more than `position` bytes are written, or all of them; how many are."""
        with self._moved:
            self._moved.wait_for(lambda: self._ended or self._written > position)
            return self._written


class Digest(threading.Thread):
    """The SHA-256 of a file, read by position; behind a writer where `progress` is given."""

    def __init__(self, descriptor: int, size: int, progress: Progress | None = None) -> None:
        super().__init__(daemon=True)
        self._descriptor, self._size, self._progress = descriptor, size, progress
        self._hash = hashlib.sha256()
        self._error: OSError | None = None
        self.start()

    def run(self) -> None:
        """Read and digest to the end."""
        position, buffer = 0, bytearray(_PIECE)
        view = memoryview(buffer)
        try:
            while position < self._size:
                ready = self._progress.beyond(position) if self._progress is not None else self._size
                if ready <= position:
                    return
                count = os.preadv(self._descriptor, [view[: min(_PIECE, ready - position)]], position)
                if not count:
                    return
                self._hash.update(view[:count])
                position += count
        except OSError as error:
            self._error = error

    def result(self) -> str:
        """The digest, once the thread is done. Raises SourceError where reading failed."""
        self.join()
        if self._error is not None:
            raise SourceError(f"reading for the digest failed: {self._error.strerror}")
        return self._hash.hexdigest()


def write(layout: Layout, descriptor: int, progress: Progress) -> int:
    """Write header and tensors; the number of bytes. Raises SourceError, MalformedInput where the input ends early."""
    try:
        os.pwrite(descriptor, layout.header, 0)
        position = len(layout.header)
        progress.at(position)
        for start, size, weight in _runs(layout.weights):
            for moved in _moved(descriptor, position, start, size, weight):
                position += moved
                progress.at(position)
    except OSError as error:
        raise SourceError(f"writing failed: {(error.strerror or str(error)).lower()}", hint="is there room?") from error
    finally:
        progress.at(position, ended=True)
    return position


def _runs(weights: tuple[Weight, ...]) -> Iterator[tuple[int, int, Weight]]:
    """Neighbours in the source that are neighbours in the output, as one: (start, bytes, their first)."""
    run: tuple[int, int, Weight] | None = None
    for one in weights:
        if run is not None and one.whole and run[2].whole and run[2].blob is one.blob and run[0] + run[1] == one.start:
            run = (run[0], run[1] + one.size, run[2])
            continue
        if run is not None:
            yield run
        run = (one.start, one.size, one)
    if run is not None:
        yield run


def _moved(descriptor: int, position: int, start: int, size: int, weight: Weight) -> Iterator[int]:
    """Bring one run into its place; the bytes of each step."""
    if not size:
        return
    if not weight.whole:
        for piece in gathered(weight):
            _put(descriptor, piece, position)
            position += len(piece)
            yield len(piece)
        return
    file, offset = on_disk(weight.blob, start)
    if file is None:
        left = size
        for piece in chunks(weight.blob, start, start + size):
            _put(descriptor, piece, position)
            position, left = position + len(piece), left - len(piece)
            yield len(piece)
        if left:
            raise MalformedInput(f"{weight.name}: the file ends {left} bytes too early")
        return
    yield from _by_kernel(file, offset, descriptor, position, size)


def _by_kernel(file: FileBlob, offset: int, descriptor: int, position: int, size: int) -> Iterator[int]:
    while size:
        count = _copied(file, offset, descriptor, position, min(size, _STEP))
        if not count:
            raise MalformedInput(f"{file.path} ends {size} bytes too early: it changed while it was read")
        offset, position, size = offset + count, position + count, size - count
        yield count


def _copied(file: FileBlob, offset: int, descriptor: int, position: int, count: int) -> int:
    """One step inside the kernel: `copy_file_range`, `sendfile` where the file system has none, else by hand."""
    source = file.descriptor
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, descriptor, count, offset, position)
        except OSError:
            pass
    if hasattr(os, "sendfile"):
        try:
            os.lseek(descriptor, position, os.SEEK_SET)
            return os.sendfile(descriptor, source, offset, count)
        except OSError:
            pass
    piece = file.read(offset, min(count, _PIECE))
    _put(descriptor, piece, position)
    return len(piece)


def _put(descriptor: int, piece: bytes, position: int) -> None:
    view = memoryview(piece)
    while view:
        count = os.pwrite(descriptor, view, position)
        view, position = view[count:], position + count


def on_disk(blob: Blob, start: int) -> tuple[FileBlob | None, int]:
    """The file that a blob is a window of, and the place in it; None for what is held elsewhere."""
    found = blob
    while isinstance(found, Slice):
        start += found.start
        found = found.parent
    return (found, start) if isinstance(found, FileBlob) else (None, start)


def gathered(weight: Weight) -> Iterator[bytes]:
    """The bytes of a tensor with strides, in the order of its indices.

    The last axis is taken in one step, by a slice of the machine's own; the axes before it are counted through.
    """
    width = BITS[weight.dtype] // 8
    shape, strides = _squeezed(weight.shape, weight.strides)
    if width not in {1, 2, 4, 8}:
        raise MalformedInput(f"{weight.name}: a view of items of {width} bytes is not gathered here")
    *outer, last = shape
    *steps, step = strides
    rows = product(*(range(side) for side in outer))
    kept: list[bytes] = []
    held = 0
    reach = (last - 1) * step + 1
    window = _Region(weight, width, 1 + sum((side - 1) * s for side, s in zip(shape, strides, strict=True)))
    for index in rows:
        begin = sum(number * stride for number, stride in zip(index, steps, strict=True))
        row = window.row(begin, reach, step, last)
        kept.append(row)
        held += len(row)
        if held >= _PIECE:
            yield b"".join(kept)
            kept, held = [], 0
    if kept:
        yield b"".join(kept)


def _squeezed(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Without sides of one, and with neighbours joined that lie in order."""
    sides: list[int] = []
    steps: list[int] = []
    for side, step in zip(shape, strides, strict=True):
        if side == 1:
            continue
        if sides and steps[-1] == side * step:
            sides[-1] *= side
            steps[-1] = step
        else:
            sides.append(side)
            steps.append(step)
    return sides or [1], steps or [1]


class _Region:
    """The items that a view touches, mapped where they lie in a file, else held."""

    def __init__(self, weight: Weight, width: int, reach: int) -> None:
        import mmap  # noqa: PLC0415  # only views need it

        file, offset = on_disk(weight.blob, weight.start)
        size = reach * width
        if file is not None:
            before = offset % mmap.ALLOCATIONGRANULARITY
            if offset + size > os.fstat(file.descriptor).st_size:
                raise MalformedInput(f"{weight.name}: the file ends too early")
            whole = mmap.mmap(file.descriptor, before + size, access=mmap.ACCESS_READ, offset=offset - before)
            self._items = memoryview(whole)[before : before + size].cast(_ITEMS[8 * width])
            return
        if size > _REGION:
            raise MalformedInput(f"{weight.name}: a view over {size} bytes that are not on the disk")
        data = weight.blob.read(weight.start, size)
        if len(data) < size:
            raise MalformedInput(f"{weight.name}: the file ends too early")
        self._items = memoryview(data).cast(_ITEMS[8 * width])

    def row(self, begin: int, reach: int, step: int, count: int) -> bytes:
        """`count` items from `begin`, `step` apart."""
        if step == 0:
            return self._items[begin : begin + 1].tobytes() * count
        return self._items[begin : begin + reach : step].tobytes()
