"""Knows where the tensors of a torch checkpoint lie: name, type, shape, strides and bytes, without unpickling it.

Covers zip checkpoints, the legacy format of stacked pickles, and the tar of torch 0.1; state dicts, nested objects, and
whole modules (by parameter path). Source: torch 2.13 `torch/serialization.py` (`_save`, `_legacy_save`, `legacy_load`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.inert import leaves
from weighbridge.formats.pickle.file import TORCH_MAGIC
from weighbridge.formats.pickle.graph import External, Named, read_graph
from weighbridge.formats.safetensors import BITS
from weighbridge.formats.torch import torch_kind
from weighbridge.formats.torch_rebuild import Given, Laid, Part, Refused, numbers, rebuilt, storage_type
from weighbridge.schema import Limits, MalformedInput
from weighbridge.source import Budget
from weighbridge.source.tar import TarTree
from weighbridge.source.tar import is_header as is_tar
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from weighbridge.formats.inert import Left
    from weighbridge.source import Blob, Entry

_PICKLE: Final = 256 << 20
_STORAGES: Final = 1_000_000
_SMALL: Final = 64


class StoredTensor(Struct, frozen=True, kw_only=True):
    """One tensor: its path in the object, type as safetensors names it, shape and strides in items.

    `start` and `end` bound the bytes of the file that it touches; `data` holds them where the pickle itself does.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    end: int
    data: bytes | None = None

    @property
    def contiguous(self) -> bool:
        """Whether the bytes lie in the order of the indices."""
        expected = 1
        for side, step in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if side != 1 and step != expected:
                return False
            expected *= side
        return True


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What a checkpoint holds: tensors, tensors that cannot be placed (name, why), and what is no tensor."""

    container: str
    tensors: tuple[StoredTensor, ...]
    refused: tuple[tuple[str, str], ...]
    left: tuple[Left, ...]


def read_torch(blob: Blob) -> list[StoredTensor]:
    """The tensors of a checkpoint. Raises MalformedInput where it is none, or one cannot be placed."""
    found = read_checkpoint(blob)
    if found.refused:
        name, why = found.refused[0]
        raise MalformedInput(f"{name}: {why}")
    return [one for one in found.tensors if one.data is None]


def read_checkpoint(blob: Blob) -> Checkpoint:
    """Everything in a checkpoint. Raises MalformedInput, LimitExceeded."""
    head = blob.read(0, 512)
    if head[:4] == b"PK\x03\x04":
        return _zip(blob)
    if TORCH_MAGIC.to_bytes(10, "little") in head[:32]:
        return _legacy(blob)
    if is_tar(head):
        return _tar(blob)
    raise MalformedInput("not a checkpoint of torch")


_Place = tuple[int, int]


_Known = Callable[[Any], tuple[tuple[str, Part], ...] | None]


def _gathered(container: str, root: Any, place: Callable[[Laid], _Place | str], known: _Known = rebuilt) -> Checkpoint:
    """The tensors below an object, as `known` tells them.

    `place` says where a storage begins and how many bytes it has, or why it has none.
    """
    tensors: dict[str, StoredTensor] = {}
    refused: list[tuple[str, str]] = []
    found = leaves(root, known)
    for name, parts in found.values:
        for suffix, part in parts:
            full = f"{name}{suffix}" or "tensor"
            laid = Refused("another tensor has the same name") if full in tensors else _laid(full, part, place)
            if isinstance(laid, StoredTensor):
                tensors[full] = laid
            else:
                refused.append((full, laid.why))
    return Checkpoint(container=container, tensors=tuple(tensors.values()), refused=tuple(refused), left=found.left)


def _laid(name: str, part: Part, place: Callable[[Laid], _Place | str]) -> StoredTensor | Refused:
    if isinstance(part, Refused):
        return part
    if isinstance(part, Given):
        return given(name, part)
    where = place(part)
    if isinstance(where, str):
        return Refused(where)
    width = BITS[part.dtype] // 8
    reach = _reach(part.shape, part.strides)
    declared = part.declared * BITS[part.stored] // 8
    if part.declared < 0 or declared > where[1]:
        return Refused(f"its storage {part.key[:_SMALL]} claims {declared} bytes and has {where[1]}")
    if part.offset > declared // width or reach > declared // width - part.offset:
        return Refused("it reaches beyond its storage")
    start = where[0] + part.offset * width
    return StoredTensor(
        name=name, dtype=part.dtype, shape=part.shape, strides=part.strides, start=start, end=start + reach * width
    )


def given(name: str, part: Given) -> StoredTensor:
    """A tensor whose bytes are in the pickle."""
    return StoredTensor(
        name=name, dtype=part.dtype, shape=part.shape, strides=ordered(part.shape), start=0, end=0, data=part.data
    )


def ordered(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose bytes lie in the order of the indices."""
    steps, step = [], 1
    for side in reversed(shape):
        steps.append(step)
        step *= side
    return tuple(reversed(steps))


