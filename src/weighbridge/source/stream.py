"""Knows a single compressed stream as a tree with one member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source.blob import Blob, Budget, Slice, Spool
from weighbridge.source.decompress import Trailing, damaged, decompressed
from weighbridge.source.tree import Anomaly, Entry, Oddity, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = (".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zst", ".lz4", ".z", ".zlib")


class StreamTree(Unchecked):
    """A file that is one compressed stream, with perhaps something behind it."""

    def __init__(self, blob: Blob, codec: str, name: str, budget: Budget) -> None:
        self.format = codec
        self._blob, self._budget = blob, budget
        self._anomalies: list[Anomaly] = []
        self._name = next((name[: -len(s)] for s in _SUFFIXES if name.lower().endswith(s)), name) or "content"
        self._after: int | None = None
        self.spool = Spool(decompressed(codec, blob), budget)
        self._settle()

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        yield Entry(name=self._name, size=self.spool.size)
        if self._after is not None:
            yield Entry(name="bytes after the stream", size=self._blob.size - self._after, handle=1)

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        if entry.handle == 1 and self._after is not None:
            return Slice(self._blob, self._after, self._blob.size - self._after)
        return self.spool

    def _settle(self) -> None:
        error = self.spool.error
        if error is None:
            return
        if isinstance(error, Trailing):
            self._after = error.at
            detail = f"{self._blob.size - error.at} bytes after the compressed stream"
            self._anomalies.append(Anomaly(oddity=Oddity.TRAILING, name="", detail=detail, offset=error.at))
            return
        if isinstance(error, LimitExceeded):
            raise error
        if not damaged(error):
            raise error
        if not self.spool.size:
            raise MalformedInput(f"not a {self.format} stream: {error}") from error
        detail = f"decompression fails after {self.spool.size} bytes: {error}"
        self._anomalies.append(Anomaly(oddity=Oddity.CUT, name=self._name, detail=detail))
