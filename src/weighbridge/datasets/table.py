"""Knows a set of rows that lies in one or several files of the same columns, and where each of its rows stands."""

from __future__ import annotations

import os
import re
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats import columnar, hdf5_rows, rows, webdataset
from weighbridge.schema import UsageError, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.formats.rows import Batch, RowsFile, Span

_SPLITS: Final = re.compile(
    r"(?:^|[^a-z])(train(?:ing)?|test|valid(?:ation)?|dev|eval(?:uation)?|held[-_]?out)(?:[^a-z]|$)", re.IGNORECASE
)
HELD_OUT: Final = frozenset({"test", "validation", "valid", "dev", "eval", "evaluation", "heldout"})
_NOT_DATA: Final = re.compile(
    r"(?:^|/)(?:dataset_infos?|dataset_dict|state|config|package(?:-lock)?|croissant|metadata|tokenizer\w*|requirements\w*|readme|licen[cs]e)\.(?:json|txt)\Z",
    re.IGNORECASE,
)
_FILES: Final = 100_000


class Row(Struct, frozen=True):
    """One row again: its file, its line or number there, and its cells."""

    path: str
    line: int
    cells: dict[str, Any]


class Table:
    """Files with the same columns, read one after another. Row numbers count from 0 over all of them."""

    def __init__(self, files: Sequence[RowsFile]) -> None:
        self.files = tuple(files)

    @property
    def size(self) -> int:
        """Bytes of its files, as they are now."""
        return sum(size_of(file.path) for file in self.files)

    def batches(self) -> Iterator[tuple[RowsFile, int, Batch]]:
        """(file, number of the first row, rows)."""
        first = 0
        for file in self.files:
            for batch in file.batches():
                yield file, first, batch
                first += len(batch)

    def rows_at(self, wanted: Sequence[int]) -> dict[int, Row]:
        """Some rows, read again from the beginning; what was rejected in a whole pass stays told."""
        left = sorted(set(wanted), reverse=True)
        found: dict[int, Row] = {}
        for file, first, batch in Table([copy(file) for file in self.files]).batches() if left else ():
            while left and left[-1] < first + len(batch):
                number = left.pop()
                at = number - first
                found[number] = Row(
                    file.path, batch.lines[at], {name: cells[at] for name, cells in batch.columns.items()}
                )
            if not left:
                break
        return found


def size_of(path: str) -> int:
    """Bytes of a file; none where it is gone, which reading it says."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def is_rows(path: str) -> bool:
    """Whether a file holds rows, by its name; an archive by the names in it."""
    named = bool(rows.kind_of(path) or columnar_kind(path)) and not _NOT_DATA.search(path.replace(os.sep, "/"))
    return (
        named or webdataset.is_webdataset(path) or (hdf5_rows.is_hdf5(path) and hdf5_rows.held(path) == hdf5_rows.ROWS)
    )


def columnar_kind(path: str) -> str:
    """`parquet`, `arrow` or nothing."""
    return columnar.FORMATS.get(os.path.splitext(path.lower())[1], "")


def open_file(path: str, span: Span | None = None) -> RowsFile:
    """A file of rows, or one of its `spans`. Raises UsageError where the name says nothing, SourceError, MalformedInput."""
    kind = columnar_kind(path)
    if kind:
        return columnar.ColumnarFile(path, kind, span)
    if webdataset.is_webdataset(path):
        return webdataset.WebRows(path)
    if hdf5_rows.is_hdf5(path):
        return hdf5_rows.Hdf5Rows(path)
    if not rows.kind_of(path):
        raise UsageError(
            f"{path}: this is no file of rows",
            hint="one of jsonl, json, csv, tsv, txt, parquet, arrow, hdf5, tar of WebDataset; arrays as npz; a folder",
        )
    return rows.open_rows(path, span)


def spans(path: str, size: int) -> tuple[Span, ...]:
    """Parts of a file that can be read apart, of about `size` bytes; none where it cannot be divided.

    Raises SourceError, MalformedInput, LimitExceeded.
    """
    kind = columnar_kind(path)
    if kind:
        return columnar.ColumnarFile(path, kind).spans(size)
    return rows.spans(path, size) if rows.kind_of(path) else ()


def same_columns(files: list[str]) -> Iterator[tuple[list[RowsFile], list[tuple[str, WeighbridgeError]]]]:
    """Files with the same columns belong together; files that cannot be opened stand alone."""
    groups: dict[tuple[str, ...], list[RowsFile]] = {}
    failed: list[tuple[str, WeighbridgeError]] = []
    for path in files:
        try:
            file = open_file(path)
            first = next(iter(file.batches()), None)
        except WeighbridgeError as error:
            failed.append((path, error))
            continue
        groups.setdefault(tuple(sorted(first.columns)) if first else (), []).append(file)
    for shards in groups.values():
        yield shards, []
    if failed:
        yield [], failed


def split_of(path: str) -> str:
    """`train`, `test`, `validation` … by the name of a file, or nothing."""
    found = _SPLITS.search(os.path.basename(path))
    return {"training": "train", "valid": "validation"}.get(found[1].lower(), found[1].lower()) if found else ""


def listed(folder: str) -> list[str]:
    """The files of rows in a folder, in order, links left out. Raises UsageError where there are too many."""
    found: list[str] = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not os.path.islink(os.path.join(here, name))
        )
        for name in sorted(names):
            path = os.path.join(here, name)
            if is_rows(path) and not os.path.islink(path):
                found.append(path)
        if len(found) > _FILES:
            raise UsageError(f"{folder}: more than {_FILES} files of rows", hint="inspect its folders one by one")
    return found
