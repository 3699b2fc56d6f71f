"""Knows where the tensors of a torch checkpoint lie: name, type, shape, strides and bytes, without unpickling it.

Covers zip checkpoints of state dicts, of nested dicts, and of whole modules (by parameter path). Source: torch 2.13
`torch/serialization.py`, `torch/_utils.py` (`_rebuild_tensor_v2`, `_rebuild_parameter`).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.pickle.graph import External, Named, Object, Pairs, read_graph
from weighbridge.formats.torch import torch_kind
from weighbridge.schema import Limits, MalformedInput
from weighbridge.source import Budget
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

_DTYPES: Final = {
    "Double": "F64", "Float": "F32", "Half": "F16", "BFloat16": "BF16", "Long": "I64", "Int": "I32", "Short": "I16",
    "Char": "I8", "Byte": "U8", "Bool": "BOOL",
}  # fmt: skip
_WIDTHS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_STORAGE: Final = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+?)Storage\Z")
_PICKLE: Final = 256 << 20
_DEPTH: Final = 64
_KEY: Final = 1024
_MOST: Final = 1_000_000


class StoredTensor(Struct, frozen=True, kw_only=True):
    """One tensor: its path in the object, type as safetensors names it, shape and strides in items.

    `start` and `end` bound the bytes of the file that it touches.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    end: int

    @property
    def contiguous(self) -> bool:
        """Whether the bytes lie in the order of the indices."""
        expected = 1
        for side, step in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if side != 1 and step != expected:
                return False
            expected *= side
        return True


def read_torch(blob: Blob) -> list[StoredTensor]:
    """The tensors of a zip checkpoint. Raises MalformedInput where it is none, or one does not fit its storage."""
    tree = ZipTree(blob, Budget(Limits()))
    entries = {entry.name: entry for entry in tree.entries()}
    facts = torch_kind(entries)
    if facts is None or facts.kind != "checkpoint":
        raise MalformedInput("not a zip checkpoint of torch")
    prefix = f"{facts.root}/" if facts.root else ""
    head = entries.get(f"{prefix}data.pkl")
    if head is None or head.size > _PICKLE:
        raise MalformedInput("the checkpoint has no data.pkl of a readable size")
    pickled = tree.open(head)
    root, _ = read_graph(pickled.read(0, pickled.size))
    found = []
    for name, made in _tensors(root):
        key, dtype, offset, shape, strides = made
        entry = entries.get(f"{prefix}data/{key}")
        place = tree.stored_at(entry) if entry is not None else None
        if entry is None or place is None:
            raise MalformedInput(f"{name}: its storage {key} is not in the file as plain bytes")
        width = _WIDTHS[dtype]
        reach = _reach(shape, strides)
        if (offset + reach) * width > min(entry.size, blob.size - place):
            raise MalformedInput(f"{name} reaches beyond its storage")
        start = place + offset * width
        found.append(
            StoredTensor(name=name, dtype=dtype, shape=shape, strides=strides, start=start, end=start + reach * width)
        )
    return found


def _reach(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Items from the first to the last that a tensor touches, inclusive."""
    if math.prod(shape) == 0:
        return 0
    return 1 + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))


_Laid = tuple[str, str, int, tuple[int, ...], tuple[int, ...]]


def _tensors(root: Any) -> Iterator[tuple[str, _Laid]]:
    """(path, tensor) of everything below an object, in order, without recursion and each object once."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    seen: set[int] = set()
    for _ in range(_MOST):
        if not waiting:
            return
        name, value, depth = waiting.pop()
        tensor = _tensor(value)
        if tensor is not None:
            yield name, tensor
        elif id(value) not in seen and depth < _DEPTH:
            seen.add(id(value))
            waiting += reversed([(_joined(name, key), inner, depth + 1) for key, inner in _inside(value)])
    raise MalformedInput("the checkpoint holds too many objects")


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Object):
        state = value.state
        table: dict[str, Any] = dict(_texts(state)) if isinstance(state, Pairs) else {}
        if isinstance(table.get("_parameters"), (Pairs, Object)):
            for group in ("_parameters", "_buffers", "_modules"):
                yield from _inside(table.get(group))
        else:
            yield from _texts(value.items)
    elif isinstance(value, Pairs):
        yield from _texts(value)
    elif isinstance(value, (list, tuple)):
        yield from ((str(number), inner) for number, inner in enumerate(value))


def _texts(pairs: list[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """The last of each key, as a dict keeps it."""
    kept: dict[str, Any] = {}
    for key, value in pairs:
        if (isinstance(key, str) and len(key) <= _KEY) or (type(key) is int and abs(key) < _KEY << 32):
            kept[str(key)] = value
    yield from kept.items()


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _tensor(value: Any) -> _Laid | None:
    """What a call that rebuilds a tensor says about it."""
    if not isinstance(value, Object) or not isinstance(value.arguments, tuple):
        return None
    if value.called.startswith("torch._utils._rebuild_parameter"):
        return _tensor(value.arguments[0]) if value.arguments else None
    if value.called not in {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"}:
        return None
    arguments: tuple[Any, ...] = (*value.arguments, None, None, None, None)
    storage, offset, shape, strides = arguments[:4]
    identifier = storage.identifier if isinstance(storage, External) else None
    if not (isinstance(identifier, tuple) and len(identifier) >= 5 and identifier[0] == "storage"):
        raise MalformedInput("a tensor is rebuilt from what is no storage")
    match = _STORAGE.match(identifier[1].dotted) if isinstance(identifier[1], Named) else None
    dtype = _DTYPES.get(match[1]) if match else None
    sizes, steps = _numbers(shape), _numbers(strides)
    if dtype is None or sizes is None or steps is None or len(sizes) != len(steps) or not isinstance(offset, int):
        raise MalformedInput("a tensor has a type or shape that is not read here")
    if offset < 0:
        raise MalformedInput("a tensor begins before its storage")
    return str(identifier[2]), dtype, offset, sizes, steps


def _numbers(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Object) and value.called == "torch.Size" and value.arguments:
        value = value.arguments[0]
    return tuple(value) if isinstance(value, (tuple, list)) and all(_natural(one) for one in value) else None


def _natural(value: object) -> bool:
    return type(value) is int and value >= 0
