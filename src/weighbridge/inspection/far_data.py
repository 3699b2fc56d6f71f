"""Knows how data behind an address is brought here to be examined: its tables, as much of them as a budget allows.

Of a Parquet file only the footer and row groups evenly over it are read; of rows in lines, the beginning. What is left there is
coverage: a part that was looked at says nothing of the rest.
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.formats.columnar import copied
from weighbridge.formats.rows import kind_of
from weighbridge.inspection.far import listed
from weighbridge.schema import Coverage, Reason, Report, SourceError, Status, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.inspection.plan import Options
    from weighbridge.source import Blob

BUDGET: Final = 1 << 30
_PIECE: Final = 8 << 20
_FILES: Final = 10_000
_CUT: Final = frozenset({"jsonl", "csv", "text"})
_WHOLE: Final = (
    ".tar",
    ".h5",
    ".hdf5",
    ".he5",
    ".arrow",
    ".feather",
    ".ipc",
    ".npz",
    ".npy",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".bmp",
    ".gif",
)


class Brought(Struct, frozen=True, kw_only=True):
    """A local folder with what was brought, the address that it is shown by, and what was left there."""

    folder: str
    shown: str
    single: bool
    left: tuple[Coverage, ...]

    def renamed(self, report: Report) -> Report:
        """A report about the folder, as one about the address. The folder's name is made up and stands nowhere else."""
        data = msgspec.json.encode(report)
        ours = msgspec.json.encode(self.folder)[1:-1]
        theirs = msgspec.json.encode(self.shown)[1:-1]
        if self.single:
            name = next(iter(sorted(os.listdir(self.folder))), "")
            data = data.replace(ours + b"/" + msgspec.json.encode(name)[1:-1], theirs)
        return msgspec.json.decode(data.replace(ours, theirs), type=Report)


@contextmanager
def brought(address: str, options: Options, budget: int) -> Iterator[Brought]:
    """What is behind an address, here until the end. Raises SourceError where nothing of it is data, UsageError."""
    shown, files = listed(address, options)
    wanted = [(name, open_it) for name, open_it in files if _is_data(name)]
    if not wanted:
        raise SourceError(
            f"{shown}: there is no table that can be read", hint="jsonl, csv, tsv, txt, parquet, arrow, npz"
        )
    single = len(files) == 1
    with tempfile.TemporaryDirectory(prefix="weighbridge-data-") as folder:
        left: list[Coverage] = []
        for name, open_it in wanted[:_FILES]:
            path = os.path.join(folder, *(part for part in name.split("/") if part not in {"", ".", ".."}))
            place = (shown,) if single else (f"{shown}/{name}",)
            size = 0
            try:
                blob = open_it()
                size = blob.size
                os.makedirs(os.path.dirname(path), exist_ok=True)
                taken, why = _taken(name, blob, path, budget)
            except WeighbridgeError as error:
                taken, why = 0, error.message
            except OSError as error:  # a name that no file here can have, or no room
                taken, why = 0, f"it cannot be kept here: {error.strerror}"
            budget -= taken
            if why:
                left.append(
                    Coverage(
                        path=place,
                        format="data",
                        size=size,
                        inspected=min(taken, size),
                        reason=Reason.LIMIT,
                        detail=why,
                        status=Status.TRUNCATED if os.path.exists(path) else Status.SKIPPED,
                    )
                )
        if len(wanted) > _FILES:
            why = f"{_FILES} of its {len(wanted)} tables were asked for"
            left.append(
                Coverage(
                    path=(shown, "tables"),
                    format="data",
                    size=0,
                    reason=Reason.LIMIT,
                    detail=why,
                    status=Status.TRUNCATED,
                )
            )
        yield Brought(folder=folder, shown=shown, single=single, left=tuple(left))


def _is_data(name: str) -> bool:
    return bool(kind_of(name)) or name.lower().endswith((".parquet", *_WHOLE))


def _taken(name: str, blob: Blob, path: str, budget: int) -> tuple[int, str]:
    """(bytes that were brought, why that is not all of them). Raises SourceError, MalformedInput, LimitExceeded."""
    if blob.size <= budget:
        _copy(blob, path, blob.size)
        return blob.size, ""
    if name.lower().endswith(".parquet") and budget > 0:
        part = copied(io.BufferedReader(_File(blob), _PIECE), path, budget)
        if not part.rows:
            os.unlink(path)
            return 0, f"no row group of it fits into the {budget} bytes that were left"
        return os.path.getsize(path), f"{part.rows} of {part.of} rows were brought here, in groups evenly over the file"
    if kind_of(name) in _CUT and not name.lower().endswith(".gz") and budget > 0:
        cut = _lines(blob, path, budget)
        if cut:
            return cut, f"the first {cut} of {blob.size} bytes were brought here"
        os.unlink(path)
    return 0, f"its {blob.size} bytes are more than the {max(0, budget)} that were left"


def _copy(blob: Blob, path: str, count: int) -> None:
    with open(path, "wb") as file:
        at = 0
        while at < count:
            piece = blob.read(at, min(_PIECE, count - at))
            if not piece:
                raise SourceError(f"the connection ended after {at} of {count} bytes", hint="try again")
            file.write(piece)
            at += len(piece)


def _lines(blob: Blob, path: str, budget: int) -> int:
    """The whole lines among the first bytes; how many bytes they are."""
    _copy(blob, path, budget)
    with open(path, "r+b") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - _PIECE)
            file.seek(start)
            end = file.read(at - start).rfind(b"\n")
            if end >= 0:
                file.truncate(start + end + 1)
                return start + end + 1
            at = start
    return 0


class _File(io.RawIOBase):
    """A blob as a file that is read at any place."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._at = blob, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._blob.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._blob.read(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
