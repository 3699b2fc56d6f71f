"""Knows how torch pickles a tensor: the calls that would rebuild it, and what each says about bytes, type and shape.

Source: torch 2.13 `torch/_utils.py` (`_rebuild_tensor_v2`, `_v3`, `_rebuild_qtensor`, `_rebuild_sparse_tensor`, …),
`torch/_tensor.py` (`_reduce_ex_internal`, `_rebuild_from_type_v2`).
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.pickle.graph import External, Named, Object

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORED: Final = {
    "Double": "F64", "Float": "F32", "Half": "F16", "BFloat16": "BF16", "Long": "I64", "Int": "I32", "Short": "I16",
    "Char": "I8", "Byte": "U8", "Bool": "BOOL", "ComplexFloat": "C64", "Untyped": "U8", "QInt8": "I8", "QUInt8": "U8",
    "QInt32": "I32",
}  # fmt: skip
_NAMED: Final = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16", "bfloat16": "BF16",
    "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16", "int8": "I8", "uint8": "U8",
    "bool": "BOOL", "complex64": "C64", "cfloat": "C64", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
_STORAGE: Final = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+?)Storage\Z")
_REBUILD: Final = "torch._utils._rebuild_"
_COMPRESSED: Final = {
    "torch.sparse_csr": ("crow_indices", "col_indices"),
    "torch.sparse_bsr": ("crow_indices", "col_indices"),
    "torch.sparse_csc": ("ccol_indices", "row_indices"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices"),
}
_NESTING: Final = 8


class Laid(Struct, frozen=True, kw_only=True):
    """A tensor over the storage `key`: offset, shape and strides count items of `dtype`.

    `declared` is how many items of `stored` type the storage claims to have; -1 for none.
    """

    key: str
    stored: str
    declared: int
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Given(Struct, frozen=True, kw_only=True):
    """A tensor whose bytes stand in the pickle itself, in the order of the indices."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Refused(Struct, frozen=True):
    """A tensor that has no counterpart outside torch, or that does not add up: why."""

    why: str


Part = Laid | Given | Refused


def rebuilt(value: Any, depth: int = 0) -> tuple[tuple[str, Part], ...] | None:
    """What a call that rebuilds a tensor gives: (suffix of the name, part). None where it rebuilds none."""
    if not isinstance(value, Object) or not isinstance(value.arguments, tuple) or depth > _NESTING:
        return None
    called, arguments = value.called, value.arguments
    if called == "torch._tensor._rebuild_from_type_v2" and len(arguments) == 4:
        return _of_type(arguments, depth)
    if called in {"torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"} and arguments:
        return rebuilt(arguments[0], depth + 1)
    if called == "torch.tensor._rebuild_from_type" or not called.startswith(_REBUILD):
        return None
    kind = called.removeprefix(_REBUILD)
    if kind.startswith("parameter"):
        return rebuilt(arguments[0], depth + 1) if arguments else _refused("a parameter without data")
    if kind in {"tensor", "tensor_v2", "tensor_v3"}:
        return (("", _plain(arguments, v3=kind == "tensor_v3")),)
    if kind == "qtensor":
        return tuple(_quantised(arguments, depth))
    if kind == "sparse_tensor":
        return tuple(_sparse(arguments, depth))
    reasons = {
        "meta_tensor_no_storage": "it is on the meta device and has no bytes",
        "nested_tensor": "nested tensors have no form in safetensors",
        "wrapper_subclass": "it is a tensor subclass without bytes of its own",
    }
    return _refused(reasons.get(kind, f"tensors of {called} are not read here"))


def _refused(why: str) -> tuple[tuple[str, Part], ...]:
    return (("", Refused(why)),)


def _of_type(arguments: tuple[Any, ...], depth: int) -> tuple[tuple[str, Part], ...]:
    call = Object(arguments[0], arguments[2])
    found = rebuilt(call, depth + 1)
    return found if found is not None else _refused("its type rebuilds it in a way that is not read here")


