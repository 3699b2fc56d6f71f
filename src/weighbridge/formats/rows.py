"""Reads files of rows that nobody has checked: JSON lines, JSON arrays, CSV and TSV, plain text; a batch at a time.

A row that breaks the grammar is rejected, counted and located, and the next one is read: a broken line neither ends the
pass nor goes by in silence.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import os
import zlib
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec
from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 16 << 20  # bytes of one row
_WINDOW: Final = 1 << 20
_WHOLE: Final = 1 << 30  # a JSON array has to be read as a whole
_BATCH: Final = 8192
_BATCH_BYTES: Final = 8 << 20
_UNPACKED: Final = 64 << 30
_LOCATED: Final = 20
_SNIFFED: Final = 64 << 10
_SEPARATORS: Final = ("\t", ",", ";", "|")
_HEADER: Final = 64
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
FORMATS: Final = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "text",
}  # fmt: skip


class Batch(Struct, frozen=True):
    """Rows one after another: `columns` are lists of one length, `lines` say where in the file each row stands."""

    columns: dict[str, list[Any]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)


class Span(Struct, frozen=True):
    """A part of a file that is read by itself: its bytes (of Parquet: its row groups) from `start` to `end`, `line` the number of its first.

    `encoding` is that of the whole file, where it is text.
    """

    start: int
    end: int
    line: int
    encoding: str = ""


class Rejected(Struct):
    """Rows that could not be read: how many, and where the first of them are and why."""

    count: int = 0
    places: list[tuple[int, str]] = []

    def add(self, line: int, why: str) -> None:
        """Count one row."""
        self.count += 1
        if len(self.places) < _LOCATED:
            self.places.append((line, why))

    def join(self, other: Rejected) -> None:
        """Count the rows of the part that follows."""
        self.count += other.count
        self.places.extend(other.places[: _LOCATED - len(self.places)])


class RowsFile(Protocol):
    """A file of rows. `notes` say what was guessed, such as an encoding; `rejected` is complete after a pass."""

    path: str
    format: str
    rejected: Rejected
    notes: list[str]

    def batches(self) -> Iterator[Batch]:
        """The rows, in order. Raises SourceError, MalformedInput or LimitExceeded."""
        ...


def kind_of(path: str) -> str:
    """`jsonl`, `json`, `csv` or `text` by the name of a file (compressed or not), or nothing."""
    name = path.lower().removesuffix(".gz")
    return FORMATS.get(os.path.splitext(name)[1], "")


def open_rows(path: str, span: Span | None = None) -> RowsFile:
    """A file of rows by its name and first bytes, or one of its `spans`. Raises SourceError."""
    kind = kind_of(path)
    if kind == "json" and _first(path) != b"[":
        kind = "jsonl" if _first(path) == b"{" and _many_lines(path) else "json"
    if kind in {"jsonl", "json"}:
        return JsonRows(path, kind, span)
    return TextRows(path, span) if kind == "text" else CsvRows(path)


def spans(path: str, size: int) -> tuple[Span, ...]:
    """Parts of about `size` bytes that end where lines do; none where the file has to be read from its beginning.

    Raises SourceError.
    """
    file = None if path.lower().endswith(".gz") else open_rows(path)
    if not isinstance(file, TextRows) and (file is None or file.format != "jsonl"):
        return ()
    encoding = file.encoding if isinstance(file, TextRows) else ""
    with open_bytes(path) as opened:
        found, start, line, read, lines = [], 0, 1, 0, 0
        for window in _windows(opened, path):
            at = 0
            while cut := window.find(b"\n", max(at, start + size - 1 - read)) + 1:
                found.append(Span(start, read + cut, line, encoding))
                line, lines = line + lines + window.count(b"\n", at, cut), 0
                start, at = read + cut, cut
            lines += window.count(b"\n", at)
            read += len(window)
    return (*found, Span(start, read, line, encoding)) if read > start else tuple(found)


def open_bytes(path: str) -> IO[bytes]:
    """The bytes of a file, unpacked where it is gzipped. Raises SourceError."""
    try:
        file = open(path, "rb")  # noqa: SIM115  # the caller closes it
        if file.read(2) == b"\x1f\x8b":
            file.close()
            return cast("IO[bytes]", gzip.open(path, "rb"))
        file.seek(0)
    except OSError as error:
        raise SourceError(f"{path}: {(error.strerror or str(error)).lower()}", hint="check the path") from error
    return file


class JsonRows:
    """Objects, one a line or all in one array; or one object whose members are columns."""

    def __init__(self, path: str, kind: str, span: Span | None = None) -> None:
        self.path, self.format, self._span = path, kind, span
        self.rejected, self.notes = Rejected(), list[str]()
        self._decode = msgspec.json.Decoder().decode

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`."""
        self.rejected = Rejected()
        return _gathered(self._lines() if self.format == "jsonl" else self._array())

    def _lines(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        for number, line in byte_lines(self.path, self.rejected, self._span):
            if not line.strip():
                continue
            row = self._row(number, line)
            if row is not None:
                yield number, row, len(line)

    def _row(self, number: int, line: bytes) -> dict[str, Any] | None:
        try:
            row = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            row = _lenient(line)
            if row is None:
                self.rejected.add(number, str(error)[:200])
                return None
        if not isinstance(row, dict):
            self.rejected.add(number, f"a {type(row).__name__}, not an object")
            return None
        return row

    def _array(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        with open_bytes(self.path) as file:
            data = unpacked(file, _WHOLE + 1, self.path)
        if len(data) > _WHOLE:
            raise LimitExceeded(
                f"{self.path}: one JSON document of more than {_WHOLE >> 30} GiB", limit="size",
                hint="write it as JSON lines",
            )  # fmt: skip
        try:
            whole = self._decode(data.removeprefix(codecs.BOM_UTF8))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedInput(f"{self.path}: {str(error)[:200]}", hint="this is no JSON that can be read") from error
        rows = _rows_of(whole)
        if rows is None:
            raise MalformedInput(f"{self.path}: neither a list of objects nor columns of one length")
        for number, row in enumerate(rows, 1):
            if isinstance(row, dict):
                yield number, row, 200
            else:
                self.rejected.add(number, f"a {type(row).__name__}, not an object")


def _rows_of(whole: Any) -> list[Any] | None:
    if isinstance(whole, list):
        return whole
    if not isinstance(whole, dict):
        return None
    lists = {name: value for name, value in whole.items() if isinstance(value, list)}
    if len(lists) == 1:
        return next(iter(lists.values()))
    if lists and len({len(value) for value in lists.values()}) == 1:
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    return [whole]


def _lenient(line: bytes) -> Any:
    """What other readers take: NaN, or a byte order mark before the first row."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class CsvRows:
    """Rows of cells, with a header or without. `encoding` and `separator` are found out and said in the notes."""

    def __init__(self, path: str) -> None:
        self.path, self.format = path, "csv"
        self.rejected, self.notes = Rejected(), list[str]()
        with open_bytes(path) as file:
            start = unpacked(file, _SNIFFED, path)
        self.encoding = _encoding(path, start)
        text = start.decode(self.encoding, "replace")
        self.separator = _separator(text)
        first = next(csv.reader(text.splitlines(keepends=True), delimiter=self.separator), [])
        self.has_header = _is_header(first)
        self.names = _unique(first) if self.has_header else [f"column {number}" for number in range(1, len(first) + 1)]
        if self.encoding not in {"utf-8", "utf-8-sig"}:
            self.notes.append(f"read as {self.encoding}")
        if not self.has_header and first:
            self.notes.append("no header: columns are numbered")

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`."""
        self.rejected = Rejected()
        return _columns_of(self._cells(), self.names)

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(LONGEST)
        rows = csv.reader(text_lines(self.path, self.encoding, self.rejected), delimiter=self.separator)
        width, header = len(self.names), self.has_header
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                self.rejected.add(rows.line_num, str(error)[:200])
                continue
            if header or not row:
                header = False
            elif len(row) == width:
                yield rows.line_num, row
            else:
                self.rejected.add(rows.line_num, f"{len(row)} cells, not {width}")


class TextRows:
    """A plain corpus: one document a line."""

    def __init__(self, path: str, span: Span | None = None) -> None:
        self.path, self.format, self._span = path, "text", span
        self.rejected, self.notes = Rejected(), list[str]()
        self.encoding = span.encoding if span else ""
        if not self.encoding:
            with open_bytes(path) as file:
                self.encoding = _encoding(path, unpacked(file, _SNIFFED, path))

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`."""
        self.rejected = Rejected()
        lines = ((n, {"text": line.decode(self.encoding, "replace").rstrip()}, len(line))
                 for n, line in byte_lines(self.path, self.rejected, self._span))  # fmt: skip
        return _gathered(entry for entry in lines if entry[1]["text"])


def byte_lines(path: str, rejected: Rejected, span: Span | None = None) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; one that is longer than `LONGEST` is rejected and passed over without being held."""
    number, carried, passing = span.line if span else 1, b"", False
    with open_bytes(path) as file:
        if span:
            file.seek(span.start)
        for window in _windows(file, path, span.end - span.start if span else None):
            lines = (carried + window).split(b"\n")
            carried = lines.pop()
            for line in lines:
                if passing:
                    passing = False
                else:
                    yield number, line
                number += 1
            if len(carried) > LONGEST:
                if not passing:
                    rejected.add(number, f"longer than {LONGEST >> 20} MiB")
                carried, passing = b"", True
        if carried and not passing:
            yield number, carried


def text_lines(path: str, encoding: str, rejected: Rejected) -> Iterator[str]:
    """Lines of text with their ends, in any encoding; one that is too long is rejected and comes as an empty line."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    number, carried, passing = 1, "", False
    with open_bytes(path) as file:
        for window in _windows(file, path):
            lines = (carried + decoder.decode(window)).split("\n")
            carried = lines.pop()
            for line in lines:
                yield "\n" if passing else f"{line}\n"
                passing = False
                number += 1
            if len(carried) > LONGEST:
                if not passing:
                    rejected.add(number, f"longer than {LONGEST >> 20} MiB")
                carried, passing = "", True
    if carried and not passing:
        yield carried


def _windows(file: IO[bytes], path: str, most: int | None = None) -> Iterator[bytes]:
    """The bytes of a file, or the next `most` of them."""
    total = 0
    while window := unpacked(file, _WINDOW if most is None else min(_WINDOW, most - total), path):
        total += len(window)
        if total > _UNPACKED:
            raise LimitExceeded(f"{path}: more than {_UNPACKED >> 30} GiB", limit="size", hint="inspect it in shards")
        yield window


def unpacked(file: IO[bytes], most: int, path: str) -> bytes:
    """The next bytes of a file, packed or not. Raises MalformedInput where it is cut off or damaged."""
    try:
        return file.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedInput(f"{path}: cut off or damaged ({str(error)[:100]})") from error


def _gathered(rows: Iterator[tuple[int, dict[str, Any], int]]) -> Iterator[Batch]:
    """Objects as columns; a member that an object lacks is None."""
    held: list[dict[str, Any]] = []
    lines: list[int] = []
    size = 0
    for number, row, length in rows:
        held.append(row)
        lines.append(number)
        size += length
        if len(held) >= _BATCH or size > _BATCH_BYTES:
            yield _turned(held, lines)
            held, lines, size = [], [], 0
    if held:
        yield _turned(held, lines)


def _turned(rows: list[dict[str, Any]], lines: list[int]) -> Batch:
    first = rows[0].keys()
    names = list(first) if all(row.keys() == first for row in rows) else list(dict.fromkeys(n for r in rows for n in r))
    return Batch({name: [row.get(name) for row in rows] for name in names}, lines)


def _columns_of(rows: Iterator[tuple[int, list[str]]], names: list[str]) -> Iterator[Batch]:
    held: list[list[str]] = []
    lines: list[int] = []
    size = 0
    for number, row in rows:
        held.append(row)
        lines.append(number)
        size += sum(map(len, row))
        if len(held) >= _BATCH or size > _BATCH_BYTES:
            yield Batch(dict(zip(names, map(list, zip(*held, strict=True)), strict=True)), lines)
            held, lines, size = [], [], 0
    if held:
        yield Batch(dict(zip(names, map(list, zip(*held, strict=True)), strict=True)), lines)


def _encoding(path: str, start: bytes) -> str:
    for mark, name in _BOMS:
        if start.startswith(mark):
            return name
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open_bytes(path) as file:
            for window in _windows(file, path):
                if not window.isascii():
                    decoder.decode(window)
    except UnicodeDecodeError:
        return "cp1252" if not any(byte in start for byte in b"\x81\x8d\x8f\x90\x9d") else "latin-1"
    return "utf-8"


def _separator(text: str) -> str:
    """The sign that stands equally often, and most often, in the first rows."""
    best, most = ",", 0
    lines = text.splitlines(keepends=True)[:50]
    for sign in _SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=sign) if row]
        usual = max(set(widths), key=widths.count) if widths else 0
        score = widths.count(usual) * usual if usual > 1 else 0
        if score > most:
            best, most = sign, score
    return best


def _is_header(cells: list[str]) -> bool:
    def is_name(cell: str) -> bool:
        return 0 < len(cell.strip()) <= _HEADER and not cell.strip().lstrip("+-").replace(".", "", 1).isdigit()

    return bool(cells) and all(map(is_name, cells)) and len({cell.strip() for cell in cells}) == len(cells)


def _unique(names: list[str]) -> list[str]:
    return [name.strip() for name in names]


def _first(path: str) -> bytes:
    with open_bytes(path) as file:
        return unpacked(file, 256, path).removeprefix(codecs.BOM_UTF8).lstrip()[:1]


def _many_lines(path: str) -> bool:
    """Whether the second line begins an object as well."""
    with open_bytes(path) as file:
        start = unpacked(file, _SNIFFED, path)
    lines = [line.strip() for line in start.split(b"\n") if line.strip()][:2]
    return len(lines) == 2 and all(line[:1] == b"{" for line in lines) and lines[0][-1:] == b"}"
