"""Knows the program of an ONNX model: its steps in order with every attribute, and the numbers of its constants.

Source: onnx 1.23 `onnx/onnx.proto`. Only the main graph; a model with functions, branches or data outside is said to have them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.onnx import BITS, EXTERNAL
from weighbridge.formats.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Field, as_float, fields, integers, text
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_STEPS: Final = 100_000
_BYTES: Final = 8 << 30
_DIMS: Final = 16
# The typed fields of a TensorProto: float_data, int32_data, int64_data, double_data, uint64_data.
_TYPED: Final = {4: "<f", 5: "<i", 7: "<q", 10: "<d", 11: "<Q"}
_NARROW: Final = {2: "<B", 3: "<b", 4: "<H", 5: "<h", 6: "<i", 9: "<?", 10: "<H", 16: "<H"}


class Constant(Struct, frozen=True):
    """A tensor: its TensorProto.DataType, shape, and little-endian bytes."""

    kind: int
    dims: tuple[int, ...]
    data: bytes


Value = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Constant


class Step(Struct, frozen=True):
    """One node, with its attributes by name."""

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Value]


class Slot(Struct, frozen=True):
    """An input or output: its name and shape, in which -1 is any size."""

    name: str
    dims: tuple[int, ...]


class Program(Struct, frozen=True, kw_only=True):
    """The main graph. `opset` is that of the default domain; `odd` says what of the model lies outside of the graph."""

    opset: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    steps: tuple[Step, ...]
    constants: dict[str, Constant]
    odd: tuple[str, ...]


def read_program(blob: Blob) -> Program:
    """The program of a model. Raises MalformedInput, LimitExceeded."""
    return _Reader(Window(blob)).read(blob.size)


class _Reader:
    def __init__(self, window: Window) -> None:
        self._window, self._left = window, _BYTES
        self._odd: list[str] = []
        self._constants: dict[str, Constant] = {}
        self._steps: list[Step] = []
        self._inputs: list[Slot] = []
        self._outputs: list[Slot] = []

    def read(self, size: int) -> Program:
        opset = 0
        for field in fields(self._window, 0, size):
            if field.number == 7 and field.wire == LENGTH:
                self._graph(field)
            elif field.number == 8 and field.wire == LENGTH:
                domain, version = self._opset(field)
                opset = version if domain in {"", "ai.onnx"} else opset
            elif field.number == 25:
                self._odd.append("functions of its own")
        if not self._steps:
            raise MalformedInput("a model without a graph")
        return Program(
            opset=opset, inputs=tuple(one for one in self._inputs if one.name not in self._constants),
            outputs=tuple(self._outputs), steps=tuple(self._steps), constants=self._constants, odd=tuple(dict.fromkeys(self._odd)),
        )  # fmt: skip

    def _opset(self, one: Field) -> tuple[str, int]:
        domain, version = "", 0
        for field in fields(self._window, one.start, one.end):
            if field.number == 1:
                domain = text(self._window, field)
            elif field.number == 2:
                version = field.value
        return domain, version

    def _graph(self, graph: Field) -> None:
        for field in fields(self._window, graph.start, graph.end):
            if field.wire != LENGTH:
                continue
            if field.number == 1:
                self._step(field)
            elif field.number == 5:
                name, constant = self._tensor(field)
                self._constants[name] = constant
            elif field.number == 11:
                self._inputs.append(self._slot(field))
            elif field.number == 12:
                self._outputs.append(self._slot(field))
            elif field.number == 15:
                self._odd.append("sparse constants")

    def _slot(self, one: Field) -> Slot:
        name, dims = "", []
        for field in fields(self._window, one.start, one.end):
            if field.number == 1:
                name = text(self._window, field)
            elif field.number == 2 and field.wire == LENGTH:
                dims = [self._dim(part) for part in self._below(field, 1, 2, 1)]
        return Slot(name, tuple(dims[:_DIMS]))

    def _below(self, field: Field, *path: int) -> list[Field]:
        """The fields at a path of field numbers: TypeProto.tensor_type.shape.dim."""
        found = [field]
        for number in path:
            found = [
                part
                for one in found
                for part in fields(self._window, one.start, one.end)
                if part.number == number and part.wire == LENGTH
            ]
        return found

    def _dim(self, one: Field) -> int:
        return next((f.signed for f in fields(self._window, one.start, one.end) if f.number == 1), -1)

    def _step(self, node: Field) -> None:
        if len(self._steps) >= _STEPS:
            raise LimitExceeded(f"more than {_STEPS} steps", limit="members")
        inputs, outputs, names = [], [], {4: "", 7: ""}
        attributes: dict[str, Value] = {}
        for field in fields(self._window, node.start, node.end):
            if field.number == 1:
                inputs.append(text(self._window, field))
            elif field.number == 2:
                outputs.append(text(self._window, field))
            elif field.number in names:
                names[field.number] = text(self._window, field)
            elif field.number == 5 and field.wire == LENGTH:
                name, value = self._attribute(field)
                if value is not None:
                    attributes[name] = value
        if names[4] == "Constant" and outputs and isinstance(attributes.get("value"), Constant):
            self._constants[outputs[0]] = attributes["value"]  # type: ignore[assignment]
            return
        self._steps.append(Step(names[4], names[7], tuple(inputs), tuple(outputs), attributes))

    def _attribute(self, attribute: Field) -> tuple[str, Value | None]:
        name = ""
        value: Value | None = None
        floats: list[float] = []
        whole: list[int] = []
        words: list[str] = []
        for field in fields(self._window, attribute.start, attribute.end):
            if field.number == 1:
                name = text(self._window, field)
            elif field.number == 2 and field.wire == FIXED32:
                value = as_float(field)
            elif field.number == 3 and field.wire == VARINT:
                value = field.signed
            elif field.number == 4:
                value = text(self._window, field)
            elif field.number == 5 and field.wire == LENGTH:
                value = self._tensor(field)[1]
            elif field.number in {6, 11}:
                self._odd.append("branches")
            elif field.number == 7:
                floats += self._floats(field)
            elif field.number == 8:
                whole += integers(self._window, field)
            elif field.number == 9:
                words.append(text(self._window, field))
        if floats:
            return name, tuple(floats)
        return name, tuple(whole) or tuple(words) or value

    def _floats(self, field: Field) -> list[float]:
        if field.wire == FIXED32:
            return [as_float(field)]
        count = field.size // 4
        return list(struct.unpack(f"<{count}f", self._window.bytes(field.start, count * 4)))

    def _tensor(self, tensor: Field) -> tuple[str, Constant]:
        dims: list[int] = []
        name, kind, data, typed = "", 0, b"", []
        for field in fields(self._window, tensor.start, tensor.end):
            if field.number == 1:
                dims += integers(self._window, field)
            elif field.number == 2:
                kind = field.value
            elif field.number == 8:
                name = text(self._window, field)
            elif field.number == 9 and field.wire == LENGTH:
                data = self._bytes(field)
            elif field.number in _TYPED:
                typed.append(field)
            elif field.number == 13 or (field.number == 14 and field.value == EXTERNAL):
                self._odd.append("numbers outside of the file")
        if typed:
            data = b"".join(self._typed(field, kind) for field in typed)
        return name, Constant(kind, _checked(dims, kind, len(data)), data)

    def _bytes(self, field: Field) -> bytes:
        self._left -= field.size
        if self._left < 0:
            raise LimitExceeded(f"more than {_BYTES} bytes of numbers", limit="bytes")
        return self._window.bytes(field.start, field.size)

    def _typed(self, field: Field, kind: int) -> bytes:
        form = _TYPED[field.number]
        if field.number in {4, 10}:
            return self._bytes(field) if field.wire == LENGTH else struct.pack(form, as_float(field))
        if field.wire in {FIXED32, FIXED64}:
            raise MalformedInput("whole numbers of a fixed width", offset=field.start)
        form = _NARROW.get(kind, form) if field.number == 5 else form
        mask = (1 << 8 * struct.calcsize(form)) - 1
        found = list(integers(self._window, field))
        self._left -= 8 * len(found)
        return b"".join((one & mask).to_bytes(struct.calcsize(form), "little") for one in found)


def _checked(dims: list[int], kind: int, size: int) -> tuple[int, ...]:
    """The shape, once it says as much as there is. What lies outside of the file has no bytes here."""
    if len(dims) > _DIMS or any(one < 0 for one in dims):
        raise MalformedInput(f"a tensor of shape {dims[:_DIMS]}")
    count = 1
    for one in dims:
        count *= one
    if size and count * BITS.get(kind, 0) != size * 8:
        raise MalformedInput(f"a tensor of {count} numbers in {size} bytes")
    return tuple(dims)
