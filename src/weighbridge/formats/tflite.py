"""Knows TensorFlow Lite and ONNX Runtime models, both FlatBuffers: operators, tensors, buffers.

Sources: tensorflow `compiler/mlir/lite/schema/schema.fbs`, onnxruntime `core/flatbuffers/schema/ort.fbs`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.flatbuffers import Table, root
from weighbridge.formats.window import Window
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_CUSTOM: Final = 32
_SHOWN: Final = 50
_BITS: Final = {
    0: 32,
    1: 16,
    2: 32,
    3: 8,
    4: 64,
    6: 8,
    7: 16,
    8: 64,
    9: 8,
    10: 64,
    11: 128,
    12: 64,
    15: 32,
    16: 16,
    17: 4,
}


class TfliteFacts(Struct, frozen=True, kw_only=True):
    """A model: the operators it uses by name (builtin ones by number), and what is wrong with its structure."""

    version: int
    builtin: tuple[int, ...]
    custom: tuple[str, ...]
    description: str
    metadata: tuple[str, ...]
    operators: int
    tensors: int
    problems: tuple[str, ...]


class OrtFacts(Struct, frozen=True, kw_only=True):
    """An ONNX Runtime model: (domain, operator) of its nodes, and what is wrong."""

    version: str
    operators: tuple[tuple[str, str], ...]
    optimizations: bool
    problems: tuple[str, ...]


def read_tflite(blob: Blob) -> TfliteFacts:
    """The facts of a model. Raises MalformedInput where the root cannot be read."""
    window = Window(blob)
    model = root(window)
    problems: list[str] = []
    builtin: list[int] = []
    custom: list[str] = []
    codes = 0
    operators = tensors = 0
    metadata: tuple[str, ...] = ()
    try:
        for code in model.tables(1):
            codes += 1
            number = max(code.uint(0, 1), code.uint(3, 4))
            builtin.append(number)
            if number == _CUSTOM:
                custom.append(code.text(1))
        buffers = _buffers(model, blob.size, problems)
        for graph in model.tables(2):
            sizes = _tensors(graph, buffers, problems)
            tensors += sizes
            operators += _operators(graph, codes, sizes, problems)
        metadata = tuple(item.text(0) for item in model.tables(6))
    except MalformedInput as error:
        problems.append(f"{error.message} (byte {error.offset})")
    return TfliteFacts(
        version=model.uint(0, 4), builtin=tuple(builtin), custom=tuple(custom), description=_quiet(model, 3),
        metadata=metadata, operators=operators, tensors=tensors, problems=tuple(problems[:_SHOWN]),
    )  # fmt: skip


def _quiet(table: Table, number: int) -> str:
    try:
        return table.text(number)
    except MalformedInput:
        return ""


def _buffers(model: Table, size: int, problems: list[str]) -> list[int]:
    """The bytes of each buffer."""
    found = []
    for number, buffer in enumerate(model.tables(4)):
        _, inside = buffer.vector(0, 1)
        offset, length = buffer.uint(1, 8), buffer.uint(2, 8)
        # Offsets 0 and 1 mean that the data lies inside.
        if offset > 1 and (offset > size or length > size - offset):
            problems.append(f"buffer {number}: {length} bytes at {offset} reach beyond the file")
        found.append(length if offset > 1 else inside)
    return found


def _tensors(graph: Table, buffers: list[int], problems: list[str]) -> int:
    count = 0
    for tensor in graph.tables(0):
        shape, kind, buffer = tensor.numbers(0), tensor.uint(1, 1), tensor.uint(2, 4)
        if buffer >= len(buffers):
            problems.append(f"tensor {count} uses buffer {buffer} of {len(buffers)}")
        elif buffers[buffer] and kind in _BITS and all(dim >= 0 for dim in shape):
            needed = (math.prod(shape) * _BITS[kind] + 7) // 8
            sparse = tensor.place(6)
            if needed != buffers[buffer] and not sparse:
                problems.append(f"tensor {count} needs {needed} bytes, and its buffer has {buffers[buffer]}")
        if any(dim < 0 for dim in shape):
            problems.append(f"tensor {count} has the shape {list(shape)}")
        count += 1
    return count


def _operators(graph: Table, codes: int, tensors: int, problems: list[str]) -> int:
    count = 0
    for operator in graph.tables(3):
        if operator.uint(0, 4) >= codes:
            problems.append(f"operator {count} uses code {operator.uint(0, 4)} of {codes}")
        for number in (*operator.numbers(1), *operator.numbers(2)):
            if not -1 <= number < tensors:
                problems.append(f"operator {count} uses tensor {number} of {tensors}")
                break
        count += 1
    return count


def read_ort(blob: Blob) -> OrtFacts:
    """The facts of an ONNX Runtime model. Raises MalformedInput where the root cannot be read."""
    window = Window(blob)
    session = root(window)
    operators: dict[tuple[str, str], None] = {}
    problems: list[str] = []
    optimizations = False
    try:
        model = session.table(1)
        graph = model.table(7) if model else None
        if graph is None:
            problems.append("a session without a graph")
        else:
            for node in graph.tables(2):
                operators[node.text(2), node.text(5)] = None
            optimizations = graph.place(8) != 0
    except MalformedInput as error:
        problems.append(f"{error.message} (byte {error.offset})")
    return OrtFacts(
        version=_quiet(session, 0), operators=tuple(operators), optimizations=optimizations, problems=tuple(problems)
    )
