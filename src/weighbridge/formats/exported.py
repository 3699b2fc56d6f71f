"""Knows the program of a `torch.export` archive (.pt2): its steps in order, and where the bytes of its weights lie.

Nothing is unpickled: weights that are stored as pickles are refused. Source: torch 2.13 `torch/export/pt2_archive` (archive
version 0) and `torch/_export/serde/schema.py` (schema version 8).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.schema import LimitExceeded, Limits, MalformedInput
from weighbridge.source import Budget
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from weighbridge.source import Blob, Entry

_PROGRAM: Final = 256 << 20
_STEPS: Final = 100_000
_BYTES: Final = 8 << 30
_NAMES: Final = 200_000


class _Meta(Struct):
    dtype: int
    sizes: list[dict[str, Any]]
    strides: list[dict[str, Any]] = []
    storage_offset: dict[str, Any] = {}


class _Payload(Struct):
    path_name: str
    use_pickle: bool
    tensor_meta: _Meta | None = None


class _Payloads(Struct):
    config: dict[str, _Payload] = {}


class Argument(Struct, frozen=True):
    """An argument of a step: its name, its value as `{"as_…": …}`, and whether it is given by place (1) or by name (2)."""

    name: str
    arg: dict[str, Any]
    kind: int = 1


class Step(Struct, frozen=True):
    """One call: `torch.ops.aten.conv2d.default`, its arguments, and the names of what it makes."""

    target: str
    inputs: list[Argument]
    outputs: list[dict[str, Any]]


class _Graph(Struct):
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    nodes: list[Step]
    tensor_values: dict[str, _Meta] = {}


class _Signature(Struct):
    input_specs: list[dict[str, Any]]
    output_specs: list[dict[str, Any]]


class _Module(Struct):
    graph: _Graph
    signature: _Signature


class _Model(Struct):
    graph_module: _Module


class StoredWeight(Struct, frozen=True, kw_only=True):
    """A weight: the number of its type in torch's schema, shape, strides and offset in items, and its little-endian bytes."""

    dtype: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    data: bytes


class ExportedProgram(Struct, frozen=True, kw_only=True):
    """A program: `weights` by the names that the graph gives them, `shape` of its one input (-1 is any size).

    `given` and `results` are the names of what goes in and comes out.
    """

    steps: tuple[Step, ...]
    weights: dict[str, StoredWeight]
    given: tuple[str, ...]
    shape: tuple[int, ...]
    results: tuple[str, ...]


def read_exported(blob: Blob) -> ExportedProgram:
    """The program of an archive. Raises MalformedInput, LimitExceeded."""
    tree = ZipTree(blob, Budget(Limits()))
    members = {entry.name.partition("/")[2]: entry for entry in tree.entries()}
    programs = [name for name in members if name.startswith("models/") and name.endswith(".json")]
    if len(programs) != 1:
        raise MalformedInput(
            f"{len(programs)} programs in it, and one is read",
            hint="save one with torch.export.save of torch 2.8 or later",
        )
    model = programs[0].removeprefix("models/").removesuffix(".json")
    module = _decoded(tree, members[programs[0]], _Model).graph_module
    if len(module.graph.nodes) > _STEPS:
        raise LimitExceeded(f"{len(module.graph.nodes)} steps", limit="members")
    stored = {
        **_stored(tree, members, f"data/weights/{model}_weights_config.json", "data/weights"),
        **_stored(tree, members, f"data/constants/{model}_constants_config.json", "data/constants"),
    }
    weights, given = _inputs(module, stored)
    results = [
        _named(one["user_output"].get("arg", {})) for one in module.signature.output_specs if "user_output" in one
    ]
    if not results or not results[0]:
        raise MalformedInput("the program gives no tensor")
    meta = module.graph.tensor_values.get(given[0]) if given else None
    shape = tuple(_size(one) for one in meta.sizes) if meta else ()
    return ExportedProgram(
        steps=tuple(module.graph.nodes),
        weights=weights,
        given=tuple(given),
        shape=shape,
        results=tuple(name for name in results if name),
    )


def _decoded(tree: ZipTree, entry: Entry, kind: type[Any]) -> Any:
    blob = tree.open(entry)
    if blob.size > _PROGRAM:
        raise LimitExceeded(f"{entry.name}: {blob.size} bytes", limit="bytes")
    try:
        return msgspec.json.decode(blob.read(0, blob.size), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedInput(f"{entry.name}: {str(error)[:200]}") from error


def _stored(tree: ZipTree, members: dict[str, Entry], config: str, folder: str) -> dict[str, StoredWeight]:
    """Weights by their parameter names."""
    if config not in members:
        return {}
    found: dict[str, StoredWeight] = {}
    total = 0
    for name, one in _decoded(tree, members[config], _Payloads).config.items():
        meta, entry = one.tensor_meta, members.get(f"{folder}/{one.path_name}")
        if one.use_pickle or meta is None:
            raise MalformedInput(
                f"{name} is stored as a pickle, which is not loaded", hint="save it with plain tensors"
            )
        if entry is None:
            raise MalformedInput(f"{name}: its bytes {one.path_name} are missing")
        blob = tree.open(entry)
        total += blob.size
        if total > _BYTES:
            raise LimitExceeded(f"more than {_BYTES >> 30} GiB of weights", limit="bytes")
        found[name] = StoredWeight(
            dtype=meta.dtype, shape=_fixed(name, meta.sizes), strides=_fixed(name, meta.strides),
            offset=max(0, _size(meta.storage_offset)) if meta.storage_offset else 0, data=blob.read(0, blob.size),
        )  # fmt: skip
    return found


def _size(one: dict[str, Any]) -> int:
    value = one.get("as_int")
    return value if isinstance(value, int) and value >= 0 else -1


def _fixed(name: str, sizes: list[dict[str, Any]]) -> tuple[int, ...]:
    found = tuple(_size(one) for one in sizes)
    if -1 in found or math.prod(found) > _BYTES:
        raise MalformedInput(f"{name}: a weight of no fixed size")
    return found


def _inputs(module: _Module, stored: dict[str, StoredWeight]) -> tuple[dict[str, StoredWeight], list[str]]:
    """(weights by the names of the graph, names of what users give)."""
    weights: dict[str, StoredWeight] = {}
    given: list[str] = []
    for spec in module.signature.input_specs[:_NAMES]:
        kind, about = next(iter(spec.items()))
        if kind == "user_input":
            given.append(_named(about.get("arg", {})))
            continue
        name = next((value for key, value in about.items() if key.endswith("_name") and isinstance(value, str)), "")
        if name not in stored:
            raise MalformedInput(f"{kind} {name!r} has no bytes in the archive")
        weights[str(about.get("arg", {}).get("name", ""))] = stored[name]
    return weights, given


def _named(argument: dict[str, Any]) -> str:
    """The name of a tensor argument, or nothing."""
    tensor = argument.get("as_tensor")
    return str(tensor.get("name", "")) if isinstance(tensor, dict) else ""
