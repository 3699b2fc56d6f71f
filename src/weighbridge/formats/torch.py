"""Knows the torch containers: zip checkpoints, TorchScript, torch.package, pt2, legacy tar, and their tensors.

Source: torch 2.13 `torch/serialization.py`, `caffe2/serialize/inline_container.cc`, `torch/package`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.pickle import Items, Made, Name, Persistent, Trace, Value, arguments_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ITEM_SIZE: Final = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "ComplexDouble": 16, "ComplexFloat": 8, "QInt8": 1, "QUInt8": 1, "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1,
    "Untyped": 1,
}  # fmt: skip
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+?)Storage\Z")
_REBUILD: Final = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"}
_SHARED_OBJECT = re.compile(r"\.(so|dll|dylib|cubin|ptx|hsaco|o|cpp|cu|c)(\.\d+)*\Z")


class Storage(Struct, frozen=True, kw_only=True):
    """One storage as a checkpoint declares it: `size` in bytes, -1 where the type is unknown."""

    key: str
    type: str
    items: int
    size: int


class Tensor(Struct, frozen=True, kw_only=True):
    """A tensor as a checkpoint rebuilds it. `reach` is the number of items of storage that it touches."""

    storage: str
    items: int
    reach: int
    function: str


class TorchFacts(Struct, frozen=True, kw_only=True):
    """What a torch container is made of. Names are relative to `root`."""

    kind: str
    root: str
    names: tuple[str, ...]
    code: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    version: str = ""
    byteorder: str = ""


def torch_kind(names: Iterable[str]) -> TorchFacts | None:
    """What kind of torch container has these members; None where it is none."""
    listed = tuple(names)
    roots = [
        n[: -len(ending)]
        for n in listed
        for ending in ("/data.pkl", "/version", "/archive_format")
        if n.endswith(ending)
    ]
    bare = [n for n in listed if n in {"data.pkl", ".data/version", "archive_format"}]
    if not roots and not bare:
        return None
    root = min(roots, key=len).removesuffix("/.data") if roots else ""
    inner = tuple(n[len(root) + 1 :] if root and n.startswith(f"{root}/") else n for n in listed)
    kind = _kind(inner)
    if kind is None:
        return None
    return TorchFacts(
        kind=kind,
        root=root,
        names=inner,
        code=tuple(n for n in inner if n.startswith("code/") and n.endswith(".py")),
        native=tuple(n for n in inner if _SHARED_OBJECT.search(n)),
        python=tuple(n for n in inner if n.endswith(".py") and not n.startswith("code/")),
    )


def _kind(names: tuple[str, ...]) -> str | None:
    if "archive_format" in names or any(n.startswith(("models/", "data/aotinductor/")) for n in names):
        return "pt2"
    if any(n.startswith(".data/") and n.endswith(("extern_modules", "python_version")) for n in names):
        return "torch.package"
    if "constants.pkl" in names or any(n.startswith("code/") for n in names):
        return "torchscript"
    if "data.pkl" in names and any(n.startswith(("data/", ".data/")) or n in {"version", "byteorder"} for n in names):
        return "checkpoint"
    return None


def storages(trace: Trace) -> Iterator[Storage]:
    """Storages that persistent ids declare: `("storage", type, key, device, items)`."""
    for identifier in trace.persistent:
        found = storage_of(identifier)
        if found is not None:
            yield found


def storage_of(identifier: Value) -> Storage | None:
    """The storage that one persistent id declares, None where it has another shape."""
    parts = arguments_of(identifier)
    if len(parts) < 5 or parts[0] != "storage" or not isinstance(parts[1], Name):
        return None
    key, count = parts[2], parts[4]
    if not isinstance(key, str) or not isinstance(count, int):
        return None
    match = _STORAGE.match(parts[1].dotted)
    width = ITEM_SIZE.get(match[1], -1) if match else -1
    return Storage(key=key, type=parts[1].dotted, items=count, size=count * width if width > 0 else -1)


def tensors(trace: Trace) -> Iterator[Tensor]:
    """Tensors that the checkpoint rebuilds from storages, with how far into them they reach."""
    for call in trace.calls:
        if not (
            isinstance(call.target, Name) and call.target.module == "torch._utils" and call.target.name in _REBUILD
        ):
            continue
        arguments = arguments_of(call.arguments)
        if len(arguments) < 4 or not isinstance(arguments[0], Persistent):
            continue
        storage = storage_of(arguments[0].identifier)
        offset, shape, stride = arguments[1], _numbers(arguments[2]), _numbers(arguments[3])
        if storage is None or not isinstance(offset, int) or shape is None or stride is None:
            continue
        yield Tensor(
            storage=storage.key, items=storage.items, reach=_reach(offset, shape, stride), function=call.target.name
        )


def _numbers(value: Value) -> tuple[int, ...] | None:
    if isinstance(value, Made) and value.target == Name("torch", "Size"):
        inner = arguments_of(value.arguments)
        value = inner[0] if inner else value
    if not isinstance(value, Items) or not value.whole:
        return None
    numbers = tuple(item for item in value.items if isinstance(item, int))
    return numbers if len(numbers) == len(value.items) else None


def _reach(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Items from the start of the storage to the end of the tensor; -1 where a number is negative."""
    if offset < 0 or any(side < 0 for side in shape) or len(shape) != len(stride) or any(step < 0 for step in stride):
        return -1
    if any(side == 0 for side in shape):
        return 0
    return offset + 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
