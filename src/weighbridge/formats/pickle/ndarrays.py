"""Knows how numpy pickles an array, and how joblib writes one beside the pickle; nothing is rebuilt.

Source: numpy 2.4 `numpy/_core/multiarray.py` (`_reconstruct`, state of five), `numpy/_core/numeric.py` (`_frombuffer`);
joblib 1.6 `joblib/numpy_pickle.py` (`NumpyArrayWrapper`, `read_array`).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.pickle.graph import Named, Object, Pairs, read_graph
from weighbridge.schema import LimitExceeded

if TYPE_CHECKING:
    from weighbridge.source import Blob

_RECONSTRUCT: Final = re.compile(r"numpy\.(?:_?core)\.multiarray\._reconstruct\Z")
_BUFFER: Final = re.compile(r"numpy\.(?:_?core)\.numeric\._frombuffer\Z")
_ORDER: Final = re.compile(r"[<>|=]?")
_NESTED: Final = 16
JOBLIB: Final = "joblib.numpy_pickle.NumpyArrayWrapper"


class Array(Struct, frozen=True, kw_only=True):
    """An array of plain numbers: type as numpy writes it (`<f4`), shape, order, and its bytes or where they begin."""

    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    data: bytes = b""
    start: int = -1


def array(value: Any) -> Array | str | None:
    """The array that a pickled value is; why it is none of numbers; None for other values."""
    if not isinstance(value, Object):
        return None
    if _RECONSTRUCT.match(value.called):
        return _reconstructed(value.state)
    if _BUFFER.match(value.called) and isinstance(value.arguments, tuple) and len(value.arguments) == 4:
        data, dtype, shape, order = value.arguments
        return _array(dtype, shape, _bytes(data), fortran=order == "F")
    return None


def _reconstructed(state: Any) -> Array | str:
    if not isinstance(state, tuple) or len(state) != 5:
        return "its state has another form than numpy writes"
    _, shape, dtype, fortran, data = state
    return _array(dtype, shape, _bytes(data), fortran=fortran is True)


def _array(dtype: Any, shape: Any, data: bytes | None, *, fortran: bool) -> Array | str:
    code = dtype_code(dtype)
    sides = _sides(shape)
    if not code or sides is None:
        return "its type is no plain number, or its shape is none"
    if data is None or len(data) != math.prod(sides) * int(code[2:]):
        return "its bytes do not fill its shape"
    return Array(dtype=code, shape=sides, fortran=fortran, data=data)


def dtype_code(value: Any) -> str:
    """A pickled `numpy.dtype` as numpy writes it, with its byte order; empty where it is no plain number."""
    if isinstance(value, Object) and isinstance(value.arguments, tuple) and value.called == "numpy.dtype":
        code = value.arguments[0] if value.arguments else ""
        order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else ""
        match = re.fullmatch(r"([<>|=]?)([fiubc])(\d{1,2})", code) if isinstance(code, str) else None
        if match is not None and (isinstance(order, str) and _ORDER.fullmatch(order)):
            sign = "|" if match[3] == "1" else ">" if ">" in (match[1], order) else "<"
            return f"{sign}{match[2]}{match[3]}"
    return ""


def _bytes(value: Any) -> bytes | None:
    """Bytes as every protocol writes them: themselves, or `_codecs.encode(text, "latin1")`, or `bytearray(…)`."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("latin-1", "replace")
    if isinstance(value, Object) and isinstance(value.arguments, tuple) and value.arguments:
        if value.called == "_codecs.encode" and isinstance(value.arguments[0], str):
            return value.arguments[0].encode("latin-1", "replace")
        if value.called in {"builtins.bytearray", "builtins.bytes", "__builtin__.bytearray"}:
            inner = value.arguments[0]
            return inner if isinstance(inner, bytes) else None
    return None


def _sides(value: Any) -> tuple[int, ...] | None:
    natural = isinstance(value, tuple) and all(type(side) is int and 0 <= side < 1 << 62 for side in value)
    return value if natural else None


class JoblibArrays:
    """The arrays between the opcodes of a joblib file: where each wrapper's bytes begin. To be given to `read_graph`."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self._depth = blob, 0
        self.found: dict[int, Array | str] = {}
        self._kept: list[Object] = []

    def __call__(self, built: Object, place: int) -> int:
        """Where the stream goes on behind a BUILD: behind the numbers, or behind the pickle of an object array."""
        state = built.state
        if built.called != JOBLIB or not isinstance(state, Pairs):
            return place
        known = {key: value for key, value in state if isinstance(key, str)}
        code, shape = dtype_code(known.get("dtype")), _sides(known.get("shape"))
        subclass = known.get("subclass")
        self._kept.append(built)
        if not code or shape is None:
            self.found[id(built)] = "its items are no plain numbers"
            return self._pickled(place)
        if type(known.get("numpy_array_alignment_bytes")) is int:
            padding = self.blob.read(place, 1)
            place += 1 + (padding[0] if padding else 0)
        size = math.prod(shape) * int(code[2:])
        if size > self.blob.size - place:
            self.found[id(built)] = "it claims more bytes than the file has"
            return place
        plain = isinstance(subclass, Named) and subclass.dotted in {"numpy.ndarray", "numpy.memmap"}
        made = Array(dtype=code, shape=shape, fortran=known.get("order") == "F", start=place)
        self.found[id(built)] = made if plain else "it is a subclass of ndarray"
        return place + size

    def _pickled(self, place: int) -> int:
        self._depth += 1
        if self._depth > _NESTED:
            raise LimitExceeded(f"object arrays nested deeper than {_NESTED}", limit="depth")
        _, end = read_graph(self.blob, place, raw=self)
        self._depth -= 1
        return end

    def __getitem__(self, value: Any) -> Array | str | None:
        """The array that a wrapper stands for."""
        return self.found.get(id(value))
