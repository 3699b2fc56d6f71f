"""Reads Parquet, Arrow and Feather files through PyArrow, which reads them without unpickling since 14.0.1 (CVE-2023-47248).

Before a column is read, the sizes that the file claims are held against bounds.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.rows import Batch, Rejected, Span
from weighbridge.schema import LimitExceeded, MalformedInput, SourceError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS: Final = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
_BATCH: Final = 8192
_GROUP: Final = 2 << 30  # bytes of one row group, unpacked
_ROWS: Final = 50_000_000_000
_COLUMNS: Final = 10_000
_PICKLED: Final = frozenset({b"arrow.py_extension_type"})


class Extension(Struct, frozen=True):
    """A column of an extension type; `pickled` where older readers unpickle its metadata (CVE-2023-47248)."""

    column: str
    name: str
    pickled: bool
    metadata: bytes


class Part(Struct, frozen=True):
    """How much of a file was copied: rows, of how many."""

    rows: int
    of: int


def copied(file: IO[bytes], target: str, budget: int) -> Part:
    """Copy row groups of a Parquet file that can be read at any place, evenly over it, as many as `budget` bytes allow.

    Only the footer and the chosen groups are read. Raises MalformedInput, LimitExceeded, SourceError.
    """
    import pyarrow.parquet  # noqa: PLC0415  # an extra

    try:
        opened = pyarrow.parquet.ParquetFile(pyarrow.PythonFile(file, mode="r"))
        _bounded(target, opened.metadata)
        about = opened.metadata
        sizes = [about.row_group(number).total_byte_size for number in range(about.num_row_groups)]
        rows = 0
        with pyarrow.parquet.ParquetWriter(target, opened.schema_arrow) as writer:
            for number in _chosen(sizes, budget):
                table = opened.read_row_group(number)
                writer.write_table(table)
                rows += table.num_rows
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _malformed(os.path.basename(target), error) from error
    return Part(rows, about.num_rows)


def _chosen(sizes: list[int], budget: int) -> list[int]:
    """Numbers of groups, evenly over all of them, that fit together."""
    count, total = len(sizes), sum(sizes)
    if total <= budget:
        return list(range(count))
    found, held = [], 0
    step = max(1.0, total / max(1, budget))
    for number in sorted({int(at * step) for at in range(int(count / step) + 1)}):
        if number < count and held + sizes[number] <= budget:
            found.append(number)
            held += sizes[number]
    return found


class ColumnarFile:
    """A Parquet or Arrow file as rows. See `RowsFile`. Raises Unavailable without the extra `data`."""

    def __init__(self, path: str, kind: str, span: Span | None = None) -> None:
        self.path, self.format, self._span = path, kind, span
        self.rejected, self.notes = Rejected(), list[str]()

    def extensions(self) -> tuple[Extension, ...]:
        """Columns of extension types. Raises MalformedInput, SourceError."""
        import pyarrow  # noqa: PLC0415  # an extra

        found = []
        try:
            schema = self._schema()
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise _malformed(self.path, error) from error
        for field in schema:
            given = field.metadata or {}
            name = given.get(b"ARROW:extension:name", b"")
            if isinstance(field.type, pyarrow.BaseExtensionType) and not name:
                name = field.type.extension_name.encode()
            if name:
                data = given.get(b"ARROW:extension:metadata", b"")
                found.append(Extension(field.name, name.decode("utf-8", "replace"), name in _PICKLED, data[:4096]))
        return tuple(found)

    def _schema(self) -> Any:
        import pyarrow.parquet  # noqa: PLC0415  # an extra

        if self.format == "parquet":
            return pyarrow.parquet.read_schema(self.path)
        with pyarrow.memory_map(self.path) as file:
            return _arrow(file).schema

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`."""
        try:
            import pyarrow  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise Unavailable(
                f"{self.path}: reading {self.format} needs the extra data", hint="pip install 'weighbridge[data]'"
            ) from error
        if not os.path.isfile(self.path):
            raise SourceError(f"{self.path}: no such file", hint="check the path")
        row = self._span.line if self._span else 1
        try:
            for found in self._parquet() if self.format == "parquet" else self._arrow():
                columns = {name: found.column(n).to_pylist() for n, name in enumerate(found.schema.names)}
                yield Batch(columns, list(range(row, row + found.num_rows)))
                row += found.num_rows
        except (pyarrow.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            raise _malformed(self.path, error) from error

    def _parquet(self) -> Iterator[Any]:
        import pyarrow.parquet  # noqa: PLC0415  # an extra

        with pyarrow.parquet.ParquetFile(self.path) as file:
            _bounded(self.path, file.metadata)
            groups = range(self._span.start, self._span.end) if self._span else range(file.metadata.num_row_groups)
            yield from file.iter_batches(_BATCH, row_groups=groups)

    def spans(self, size: int) -> tuple[Span, ...]:
        """Row groups of a Parquet file, together of about `size` bytes; none of an Arrow file. Raises MalformedInput."""
        import pyarrow.parquet  # noqa: PLC0415  # an extra

        if self.format != "parquet":
            return ()
        try:
            about = pyarrow.parquet.read_metadata(self.path)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise _malformed(self.path, error) from error
        _bounded(self.path, about)
        found, start, line, held, rows = [], 0, 1, 0, 0
        for number in range(about.num_row_groups):
            group = about.row_group(number)
            held, rows = held + group.total_byte_size, rows + group.num_rows
            if held >= size or number == about.num_row_groups - 1:
                found.append(Span(start, number + 1, line))
                start, line, held, rows = number + 1, line + rows, 0, 0
        return tuple(found)

    def _arrow(self) -> Iterator[Any]:
        import pyarrow  # noqa: PLC0415  # an extra

        with pyarrow.memory_map(self.path) as file:
            opened = _arrow(file)
            found = (opened.get_batch(n) for n in range(opened.num_record_batches)) if _is_file(opened) else opened
            for batch in found:
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH)


def _bounded(path: str, about: Any) -> None:
    """Raises LimitExceeded where a Parquet file claims more than anybody wants in memory."""
    if about.num_columns > _COLUMNS or not 0 <= about.num_rows <= _ROWS:
        raise LimitExceeded(
            f"{path}: {about.num_columns} columns, {about.num_rows} rows", limit="size", hint="inspect it in shards"
        )
    for number in range(about.num_row_groups):
        size = about.row_group(number).total_byte_size
        if not 0 <= size <= _GROUP:
            raise LimitExceeded(
                f"{path}: row group {number} claims {size} bytes", limit="size",
                hint="write it with smaller row groups",
            )  # fmt: skip


def _arrow(file: Any) -> Any:
    """A reader of the file format, else of the stream format, which the datasets library writes."""
    import pyarrow  # noqa: PLC0415  # an extra

    try:
        return pyarrow.ipc.open_file(file)
    except pyarrow.ArrowInvalid:
        file.seek(0)
        return pyarrow.ipc.open_stream(file)


def _is_file(opened: Any) -> bool:
    return hasattr(opened, "num_record_batches")


def _malformed(path: str, error: Exception) -> MalformedInput:
    return MalformedInput(f"{path}: {str(error)[:200]}", hint="this file is damaged, or not what its name says")