def _plain(arguments: tuple[Any, ...], *, v3: bool = False) -> Part:
    if len(arguments) < 4:
        return Refused("it is rebuilt from too few arguments")
    storage, offset, shape, strides = arguments[:4]
    rest = list(arguments[6:])
    identifier = storage.identifier if isinstance(storage, External) else None
    if not (isinstance(identifier, tuple) and len(identifier) >= 5 and identifier[0] == "storage"):
        return Refused("it is rebuilt from what is no storage")
    stored = storage_type(identifier[1])
    dtype = dtype_of(rest[0]) if v3 and rest else stored
    if dtype is None or stored is None:
        shown = rest[0] if v3 and rest else identifier[1]
        return Refused(f"its type {shown.dotted if isinstance(shown, Named) else '?'} has no form in safetensors")
    metadata = rest[1 if v3 else 0] if len(rest) > (1 if v3 else 0) else None
    if metadata:
        return Refused("it carries a conjugate or negative mark, which only torch applies")
    sizes, steps = numbers(shape), numbers(strides)
    if sizes is None or steps is None or len(sizes) != len(steps) or type(offset) is not int or offset < 0:
        return Refused("its shape, strides or offset are no natural numbers")
    declared = identifier[4] if type(identifier[4]) is int else -1
    return Laid(
        key=str(identifier[2]), stored=stored, declared=declared, dtype=dtype, offset=offset, shape=sizes, strides=steps
    )


def _quantised(arguments: tuple[Any, ...], depth: int) -> Iterator[tuple[str, Part]]:
    """The integers, and what turns them into numbers."""
    numbers_of = _plain(arguments[:4])
    scheme = arguments[4] if len(arguments) > 4 and isinstance(arguments[4], tuple) else ()
    name = scheme[0].dotted if scheme and isinstance(scheme[0], Named) else ""
    if isinstance(numbers_of, Refused):
        yield "", numbers_of
    elif name == "torch.per_tensor_affine" and len(scheme) == 3 and _are_numbers(scheme[1:]):
        yield ".int_repr", numbers_of
        yield ".scale", Given(dtype="F64", shape=(), data=struct.pack("<d", scheme[1]))
        yield ".zero_point", Given(dtype="I64", shape=(), data=struct.pack("<q", int(scheme[2])))
    elif name.startswith("torch.per_channel_affine") and len(scheme) == 4 and type(scheme[3]) is int:
        yield ".int_repr", numbers_of
        yield from _inner(".scales", scheme[1], depth)
        yield from _inner(".zero_points", scheme[2], depth)
        yield ".axis", Given(dtype="I64", shape=(), data=struct.pack("<q", scheme[3] & 0x7F))
    else:
        yield "", Refused(f"it is quantised by {name or 'a scheme that is not read here'}")


def _sparse(arguments: tuple[Any, ...], depth: int) -> Iterator[tuple[str, Part]]:
    """Indices, values and the size of the whole."""
    layout = arguments[0] if arguments else None
    parts = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], tuple) else ()
    if isinstance(layout, Object) and isinstance(layout.arguments, tuple) and layout.arguments:
        name = str(layout.arguments[0])
    else:
        name = layout.dotted if isinstance(layout, Named) else ""
    if name == "torch.sparse_coo" and len(parts) in {3, 4}:
        names: tuple[str, ...] = ("indices", "values")
    elif name in _COMPRESSED and len(parts) == 4:
        names = (*_COMPRESSED[name], "values")
    else:
        yield "", Refused(f"its layout {name or '?'} is not read here")
        return
    size = numbers(parts[len(names)])
    if size is None:
        yield "", Refused("the size of the sparse tensor is no tuple of numbers")
        return
    for suffix, part in zip(names, parts, strict=False):
        yield from _inner(f".{suffix}", part, depth)
    yield ".size", Given(dtype="I64", shape=(len(size),), data=struct.pack(f"<{len(size)}q", *size))


def _inner(suffix: str, value: Any, depth: int) -> Iterator[tuple[str, Part]]:
    found = rebuilt(value, depth + 1)
    for more, part in found if found is not None else _refused("a part of it is no tensor"):
        yield suffix + more, part


def _are_numbers(values: tuple[Any, ...]) -> bool:
    scale, zero = values
    return isinstance(scale, (int, float)) and type(zero) is int and abs(zero) < 1 << 62 and abs(scale) < 1e300


def storage_type(name: Any) -> str | None:
    """The type of the items of a storage class, None where safetensors has none."""
    match = _STORAGE.match(name.dotted) if isinstance(name, Named) else None
    return _STORED.get(match[1]) if match else None


def dtype_of(name: Any) -> str | None:
    """The type that a `torch.…` name stands for, None where safetensors has none."""
    return _NAMED.get(name.dotted.removeprefix("torch.")) if isinstance(name, Named) else None


def numbers(value: Any) -> tuple[int, ...] | None:
    """A shape or strides; None where it is no tuple of natural numbers below 2 to the 62nd."""
    if isinstance(value, Object) and value.called == "torch.Size" and value.arguments:
        value = value.arguments[0]
    natural = isinstance(value, (tuple, list)) and all(type(one) is int and 0 <= one < 1 << 62 for one in value)
    return tuple(value) if natural else None