def _reach(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Items from the first to the last that a tensor touches, inclusive."""
    if math.prod(shape) == 0:
        return 0
    return 1 + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))


def _zip(blob: Blob) -> Checkpoint:
    tree = ZipTree(blob, Budget(Limits()))
    entries: dict[str, Entry] = {}
    for entry in tree.entries():
        if entry.name in entries:
            raise MalformedInput(f"the member {entry.name} occurs twice: loaders disagree which one counts")
        entries[entry.name] = entry
    facts = torch_kind(entries)
    if facts is None or facts.kind != "checkpoint":
        raise MalformedInput(f"not a zip checkpoint of torch{f', but {facts.kind}' if facts else ''}")
    prefix = f"{facts.root}/" if facts.root else ""
    head = entries.get(f"{prefix}data.pkl")
    if head is None or head.size > _PICKLE:
        raise MalformedInput("the checkpoint has no data.pkl of a readable size")
    order = entries.get(f"{prefix}byteorder")
    if order is not None and b"big" in tree.open(order).read(0, 16):
        raise MalformedInput("the numbers are big-endian, which is not converted here")
    root, _ = read_graph(tree.open(head))

    def place(laid: Laid) -> _Place | str:
        entry = entries.get(f"{prefix}data/{laid.key}")
        start = tree.stored_at(entry) if entry is not None else None
        if entry is None or start is None:
            return f"its storage {laid.key[:_SMALL]} is not in the file as plain bytes"
        return start, max(0, min(entry.size, blob.size - start))

    return _gathered("torch zip", root, place)


def _legacy(blob: Blob) -> Checkpoint:
    """Five pickles (magic, protocol, system, object, keys of storages), then each storage: count of items, bytes."""
    at, streams = 0, []
    for _ in range(5):
        value, at = read_graph(blob, at)
        streams.append(value)
    if streams[0] != TORCH_MAGIC or streams[1] != 1001 or not isinstance(streams[4], list):
        raise MalformedInput("the five pickles of a legacy checkpoint are not in order")
    if len(streams[4]) > _STORAGES:
        raise MalformedInput(f"{len(streams[4])} storages")
    root = streams[3]
    widths, views = _declared(root)
    stored: dict[str, _Place] = {}
    for key in map(str, streams[4]):
        count = int.from_bytes(blob.read(at, 8), "little")
        width = widths.get(key, 0)
        at += 8
        if not width or key in stored:
            raise MalformedInput(f"the storage {key[:_SMALL]} is listed and not used, or listed twice", offset=at)
        if count > (blob.size - at) // width:
            raise MalformedInput(f"the storage {key[:_SMALL]} claims {count} items and the file ends", offset=at)
        stored[key] = (at, count * width)
        at += count * width

    def place(laid: Laid) -> _Place | str:
        where = stored.get(laid.key)
        if where is None:
            return f"its storage {laid.key[:_SMALL]} is not in the file"
        if laid.key in views:
            return "its storage is a view of another one, in the form of torch 0.1"
        return where

    return _gathered("torch legacy", root, place)


def _declared(root: Any) -> tuple[dict[str, int], set[str]]:
    """Bytes of an item for each storage that the object names, and the storages that views are made of."""
    widths: dict[str, int] = {}
    views = set()
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, External):
            identifier = value.identifier
            if isinstance(identifier, tuple) and len(identifier) >= 5 and identifier[0] == "storage":
                kind = storage_type(identifier[1])
                widths.setdefault(str(identifier[2]), BITS[kind] // 8 if kind else _width(identifier[1]))
                if len(identifier) > 5 and identifier[5]:
                    views.add(str(identifier[2]))
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (list, tuple)):
            waiting += value
        elif hasattr(value, "arguments"):
            waiting += [value.arguments, value.state, value.items]
    return widths, views


def _width(name: Any) -> int:
    """Bytes of an item of a storage that safetensors has no type for; 0 where it is unknown."""
    return 16 if isinstance(name, Named) and name.dotted.endswith("ComplexDoubleStorage") else 0


def _tar(blob: Blob) -> Checkpoint:
    """Torch 0.1: members `sys_info`, `storages`, `tensors`, `pickle`."""
    tree = TarTree(blob, Budget(Limits()))
    members = {entry.name.removeprefix("./"): entry for entry in tree.entries()}
    if not {"storages", "tensors", "pickle"} <= members.keys():
        raise MalformedInput("not a tar checkpoint of torch")
    storages, tensors = tree.open(members["storages"]), tree.open(members["tensors"])
    places = _tar_storages(storages, tree.stored_at(members["storages"]))
    laid = _tar_tensors(tensors, places)
    root, _ = read_graph(tree.open(members["pickle"]))

    def known(value: Any) -> tuple[tuple[str, Part], ...] | None:
        key = str(value.identifier) if isinstance(value, External) else None
        if key is None:
            return rebuilt(value)
        return (("", laid.get(key, Refused("it is not in the member tensors"))),)

    return _gathered("torch tar", root, lambda part: places[part.key][1:], known)


def _tar_storages(blob: Blob, begin: int) -> dict[str, tuple[str, int, int]]:
    """(type, start in the file, bytes) of each storage. Raises MalformedInput for a view, which torch 0.1.0 wrote."""
    count, at = read_graph(blob)
    found: dict[str, tuple[str, int, int]] = {}
    if type(count) is not int or not 0 <= count <= _STORAGES:
        raise MalformedInput("the number of storages is no number")
    for _ in range(count):
        told, at = read_graph(blob, at)
        kind = storage_type(told[2]) if isinstance(told, tuple) and len(told) == 3 else None
        items = int.from_bytes(blob.read(at, 8), "little")
        at += 8
        width = BITS[kind] // 8 if kind else 0
        if kind is None or items > (blob.size - at) // width:
            raise MalformedInput("a storage has an unknown type or claims more than is left", offset=at)
        found[str(told[0])] = (kind, begin + at, items * width)
        at += items * width
    views, _ = read_graph(blob, at)
    if views:
        raise MalformedInput("a storage is a view of another one, which is not read here")
    return found


def _tar_tensors(blob: Blob, places: dict[str, tuple[str, int, int]]) -> dict[str, Part]:
    """Each tensor by its key: (key, key of the storage, type), dimensions, sizes, strides, offset."""
    count, at = read_graph(blob)
    found: dict[str, Part] = {}
    if type(count) is not int or not 0 <= count <= _STORAGES:
        raise MalformedInput("the number of tensors is no number")
    for _ in range(count):
        told, at = read_graph(blob, at)
        if not isinstance(told, tuple) or len(told) != 3:
            raise MalformedInput("a tensor has another form than torch 0.1 writes", offset=at)
        dimensions = int.from_bytes(blob.read(at, 4), "little")
        at += 8
        if dimensions > _SMALL:
            raise MalformedInput(f"a tensor has {dimensions} dimensions", offset=at)
        raw = [int.from_bytes(blob.read(at + 8 * i, 8), "little", signed=True) for i in range(2 * dimensions + 1)]
        at += 8 * len(raw)
        shape, strides = numbers(raw[:dimensions]), numbers(raw[dimensions:-1])
        storage = places.get(str(told[1]))
        if storage is None or shape is None or strides is None or raw[-1] < 0:
            found[str(told[0])] = Refused("its storage, shape or strides are not there")
            continue
        width = BITS[storage[0]] // 8
        found[str(told[0])] = Laid(
            key=str(told[1]),
            stored=storage[0],
            declared=storage[2] // width,
            dtype=storage[0],
            offset=raw[-1],
            shape=shape,
            strides=strides,
        )
    return found
