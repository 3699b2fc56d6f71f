"""Knows ONNX models by their wire format: nodes of every graph, tensors with their claims, functions, metadata.

Source: onnx 1.23 `onnx/onnx.proto`. Nothing of a tensor's data is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.graph import Graph, Node
from weighbridge.formats.protobuf import FIXED32, LENGTH, Field, fields, integers, pair, text
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

DEPTH: Final = 32
_NODES: Final = 2_000_000
_VALUE: Final = 1 << 14
_TENSOR_IN_NODE: Final = "value"
# Bits of one element by TensorProto.DataType; strings (8) have none.
BITS: Final = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128,
               16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
STRING: Final = 8
EXTERNAL: Final = 1


class Tensor(Struct, frozen=True, kw_only=True):
    """One tensor's claims. `held` counts the bytes of raw data, -1 where data lies in typed fields or outside."""

    name: str
    kind: int
    dims: tuple[int, ...]
    held: int
    external: tuple[tuple[str, str], ...]
    is_external: bool
    scalar: int | None = None


class Function(Struct, frozen=True):
    """A function defined by the model itself."""

    domain: str
    name: str


class OnnxFacts(Struct, frozen=True, kw_only=True):
    """A model. `tensor_bytes` counts what is stored in this file as numbers; `depth` is that of nested graphs."""

    ir_version: int
    producer: str
    domains: tuple[str, ...]
    graph: Graph
    tensors: tuple[Tensor, ...]
    functions: tuple[Function, ...]
    notes: tuple[tuple[str, str], ...]
    tensor_bytes: int
    depth: int


def read_onnx(blob: Blob) -> OnnxFacts:
    """The facts of a model. Raises MalformedInput where the wire format or the shape of a model is broken."""
    reader = _Reader(Window(blob))
    reader.model(blob.size)
    return reader.facts()


def read_tensor(blob: Blob) -> OnnxFacts:
    """A TensorProto on its own, as test data has it. Raises MalformedInput."""
    reader = _Reader(Window(blob))
    reader.tensor(Field(0, LENGTH, 0, 0, blob.size))
    return reader.facts()


