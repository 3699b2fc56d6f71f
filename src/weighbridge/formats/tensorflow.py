"""Knows TensorFlow graphs by their wire format: SavedModel, MetaGraph, GraphDef, Keras metadata, checkpoint indexes.

Sources: tensorflow `core/protobuf/{saved_model,meta_graph,saved_object_graph,tensor_bundle}.proto`,
`core/framework/{graph,function,node_def,attr_value}.proto`, `core/lib/io/format.h` (the table of a checkpoint index).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.graph import Graph, Node
from weighbridge.formats.protobuf import LENGTH, Field, fields, text, varint
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source import BytesBlob

if TYPE_CHECKING:
    from weighbridge.source import Blob

_NODES: Final = 2_000_000
_VALUE: Final = 1 << 14
_TABLE_MAGIC: Final = bytes.fromhex("57fb808b247547db")
_FOOTER: Final = 48
_ENTRIES: Final = 1_000_000
_METADATA: Final = 8 << 20
DT_STRING: Final = 7


class TensorFlowFacts(Struct, frozen=True, kw_only=True):
    """Graphs of one file. `strings` maps a constant's name to its texts; `assets` are file names that are read on load."""

    kind: str
    graph: Graph
    strings: dict[str, tuple[str, ...]]
    assets: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    signatures: tuple[str, ...]
    functions: tuple[str, ...]
    metadata: tuple[str, ...]
    libraries: tuple[str, ...]
    tensor_bytes: int


