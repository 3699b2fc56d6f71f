"""Knows the npy header: magic, version, and a literal dict that is parsed here and never evaluated.

Source: NumPy enhancement proposal 1, `numpy/lib/_format_impl.py`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

HEADER_LIMIT: Final = 1 << 20
_NUMPY_LIMIT: Final = 10_000
_TOKEN = re.compile(
    r"\s*(?:([\[({])|([\])}])|([,:])|(True|False|None)|(-?\d+)L?|[bu]?'((?:[^'\\]|\\.)*)'|[bu]?\"((?:[^\"\\]|\\.)*)\")"
)
_FIELDS: Final = 1000
_DEPTH: Final = 16


class NpyHeader(Struct, frozen=True, kw_only=True):
    """An npy header. `data` is where the items begin, `size` how many bytes they need (-1 for objects)."""

    version: tuple[int, int]
    descr: str
    shape: tuple[int, ...]
    fortran: bool
    objects: bool
    fields: int
    data: int
    size: int
    long: bool


def read_npy(blob: Blob) -> NpyHeader:
    """Parse the header. Raises MalformedInput where it is no plain literal with the three known keys."""
    head = blob.read(0, 12)
    if len(head) < 10 or head[:6] != b"\x93NUMPY":
        raise MalformedInput("the npy magic is missing")
    version = (head[6], head[7])
    if version not in {(1, 0), (2, 0), (3, 0)}:
        raise MalformedInput(f"npy version {version[0]}.{version[1]} does not exist", offset=6)
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    begin = 8 + width
    if length > blob.size - begin or length > HEADER_LIMIT:
        raise MalformedInput(f"the npy header claims {length} bytes", offset=8)
    text = blob.read(begin, length).decode("utf-8" if version == (3, 0) else "latin-1", "replace")
    known = parse_literal(text)
    if not isinstance(known, dict) or known.keys() != {"descr", "fortran_order", "shape"}:
        raise MalformedInput("the npy header does not hold descr, fortran_order and shape alone", offset=begin)
    return _header(known, version, begin + length, long=length > _NUMPY_LIMIT)


def _header(known: dict[object, object], version: tuple[int, int], data: int, *, long: bool) -> NpyHeader:
    shape, fortran, descr = known["shape"], known["fortran_order"], known["descr"]
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise MalformedInput("the npy shape is no tuple of integers", offset=10)
    sides = tuple(int(side) for side in shape if isinstance(side, int))
    if not isinstance(fortran, bool):
        raise MalformedInput("fortran_order is neither True nor False", offset=10)
    objects, fields, item = _item(descr, 0)
    size = -1 if objects or item < 0 else math.prod(sides) * item
    return NpyHeader(
        version=version, descr=repr(descr)[:200], shape=sides, fortran=fortran, objects=objects,
        fields=fields, data=data, size=size, long=long,
    )  # fmt: skip


def _item(descr: object, depth: int) -> tuple[bool, int, int]:
    """(holds objects, fields, bytes of one item or -1)."""
    if depth > _DEPTH:
        raise MalformedInput("the npy dtype is nested too deep", offset=10)
    if isinstance(descr, str):
        match = re.fullmatch(r"[<>|=]?([a-zA-Z?])(\d*)(\[[^\]]*\])?", descr)
        if match is None:
            raise MalformedInput(f"the npy dtype {descr[:40]!r} is unknown", offset=10)
        count = int(match[2] or 1)
        return match[1] == "O", 1, count * (4 if match[1] == "U" else 1)
    if isinstance(descr, tuple) and len(descr) == 2:
        inner, shape = descr
        objects, fields, size = _item(inner, depth + 1)
        sides = shape if isinstance(shape, tuple) else (shape,)
        numbers = [side for side in sides if isinstance(side, int)]
        return objects, fields, size * math.prod(numbers) if size >= 0 else -1
    if not isinstance(descr, list):
        raise MalformedInput("the npy dtype has an unknown form", offset=10)
    objects, fields, total = False, 0, 0
    for field in descr:
        if not isinstance(field, tuple) or len(field) not in {2, 3}:
            raise MalformedInput("a field of the npy dtype has an unknown form", offset=10)
        inner = (field[1], field[2]) if len(field) == 3 else field[1]
        has, count, size = _item(inner, depth + 1)
        objects, fields, total = objects or has, fields + count, total + size
    return objects, fields, total


def parse_literal(text: str) -> object:
    """Tuples, lists, dicts, strings, integers, True, False, None; nothing else.

    Raises MalformedInput for any other text. Iterative: nesting costs no stack.
    """
    position, stack = 0, [_Open("", [])]
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise MalformedInput(f"the literal is broken near {text[position : position + 24]!r}", offset=position)
        position = match.end()
        opening, closing, separator, constant, number, single, double = match.groups()
        if opening:
            stack.append(_Open(opening, []))
        elif closing:
            if len(stack) < 2 or {"(": ")", "[": "]", "{": "}"}[stack[-1].kind] != closing:
                raise MalformedInput("brackets do not match", offset=position)
            done = stack.pop()
            stack[-1].items.append(done.value(position))
        elif separator:
            stack[-1].commas += separator == ","
        elif constant:
            stack[-1].items.append({"True": True, "False": False, "None": None}[constant])
        elif number:
            stack[-1].items.append(int(number[:64]))
        else:
            stack[-1].items.append(single if single is not None else double)
    if len(stack) != 1 or len(stack[0].items) != 1:
        raise MalformedInput("the literal is not one value", offset=position)
    return stack[0].items[0]


class _Open:
    """A bracket that is still open."""

    def __init__(self, kind: str, items: list[object]) -> None:
        self.kind, self.items, self.commas = kind, items, 0

    def value(self, position: int) -> object:
        if self.kind == "[":
            return self.items
        if self.kind == "(":
            return tuple(self.items) if len(self.items) != 1 or self.commas else self.items[0]
        if len(self.items) % 2 or not all(isinstance(key, str) for key in self.items[::2]):
            raise MalformedInput("a dict has a key that is no string", offset=position)
        return dict(zip(self.items[::2], self.items[1::2], strict=True))
