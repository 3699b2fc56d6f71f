"""Knows every reader, in one explicit tuple; the table of formats in the documentation is made from it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.inspection.stages import Member, Stages


class Reader(Struct, frozen=True, kw_only=True):
    """One reader: the formats that `identify` names for it, and where its function stands.

    `title`, `reads`, `rules` and `gaps` are what the documentation says about it.
    """

    formats: tuple[str, ...]
    module: str
    function: str = "read"
    title: str
    reads: str
    rules: str = ""
    gaps: str = ""


READERS: Final[tuple[Reader, ...]] = (
    Reader(
        formats=("pickle",), module="pickles", title="Pickle", rules="PKL JBL TCH",
        reads="every opcode, executed symbolically; also joblib's array sections and torch's legacy streams",
        gaps="what a harmless class does with its state later",
    ),
    Reader(
        formats=("zip", "tar", "7z", "gzip", "zlib", "bz2", "xz", "lzma", "lz4", "zstd"), module="containers",
        title="Archives and compressed streams", rules="ARC SCN",
        reads="directory, headers, every member with the readers of this table, checksums", gaps="RAR; contents behind a password",
    ),
    Reader(formats=("npy",), module="tensors", function="npy", title="NumPy", rules="NPY", reads="the header; pickled objects behind it"),
    Reader(
        formats=("safetensors",), module="tensors", function="safetensors", title="safetensors", rules="STN",
        reads="the whole header, strictly", gaps="the values of the tensors",
    ),
    Reader(
        formats=("executorch",), module="tensors", function="executorch", title="ExecuTorch", rules="TCH",
        reads="root table and extended header", gaps="the instructions of the program",
    ),
    Reader(formats=("text", "json", "script", "unknown"), module="plain", title="Text", rules="SEC", reads="secrets"),
    Reader(
        formats=("media", "pdf", "lfs-pointer", "elf", "pe", "mach-o", "lnk", "wasm"), module="plain", function="inert",
        title="Media, executables, Git LFS pointers", rules="SCN", reads="the signature; an executable among model files is a finding by itself",
    ),
    Reader(formats=("empty",), module="plain", function="empty", title="Empty files", reads="nothing, and says so"),
)  # fmt: skip


@cache
def reader_of(found: str) -> Callable[[Stages, Member], None]:
    """The function that reads a format; one that reports the format as unsupported where none does."""
    known = next((reader for reader in READERS if found in reader.formats), None)
    module, function = (known.module, known.function) if known else ("plain", "unsupported")
    read: Callable[[Stages, Member], None] = getattr(
        import_module(f"weighbridge.inspection.reading.{module}"), function
    )
    return read
