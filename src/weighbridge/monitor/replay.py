"""Knows logs as records: lines of JSON (also gzipped, or from standard input) and Parquet, a batch at a time."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.columnar import FORMATS, ColumnarFile
from weighbridge.monitor.records import LONGEST_LINE, Lines, Record, Rejects, from_table
from weighbridge.schema import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_BLOCK: Final = 1 << 20


def records_of(path: str, rejects: Rejects) -> Iterator[list[Record]]:
    """The records of a log, in order. What is none is counted and passed over. Raises SourceError, MalformedInput."""
    kind = FORMATS.get(os.path.splitext(path)[1].lower())
    if kind:
        yield from _columnar(path, kind, rejects)
        return
    try:
        if path == "-":
            yield from blocks(sys.stdin.buffer, rejects)
            return
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield from blocks(gzip.GzipFile(fileobj=file) if packed else file, rejects)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file", hint="check the path") from None
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: {error}", hint="the log was cut, or cannot be read") from error


def blocks(file: IO[bytes] | gzip.GzipFile, rejects: Rejects) -> Iterator[list[Record]]:
    """The records of an open log of lines. A line above 1 MiB is counted and passed over without being kept."""
    lines = Lines(rejects)
    rest, first, skipping = b"", 1, False
    while block := file.read(_BLOCK):
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            block, skipping, first = block[end + 1 :], False, first + 1
        end = block.rfind(b"\n")
        if end < 0:
            rest += block
        else:
            whole, rest = rest + block[: end + 1], block[end + 1 :]
            yield lines.decode(whole, first)
            first += whole.count(b"\n")
        if len(rest) > LONGEST_LINE:
            rejects.add("a line above 1 MiB", f"line {first}")
            rest, skipping = b"", True
    if rest.strip():
        yield lines.decode(rest, first)


def _columnar(path: str, kind: str, rejects: Rejects) -> Iterator[list[Record]]:
    for batch in ColumnarFile(path, kind).batches():
        names = list(batch.columns)
        found = []
        for line, cells in zip(batch.lines, zip(*batch.columns.values(), strict=True), strict=True):
            table: dict[str, Any] = dict(zip(names, cells, strict=True))
            record = from_table({key: value for key, value in table.items() if value is not None})
            if record is None:
                rejects.add("neither an input nor an output in it", f"row {line}")
            else:
                found.append(record)
        yield found
