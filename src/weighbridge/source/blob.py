"""Knows how bytes are read: bounded windows of something that has a size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from weighbridge.schema import LimitExceeded, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Limits

CHUNK = 1 << 20


class Blob(Protocol):
    """Random access to the bytes of one member."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; shorter at the end, empty beyond it.

        Raises SourceError when the medium fails.
        """
        ...


class FileBlob:
    """A local file, opened once and read by position. Links are followed only where the caller allows it."""

    def __init__(self, path: str, *, follow: bool = True) -> None:
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        if not follow:
            flags |= getattr(os, "O_NOFOLLOW", 0)
        self.path, self._descriptor = path, -1
        try:
            self._descriptor = os.open(path, flags)
        except OSError as error:
            raise unreadable(path, error) from error
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self._opened = (status.st_size, status.st_mtime_ns)

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`. Offsets come from files, and can be beyond what the system has numbers for."""
        if offset >= self.size:
            return b""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def descriptor(self) -> int:
        """The open file, for those who move its bytes without looking at them."""
        return self._descriptor

    @property
    def changed(self) -> bool:
        """Whether the file has another size or modification time than when it was opened."""
        status = os.fstat(self._descriptor)
        return (status.st_size, status.st_mtime_ns) != self._opened

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


class OpenBlob:
    """A file by its descriptor, which stays its owner's."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        return os.pread(self.descriptor, length, offset) if offset < self.size else b""


def unreadable(path: str, error: OSError) -> SourceError:
    """What to tell a user about a file that cannot be read."""
    hints = {
        FileNotFoundError: "check the spelling of the path",
        PermissionError: "run as a user who may read it",
    }
    reason = (error.strerror or type(error).__name__).lower()
    return SourceError(f"{path}: {reason}", hint=hints.get(type(error), "check the disk and the path"))


class BytesBlob:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        return self._data[offset : offset + length]


class Slice:
    """A window of another blob."""

    def __init__(self, parent: Blob, start: int, size: int) -> None:
        self.parent, self.start = parent, start
        self.size = max(0, min(size, parent.size - start))

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        room = self.size - offset
        return self.parent.read(self.start + offset, min(length, room)) if room > 0 else b""


class Budget:
    """Counts what decompression has produced for one artifact, over all members."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.unpacked = 0

    def spend(self, produced: int, *, stream_out: int, stream_in: int) -> None:
        """Account for `produced` bytes of a stream that turned `stream_in` into `stream_out` so far.

        Raises LimitExceeded where the artifact's total or this stream's ratio is beyond its bound.
        """
        self.unpacked += produced
        if self.unpacked > self.limits.unpacked_bytes:
            limit = self.limits.unpacked_bytes
            raise LimitExceeded(f"decompression produced more than {limit} bytes", limit="unpacked_bytes")
        if stream_out > self.limits.ratio_floor and stream_out > self.limits.ratio * max(1, stream_in):
            raise LimitExceeded(f"decompression inflates more than {self.limits.ratio} times", limit="ratio")


class Spool:
    """Decompressed bytes, in memory while few, else in an unlinked temporary file."""

    def __init__(self, pieces: Iterator[tuple[bytes, int]], budget: Budget) -> None:
        """Drain `pieces`, pairs of decompressed bytes and compressed bytes consumed so far.

        What was produced before an error is kept; the error is in `error`.
        """
        import tempfile  # noqa: PLC0415  # most files need no decompression

        self._file = tempfile.SpooledTemporaryFile(max_size=budget.limits.spool_memory)  # noqa: SIM115  # lives as long as the blob
        self.size = 0
        self.error: Exception | None = None
        try:
            for piece, consumed in pieces:
                self._file.write(piece)
                self.size += len(piece)
                budget.spend(len(piece), stream_out=self.size, stream_in=consumed)
        except Exception as error:  # noqa: BLE001  # decoders raise their own kinds; the caller classifies
            self.error = error

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        self._file.seek(offset)
        return self._file.read(length)


def chunks(blob: Blob, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a blob from `start` to `end` in pieces of at most a mebibyte."""
    stop = blob.size if end is None else min(end, blob.size)
    while start < stop:
        piece = blob.read(start, min(CHUNK, stop - start))
        if not piece:
            return
        yield piece
        start += len(piece)
