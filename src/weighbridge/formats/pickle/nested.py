"""Knows where pickles hide inside pickles: encoded constants, and arrays that joblib writes in between."""

from __future__ import annotations

import binascii
import math
import re
import zlib
from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.values import Made, Name, Value, arguments_of, mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEVELS: Final = 4
CONSTANT_READ: Final = 1 << 20
JOBLIB_WRAPPER: Final = Name("joblib.numpy_pickle", "NumpyArrayWrapper")
BLOB_LOADERS: Final = frozenset({"torch.storage._load_from_bytes"})
BLOB_READ: Final = 16 << 20
TORCH_BLOB: Final = "torch.save"
LEGACY_STREAMS: Final = 5
_MODULE_PARTS: Final = 4
_INFLATED: Final = 1 << 20
_LEAST: Final = 6
_TEXT_PICKLE: Final = re.compile(rb"[(\]}ld]{0,4}[ci][A-Za-z_][\w.]{0,80}\n[A-Za-z_][\w.]{0,80}\n")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*\Z")
_HEX: Final = re.compile(rb"[0-9a-fA-F]+\Z")
_ARRAY_KEYS: Final = frozenset({"shape", "dtype", "order", "allow_mmap"})


def looks_like_pickle(head: bytes) -> bool:
    """Whether bytes begin like a pickle that does something; says nothing about the rest."""
    if len(head) >= 2 and head[0] == 0x80:
        return 2 <= head[1] <= 5
    return _TEXT_PICKLE.match(head) is not None


def candidates(content: bytes) -> Iterator[tuple[str, bytes]]:
    """(encoding, bytes) for each way in which `content` decodes to something that begins like a pickle."""
    waiting = [("", content)]
    for _ in range(LEVELS * 3):
        if not waiting:
            return
        names, data = waiting.pop()
        if len(data) < _LEAST:
            continue
        if looks_like_pickle(data[:256]):
            yield names or "raw", data
        waiting += [(f"{names}+{name}" if names else name, decoded) for name, decoded in _decoded(data)]


def _decoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data[0] == 0x78 or data[:2] == b"\x1f\x8b":
        inflater = zlib.decompressobj(47)
        try:
            yield "zlib", inflater.decompress(data, _INFLATED)
        except zlib.error:
            return
    elif _HEX.match(data[:64]) and len(data) % 2 == 0 and _HEX.match(data):
        yield "hex", bytes.fromhex(data.decode("ascii"))
    elif _BASE64.match(data[:64].rstrip(b"=") + b"\n") and len(data) >= 2 * _LEAST and _BASE64.match(data):
        try:
            yield "base64", binascii.a2b_base64(data)
        except binascii.Error:
            return


def latin1_bytes(value: Value, text: Callable[[int], str], handles: list[int]) -> bytes:
    """The bytes that protocols 0 to 2 write as `_codecs.encode(text, 'latin1')`; empty for other calls."""
    if not isinstance(value, Made) or value.target != Name("_codecs", "encode") or not handles:
        return b""
    return text(handles[0]).encode("latin-1", "replace")


def legacy_class(identifier: Value) -> Name | None:
    """The class that torch's legacy format stores as `("module", class, source file, source)`; torch.load returns it."""
    parts = arguments_of(identifier)
    is_class = len(parts) == _MODULE_PARTS and parts[0] == "module" and isinstance(parts[1], Name)
    return parts[1] if is_class and isinstance(parts[1], Name) else None


def joblib_array(state: Value, read: Callable[[int, int], bytes], end: int) -> tuple[int, int | None] | None:
    """Where the array behind a `NumpyArrayWrapper` begins and how many bytes it has.

    The length is None for an object array, which is another pickle. None where the wrapper does not say
    its size. Layout as of joblib 1.2 (`joblib/numpy_pickle.py`, `read_array`): with an alignment, one
    byte states the padding that follows it.
    """
    known = mapping(state)
    if not known.keys() >= _ARRAY_KEYS:
        return None
    width = item_size(known["dtype"])
    shape = arguments_of(known["shape"])
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        return None
    if width is None:
        return end, None
    if isinstance(known.get("numpy_array_alignment_bytes"), int):
        padding = read(end, 1)
        end += 1 + (padding[0] if padding else 0)
    return end, math.prod(side for side in shape if isinstance(side, int)) * width


def item_size(dtype: Value) -> int | None:
    """Bytes of one item of a pickled `numpy.dtype`; None for object dtypes and where it is unclear."""
    if not isinstance(dtype, Made):
        return None
    first = arguments_of(dtype.arguments)[:1]
    code = first[0] if first and isinstance(first[0], str) else ""
    match = re.fullmatch(r"[<>|=]?([bBhHiIlLqQefdgFDGmMUSVuc?])(\d*)(\[.*\])?", code)
    if match is None:
        return None
    kind, digits = match[1], match[2]
    if not digits:
        return {"?": 1, "b": 1, "B": 1}.get(kind)
    return int(digits) * (4 if kind == "U" else 1)
