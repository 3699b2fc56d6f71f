"""Knows the marks that code leaves in formats which are searched rather than parsed.

Sources: Java Object Serialization Specification 6 (class descriptors), MATLAB "MAT-File Format" R2024a, torch7
`File.lua`, bsonspec.org and BSON.jl, [MS-NRBF], MLIR bytecode format, fastText `src/fasttext.cc`.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

_WINDOW: Final = 1 << 20
_OVERLAP: Final = 512
_MOST: Final = 512 << 20
_KEPT: Final = 500
_ELEMENT: Final = 1 << 12
_JAVA: Final = re.compile(rb"\x72\x00([\x01-\xff])((?:\[+L?)?[A-Za-z_$][\w$./]{1,250};?)")
_LUA: Final = re.compile(rb"\x1bLua[\x51-\x54]|\x1bLJ[\x01\x02]")
_JULIA: Final = re.compile(rb"\x02tag\x00.{4}(jl_anonymous|jl_methods|methods|lambda|module|closure)\x00", re.DOTALL)
_EXECUTABLE: Final = re.compile(
    rb"\x7fELF[\x01\x02][\x01\x02]\x01|MZ[\x80-\x90]\x00.{58}[\x40-\xff]\x00\x00\x00", re.DOTALL
)
_DOTNET: Final = re.compile(rb"[\x0c\x04\x05].{0,8}?([A-Z]\w+(?:\.[A-Z]\w+){1,8})", re.DOTALL)
_CALLBACK: Final = re.compile(rb"\w*(?:python_\w*callback|pyfunc|py_func)\w*")
_PATTERNS: Final = {
    "mlir": _CALLBACK,
    "java": _JAVA,
    "torch7": _LUA,
    "bson": _JULIA,
    "tensorrt": _EXECUTABLE,
    "binaryformatter": _DOTNET,
}
_FASTTEXT_ARGUMENTS: Final = 14
_MAT_CLASSES: Final = {3: "object", 16: "function handle", 17: "opaque object"}


class Signs(Struct, frozen=True, kw_only=True):
    """What was found: (text, offset). `complete` is false for a format that is only recognised; `note` says why."""

    found: tuple[tuple[str, int], ...]
    complete: bool = True
    note: str = ""


def read_signs(blob: Blob, kind: str) -> Signs:
    """The marks of one format in a blob, searched up to 512 MiB."""
    if kind == "matlab":
        return Signs(found=tuple(_matlab(blob)))
    if kind == "fasttext":
        return Signs(found=tuple(_fasttext(blob)))
    if kind in {"ggml", "bitstream"}:
        return Signs(found=(), complete=False, note=f"{kind} has no reader here")
    found = tuple(_search(blob, _PATTERNS[kind]))
    if kind == "tensorrt":
        return Signs(
            found=found, complete=False, note="an engine is native code; only its signature and embedded files are seen"
        )
    if blob.size > _MOST:
        return Signs(found=found, complete=False, note=f"searched up to {_MOST} bytes")
    return Signs(found=found)


def _search(blob: Blob, pattern: re.Pattern[bytes]) -> Iterator[tuple[str, int]]:
    at, told = 0, set[bytes]()
    while at < min(blob.size, _MOST):
        data = blob.read(at, _WINDOW)
        for match in pattern.finditer(data):
            mark = _mark(match)
            if mark and mark not in told and len(told) < _KEPT:
                told.add(mark)
                yield mark.decode("latin-1"), at + match.start()
        if len(data) < _WINDOW:
            return
        at += _WINDOW - _OVERLAP


def _mark(match: re.Match[bytes]) -> bytes:
    if match.re is _JAVA:
        return match[2][: match[1][0]]
    return match[1] if match.re.groups else match[0][:8]


def _matlab(blob: Blob) -> Iterator[tuple[str, int]]:
    """Classes of the arrays of a MAT-file, looking into compressed elements as far as their class."""
    at = 128
    little = blob.read(126, 2) == b"IM"
    order = "little" if little else "big"
    for _ in range(100_000):
        tag = blob.read(at, 8)
        if len(tag) < 8:
            return
        kind, size = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)  # type: ignore[arg-type]  # one of two words
        body = blob.read(at + 8, min(size, _ELEMENT))
        if kind == 15:
            try:
                body = zlib.decompressobj().decompress(body, _ELEMENT)[8:]
            except zlib.error:
                body = b""
        if kind in {14, 15} and len(body) >= 16:
            flags = int.from_bytes(body[8:12], order)  # type: ignore[arg-type]  # one of two words
            if flags & 0xFF in _MAT_CLASSES:
                yield _MAT_CLASSES[flags & 0xFF], at
        at += 8 + size


def _fasttext(blob: Blob) -> Iterator[tuple[str, int]]:
    """The header's numbers against the size of the file."""
    numbers = [int.from_bytes(blob.read(8 + 4 * n, 4), "little", signed=True) for n in range(_FASTTEXT_ARGUMENTS)]
    dimension = numbers[0]
    at = 8 + 12 * 4 + 8
    words = int.from_bytes(blob.read(at, 4), "little", signed=True)
    if dimension <= 0 or words < 0:
        yield f"a dictionary of {words} words with {dimension} dimensions", 8
    elif words > blob.size // 9:
        yield f"{words} words are claimed in {blob.size} bytes", at
