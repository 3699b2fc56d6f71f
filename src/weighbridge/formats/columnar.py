"""Reads Parquet, Arrow and Feather files through PyArrow, which reads them without unpickling since 14.0.1 (CVE-2023-47248).

Before a column is read, the sizes that the file claims are held against bounds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.rows import Batch, Rejected
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


class ColumnarFile:
    """A Parquet or Arrow file as rows. See `RowsFile`. Raises Unavailable without the extra `data`."""

    def __init__(self, path: str, kind: str) -> None:
        self.path, self.format = path, kind
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
        row = 1
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
            about = file.metadata
            if about.num_columns > _COLUMNS or not 0 <= about.num_rows <= _ROWS:
                raise LimitExceeded(
                    f"{self.path}: {about.num_columns} columns, {about.num_rows} rows", limit="size",
                    hint="inspect it in shards",
                )  # fmt: skip
            for number in range(about.num_row_groups):
                size = about.row_group(number).total_byte_size
                if not 0 <= size <= _GROUP:
                    raise LimitExceeded(
                        f"{self.path}: row group {number} claims {size} bytes", limit="size",
                        hint="write it with smaller row groups",
                    )  # fmt: skip
            yield from file.iter_batches(_BATCH)

    def _arrow(self) -> Iterator[Any]:
        import pyarrow  # noqa: PLC0415  # an extra

        with pyarrow.memory_map(self.path) as file:
            opened = _arrow(file)
            found = (opened.get_batch(n) for n in range(opened.num_record_batches)) if _is_file(opened) else opened
            for batch in found:
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH)


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