class _Reader:
    """Collects from every graph of a model; nested graphs wait in a list, with their depth."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._nodes: list[Node] = []
        self._tensors: list[Tensor] = []
        self._functions: list[Function] = []
        self._notes: list[tuple[str, str]] = []
        self._domains: list[str] = []
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        self._constants: set[str] = set()
        self._version, self._producer, self._stored, self._depth = 0, "", 0, 0
        self._waiting: list[tuple[Field, str, int]] = []
        self._scopes = 0

    def model(self, size: int) -> None:
        for field in fields(self._window, 0, size):
            if field.number == 1:
                self._version = field.value
            elif field.number == 2:
                self._producer = text(self._window, field)
            elif field.number == 6:
                self._notes.append(("doc_string", text(self._window, field)))
            elif field.number == 7 and field.wire == LENGTH:
                self._waiting.append((field, "", 0))
            elif field.number == 8:
                self._domains.append(self._first_text(field))
            elif field.number == 14:
                self._notes.append(pair(self._window, field))
            elif field.number == 20:
                for part in fields(self._window, field.start, field.end):
                    if part.number in {1, 2} and part.wire == LENGTH:
                        self._waiting.append((part, "training", 1))
            elif field.number == 25:
                self._function(field)
        while self._waiting:
            graph, scope, depth = self._waiting.pop()
            self._depth = max(self._depth, depth)
            if depth <= DEPTH:
                self._graph(graph, scope, depth)

    def _first_text(self, field: Field) -> str:
        return next((text(self._window, p) for p in fields(self._window, field.start, field.end) if p.number == 1), "")

    def _graph(self, graph: Field, scope: str, depth: int) -> None:
        for field in fields(self._window, graph.start, graph.end):
            if field.wire != LENGTH:
                continue
            if field.number == 1:
                self._node(field, scope, depth)
            elif field.number == 5:
                self._constants.add(self.tensor(field).name)
            elif field.number == 15:
                for part in fields(self._window, field.start, field.end):
                    if part.number in {1, 2} and part.wire == LENGTH:
                        self._constants.add(self.tensor(part).name)
            elif field.number == 10:
                self._notes.append(("doc_string", text(self._window, field)))
            elif field.number == 16:
                self._notes.append(pair(self._window, field))
            elif field.number == 11 and not scope:
                self._inputs.append(self._first_text(field))
            elif field.number == 12 and not scope:
                self._outputs.append(self._first_text(field))

    def _node(self, node: Field, scope: str, depth: int) -> None:
        if len(self._nodes) >= _NODES:
            raise LimitExceeded(f"more than {_NODES} nodes", limit="members")
        inputs: list[str] = []
        outputs: list[str] = []
        names = {3: "", 4: "", 7: ""}
        texts: list[tuple[str, str]] = []
        numbers: list[tuple[str, int]] = []
        branches: list[str] = []
        for field in fields(self._window, node.start, node.end):
            if field.number == 1:
                inputs.append(text(self._window, field))
            elif field.number == 2:
                outputs.append(text(self._window, field))
            elif field.number in names:
                names[field.number] = text(self._window, field)
            elif field.number == 6:
                self._notes.append(("doc_string", text(self._window, field)))
            elif field.number == 9:
                self._notes.append(pair(self._window, field))
            elif field.number == 5 and field.wire == LENGTH:
                self._attribute(field, depth, texts, numbers, branches)
        if names[4] == "Constant":
            self._constants.update(outputs)
        self._nodes.append(
            Node(names[3], names[4], names[7], tuple(inputs), tuple(outputs), scope, tuple(texts), tuple(numbers), tuple(branches))
        )  # fmt: skip

    def _attribute(
        self,
        attribute: Field,
        depth: int,
        texts: list[tuple[str, str]],
        numbers: list[tuple[str, int]],
        branches: list[str],
    ) -> None:
        name = ""
        for field in fields(self._window, attribute.start, attribute.end):
            if field.number == 1:
                name = text(self._window, field)
            elif field.number == 3 and field.wire == 0:
                numbers.append((name, field.signed))
            elif field.number in {4, 9} and field.wire == LENGTH:
                texts.append((name, self._window.text(field.start, field.size, most=_VALUE)))
            elif field.number in {5, 10} and field.wire == LENGTH:
                tensor = self.tensor(field)
                if tensor.scalar is not None:
                    numbers.append((name, tensor.scalar))
            elif field.number == 22 and field.wire == LENGTH:
                for part in fields(self._window, field.start, field.end):
                    if part.number in {1, 2} and part.wire == LENGTH:
                        self.tensor(part)
            elif field.number in {6, 11} and field.wire == LENGTH:
                self._scopes += 1
                scope = f"graph {self._scopes}"
                branches.append(scope)
                self._waiting.append((field, scope, depth + 1))

    def _function(self, function: Field) -> None:
        name = domain = ""
        self._scopes += 1
        scope = f"function {self._scopes}"
        nodes = []
        for field in fields(self._window, function.start, function.end):
            if field.number == 1:
                name = text(self._window, field)
            elif field.number == 10:
                domain = text(self._window, field)
            elif field.number == 7 and field.wire == LENGTH:
                nodes.append(field)
            elif field.number == 8:
                self._notes.append(("doc_string", text(self._window, field)))
        for node in nodes:
            self._node(node, scope, 1)
        self._functions.append(Function(domain, name))

    def tensor(self, tensor: Field) -> Tensor:
        dims: list[int] = []
        external: list[tuple[str, str]] = []
        name, kind, held, location, typed, scalar = "", 0, 0, 0, False, None
        for field in fields(self._window, tensor.start, tensor.end):
            if field.number == 1:
                dims += integers(self._window, field)
            elif field.number == 2:
                kind = field.value
            elif field.number == 8:
                name = text(self._window, field)
            elif field.number == 9 and field.wire == LENGTH:
                held = field.size
                self._stored += field.size
                scalar = self._scalar(field, kind)
            elif field.number in {4, 5, 6, 7, 10, 11}:
                typed = True
                if field.number == 6 and field.wire == LENGTH:
                    self._notes.append((f"string in {name}", self._window.text(field.start, field.size, most=_VALUE)))
                else:
                    self._stored += field.size
                    scalar = (
                        next(integers(self._window, field), None)
                        if field.number == 7 and field.wire != FIXED32
                        else None
                    )
            elif field.number == 13 and field.wire == LENGTH:
                external.append(pair(self._window, field))
            elif field.number == 14:
                location = field.value
        outside = location == EXTERNAL or bool(external)
        made = Tensor(
            name=name, kind=kind, dims=tuple(dims), held=-1 if typed or outside else held, external=tuple(external),
            is_external=outside, scalar=scalar,
        )  # fmt: skip
        self._tensors.append(made)
        return made

    def _scalar(self, field: Field, kind: int) -> int | None:
        return (
            self._window.sint(field.start, field.size)
            if field.size == BITS.get(kind, 0) // 8 and kind in {6, 7}
            else None
        )

    def facts(self) -> OnnxFacts:
        if not (self._nodes or self._tensors or self._functions):
            raise MalformedInput("a model without a graph")
        constants = frozenset(self._constants - {""})
        return OnnxFacts(
            ir_version=self._version,
            producer=self._producer,
            domains=tuple(self._domains),
            graph=Graph(
                nodes=tuple(self._nodes),
                inputs=tuple(name for name in self._inputs if name not in constants),
                outputs=tuple(self._outputs),
                constants=constants,
            ),
            tensors=tuple(self._tensors),
            functions=tuple(self._functions),
            notes=tuple(self._notes),
            tensor_bytes=self._stored,
            depth=self._depth,
        )
