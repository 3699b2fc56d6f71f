"""Knows the safetensors header, written plainly and read strictly: duplicates, overlaps, holes and lies are facts.

Source: safetensors format description and `safetensors/src/tensor.rs` 0.6.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from weighbridge.source import Blob

REFERENCE_LIMIT: Final = 100_000_000
PARSED_LIMIT: Final = 32 << 20
BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def write_header(tensors: Iterable[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str]) -> bytes:
    """The length and the JSON in front of tensors (name, type, shape) that follow one another, padded to eight bytes."""
    table: dict[str, object] = {"__metadata__": metadata}
    position = 0
    for name, dtype, shape in tensors:
        end = position + math.prod(shape) * BITS[dtype] // 8
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": (position, end)}
        position = end
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class Problem(Struct, frozen=True):
    """Something wrong with a header: what kind, at which tensor, and how exactly."""

    kind: str
    name: str
    detail: str


class Tensor(Struct, frozen=True):
    """One tensor: its claim about itself."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class SafetensorsFacts(Struct, frozen=True, kw_only=True):
    """A header with everything that is wrong with it. `data` is where tensor bytes begin."""

    header: int
    data: int
    tensors: tuple[Tensor, ...]
    metadata: tuple[tuple[str, object], ...]
    problems: tuple[Problem, ...]


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its duplicate keys."""


def read_safetensors(blob: Blob) -> SafetensorsFacts:
    """Parse the header of a blob. Raises MalformedInput where there is none, LimitExceeded where it is too long."""
    size = int.from_bytes(blob.read(0, 8), "little")
    if blob.size < 8 or size > blob.size - 8:
        raise MalformedInput(f"the header claims {size} bytes and {max(0, blob.size - 8)} are left", offset=0)
    if size > PARSED_LIMIT:
        limit = "the reference limit" if size > REFERENCE_LIMIT else "what is read here"
        raise LimitExceeded(f"the header claims {size} bytes, more than {limit}", limit="header")
    raw = blob.read(8, size)
    problems: list[Problem] = []
    document = _document(raw, problems)
    tensors, metadata = [], list[tuple[str, object]]()
    for name in _repeated(document):
        problems.append(Problem("duplicate", name, "the name occurs twice; readers take the last"))
    for name, value in document:
        if name == "__metadata__":
            metadata += _metadata(value, problems)
        else:
            tensor = _tensor(name, value, problems)
            if tensor is not None:
                tensors.append(tensor)
    _check_layout(tensors, blob.size - 8 - size, problems)
    return SafetensorsFacts(
        header=size, data=8 + size, tensors=tuple(tensors), metadata=tuple(metadata), problems=tuple(problems),
    )  # fmt: skip


def _document(raw: bytes, problems: list[Problem]) -> _Pairs:
    if raw[:1] != b"{":
        problems.append(Problem("grammar", "", f"the header begins with {raw[:8]!r} instead of an opening brace"))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(Problem("grammar", "", f"the header is not UTF-8 at byte {8 + error.start}"))
        text = raw.decode("utf-8", "replace")

    def constant(name: str) -> None:
        problems.append(Problem("grammar", "", f"{name} is not JSON"))

    try:
        document = json.loads(text, object_pairs_hook=_Pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"the header is not JSON: {error}", offset=8) from error
    if not isinstance(document, _Pairs):
        raise MalformedInput("the header is no JSON object", offset=8)
    return document


def _repeated(pairs: _Pairs) -> list[str]:
    seen: set[str] = set()
    return [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]  # set.add in passing


def _metadata(value: object, problems: list[Problem]) -> list[tuple[str, object]]:
    if not isinstance(value, _Pairs):
        problems.append(Problem("metadata", "__metadata__", "is no object"))
        return []
    for name in _repeated(value):
        problems.append(Problem("duplicate", f"__metadata__.{name}", "the key occurs twice"))
    for name, item in value:
        if not isinstance(item, str):
            problems.append(Problem("metadata", f"__metadata__.{name}", "is no string"))
    return list(value)


def _tensor(name: str, value: object, problems: list[Problem]) -> Tensor | None:
    if not isinstance(value, _Pairs):
        problems.append(Problem("grammar", name, "the entry is no object"))
        return None
    for key in _repeated(value):
        problems.append(Problem("duplicate", f"{name}.{key}", "the key occurs twice"))
    known = dict(value)
    extra = known.keys() - {"dtype", "shape", "data_offsets"}
    if extra:
        problems.append(Problem("grammar", name, f"unknown keys {sorted(extra)[:4]}"))
    dtype, shape, offsets = known.get("dtype"), known.get("shape"), known.get("data_offsets")
    if not isinstance(dtype, str) or not _naturals(shape) or not _naturals(offsets) or len(list(offsets)) != 2:  # type: ignore[call-overload]  # a list by now
        problems.append(Problem("size", name, "dtype, shape or data_offsets is missing, negative or of the wrong type"))
        return None
    assert isinstance(shape, list)
    assert isinstance(offsets, list)
    tensor = Tensor(name, dtype, tuple(shape), offsets[0], offsets[1])
    _check_tensor(tensor, problems)
    return tensor


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 64 for item in value)


def _check_tensor(tensor: Tensor, problems: list[Problem]) -> None:
    if tensor.dtype not in BITS:
        problems.append(Problem("dtype", tensor.name, f"dtype {tensor.dtype[:24]!r} is unknown"))
        return
    items = math.prod(tensor.shape)
    bits = items * BITS[tensor.dtype]
    if bits % 8:
        problems.append(Problem("dtype", tensor.name, "sub-byte items do not fill whole bytes"))
    elif bits // 8 != tensor.end - tensor.start:
        wanted = "overflows 64 bits" if items >= 1 << 64 else f"needs {bits // 8} bytes"
        detail = f"shape {list(tensor.shape)[:6]} of {tensor.dtype} {wanted} and has {tensor.end - tensor.start}"
        problems.append(Problem("size", tensor.name, detail))


def _check_layout(tensors: list[Tensor], size: int, problems: list[Problem]) -> None:
    position, last = 0, ""
    for tensor in sorted(tensors, key=lambda t: (t.start, t.end)):
        if tensor.start < position:
            problems.append(
                Problem(
                    "overlap", tensor.name, f"shares bytes {tensor.start} to {min(position, tensor.end)} with {last}"
                )
            )
        elif tensor.start > position:
            problems.append(
                Problem("hole", tensor.name, f"{tensor.start - position} bytes before it belong to no tensor")
            )
        if tensor.end > size or tensor.end < tensor.start:
            problems.append(Problem("size", tensor.name, f"ends at {tensor.end}, the buffer has {size} bytes"))
        if tensor.end > position:
            position, last = tensor.end, tensor.name
    if size > position:
        problems.append(Problem("tail", "", f"{size - position} bytes after the last tensor"))