class BundleEntry(Struct, frozen=True):
    """One tensor of a checkpoint index: its type, shape, and place in a shard."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_saved_model(blob: Blob) -> TensorFlowFacts:
    """A `saved_model.pb`. Raises MalformedInput."""
    reader = _Reader(Window(blob))
    for field in fields(reader.window, 0, blob.size):
        if field.number == 2 and field.wire == LENGTH:
            reader.meta_graph(field)
    return reader.facts("SavedModel")


def read_meta_graph(blob: Blob) -> TensorFlowFacts:
    """A `.meta` file. Raises MalformedInput."""
    reader = _Reader(Window(blob))
    reader.meta_graph(Field(0, LENGTH, blob.size, 0, blob.size))
    return reader.facts("MetaGraphDef")


def read_graph_def(blob: Blob) -> TensorFlowFacts:
    """A frozen graph. Raises MalformedInput."""
    reader = _Reader(Window(blob))
    reader.graph(Field(0, LENGTH, blob.size, 0, blob.size))
    return reader.facts("GraphDef")


def read_keras_metadata(blob: Blob) -> TensorFlowFacts:
    """A `keras_metadata.pb`: the JSON texts of its nodes. Raises MalformedInput."""
    reader = _Reader(Window(blob))
    for field in fields(reader.window, 0, blob.size):
        if field.number == 1 and field.wire == LENGTH:
            for part in fields(reader.window, field.start, field.end):
                if part.number == 5 and part.wire == LENGTH:
                    reader.metadata.append(reader.window.text(part.start, part.size, most=_METADATA))
    return reader.facts("Keras metadata")


class _Reader:
    def __init__(self, window: Window) -> None:
        self.window = window
        self.metadata: list[str] = []
        self._nodes: list[Node] = []
        self._strings: dict[str, tuple[str, ...]] = {}
        self._assets: list[str] = []
        self._tags: list[tuple[str, ...]] = []
        self._signatures: list[str] = []
        self._functions: list[str] = []
        self._libraries: list[str] = []
        self._stored = 0

    def meta_graph(self, meta: Field) -> None:
        for field in fields(self.window, meta.start, meta.end):
            if field.wire != LENGTH:
                continue
            if field.number == 1:
                parts = list(fields(self.window, field.start, field.end))
                self._tags.append(tuple(text(self.window, part) for part in parts if part.number == 4))
            elif field.number == 2:
                self.graph(field)
            elif field.number == 5:
                self._signatures.append(self._first(field))
            elif field.number == 6:
                self._assets += [
                    text(self.window, part) for part in fields(self.window, field.start, field.end) if part.number == 2
                ]
            elif field.number == 7:
                self._objects(field)

    def _objects(self, graph: Field) -> None:
        """Metadata of Keras layers in the object graph: SavedObject.user_object (4) with its metadata (3)."""
        for node in fields(self.window, graph.start, graph.end):
            if node.number != 1 or node.wire != LENGTH:
                continue
            for part in fields(self.window, node.start, node.end):
                if part.number == 4 and part.wire == LENGTH:
                    for item in fields(self.window, part.start, part.end):
                        if item.number == 3 and item.wire == LENGTH and item.size > 2:
                            self.metadata.append(self.window.text(item.start, item.size, most=_METADATA))

    def graph(self, graph: Field) -> None:
        for field in fields(self.window, graph.start, graph.end):
            if field.number == 1 and field.wire == LENGTH:
                self._node(field, "")
            elif field.number == 2 and field.wire == LENGTH:
                for part in fields(self.window, field.start, field.end):
                    if part.number == 1 and part.wire == LENGTH:
                        self._function(part)

    def _function(self, function: Field) -> None:
        name, nodes = "", []
        for field in fields(self.window, function.start, function.end):
            if field.number == 1 and field.wire == LENGTH:
                name = self._first(field)
            elif field.number == 3 and field.wire == LENGTH:
                nodes.append(field)
        self._functions.append(name)
        for node in nodes:
            self._node(node, name or "function")

    def _first(self, field: Field) -> str:
        return next((text(self.window, p) for p in fields(self.window, field.start, field.end) if p.number == 1), "")

    def _node(self, node: Field, scope: str) -> None:
        if len(self._nodes) >= _NODES:
            raise LimitExceeded(f"more than {_NODES} nodes", limit="members")
        name = op = ""
        inputs: list[str] = []
        texts: list[tuple[str, str]] = []
        numbers: list[tuple[str, int]] = []
        for field in fields(self.window, node.start, node.end):
            if field.number == 1:
                name = text(self.window, field)
            elif field.number == 2:
                op = text(self.window, field)
            elif field.number == 3:
                inputs.append(text(self.window, field).removeprefix("^").partition(":")[0])
            elif field.number == 5 and field.wire == LENGTH:
                self._attribute(field, texts, numbers)
        if op == "Const":
            known = tuple(value for key, value in texts if key == "value")
            if known:
                self._strings[name] = known
        self._nodes.append(Node(name, op, "", tuple(inputs), (name,), scope, tuple(texts), tuple(numbers)))

    def _attribute(self, entry: Field, texts: list[tuple[str, str]], numbers: list[tuple[str, int]]) -> None:
        key = ""
        for field in fields(self.window, entry.start, entry.end):
            if field.number == 1:
                key = text(self.window, field)
            elif field.number == 2 and field.wire == LENGTH:
                for part in fields(self.window, field.start, field.end):
                    if part.number == 2 and part.wire == LENGTH:
                        texts.append((key, self.window.text(part.start, part.size, most=_VALUE)))
                    elif part.number == 3:
                        numbers.append((key, part.signed))
                    elif part.number == 8 and part.wire == LENGTH:
                        self._tensor(part, key, texts)
                    elif part.number == 1 and part.wire == LENGTH:
                        texts += [
                            (key, self.window.text(item.start, item.size, most=_VALUE))
                            for item in fields(self.window, part.start, part.end)
                            if item.number == 2 and item.wire == LENGTH
                        ]

    def _tensor(self, tensor: Field, key: str, texts: list[tuple[str, str]]) -> None:
        for field in fields(self.window, tensor.start, tensor.end):
            if field.number == 8 and field.wire == LENGTH and len(texts) < _NODES:
                texts.append((key, self.window.text(field.start, field.size, most=_VALUE)))
            elif field.number == 4 and field.wire == LENGTH:
                self._stored += field.size

    def facts(self, kind: str) -> TensorFlowFacts:
        if not (self._nodes or self.metadata or self._functions):
            raise MalformedInput(f"a {kind} without nodes")
        main = [node for node in self._nodes if not node.scope]
        used = {name for node in main for name in node.inputs}
        return TensorFlowFacts(
            kind=kind,
            graph=Graph(
                nodes=tuple(self._nodes),
                inputs=tuple(node.name for node in main if node.op.startswith("Placeholder")),
                outputs=tuple(node.name for node in main if node.name not in used),
                constants=frozenset(node.name for node in self._nodes if node.op == "Const"),
            ),
            strings=self._strings,
            assets=tuple(self._assets),
            tags=tuple(self._tags),
            signatures=tuple(self._signatures),
            functions=tuple(self._functions),
            metadata=tuple(self.metadata),
            libraries=tuple(self._libraries),
            tensor_bytes=self._stored,
        )


def is_checkpoint_index(blob: Blob) -> bool:
    """Whether a blob ends like a table of a checkpoint index."""
    return blob.size >= _FOOTER and blob.read(blob.size - 8, 8) == _TABLE_MAGIC


def read_checkpoint_index(blob: Blob) -> tuple[BundleEntry, ...]:
    """The tensors that a checkpoint index lists. Raises MalformedInput; compressed blocks are malformed here."""
    window = Window(blob)
    if not is_checkpoint_index(blob):
        raise MalformedInput("no table footer", offset=max(0, blob.size - 8))
    footer = blob.size - _FOOTER
    at = footer
    for _ in range(2):
        _, at = varint(window, at, blob.size)
    index_at, at = varint(window, at, blob.size)
    index_size, _ = varint(window, at, blob.size)
    found: list[BundleEntry] = []
    for _, handle in _block(window, index_at, index_size, footer):
        held = Window(BytesBlob(handle))
        start, place = varint(held, 0, len(handle))
        size, _ = varint(held, place, len(handle))
        for key, value in _block(window, start, size, footer):
            if key:
                found.append(_entry(key, value))
            if len(found) > _ENTRIES:
                raise LimitExceeded(f"more than {_ENTRIES} tensors", limit="members")
    return tuple(found)


def _block(window: Window, start: int, size: int, end: int) -> list[tuple[bytes, bytes]]:
    if start > end or size + 5 > end - start:
        raise MalformedInput("a block of the table lies outside", offset=start)
    if window.uint(start + size, 1):
        raise MalformedInput("a block of the table is compressed", offset=start + size)
    restarts = window.uint(start + size - 4, 4) if size >= 4 else 0
    if 4 * restarts + 4 > size:
        raise MalformedInput("a block of the table has too many restarts", offset=start)
    stop = start + size - 4 - 4 * restarts
    at, key, found = start, b"", []
    while at < stop:
        window.step()
        shared, at = varint(window, at, stop)
        fresh, at = varint(window, at, stop)
        length, at = varint(window, at, stop)
        if shared > len(key) or fresh > stop - at or length > stop - at - fresh:
            raise MalformedInput("an entry of the table is cut", offset=at)
        key = key[:shared] + window.bytes(at, fresh)
        found.append((key, window.bytes(at + fresh, length)))
        at += fresh + length
    return found


def _entry(key: bytes, value: bytes) -> BundleEntry:
    window = Window(BytesBlob(value))
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for field in fields(window, 0, len(value)):
        if field.number in numbers:
            numbers[field.number] = field.signed
        elif field.number == 2 and field.wire == LENGTH:
            for dim in fields(window, field.start, field.end):
                if dim.number == 2 and dim.wire == LENGTH:
                    shape += [p.signed for p in fields(window, dim.start, dim.end) if p.number == 1]
    return BundleEntry(key.decode("utf-8", "replace"), numbers[1], tuple(shape), numbers[3], numbers[4], numbers[5])
