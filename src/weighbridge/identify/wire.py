"""Knows which protobuf message a file holds: protobuf has no signature, so the wire types of the first fields decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from weighbridge.source import Blob

_HEAD: Final = 1 << 16
_FIELDS: Final = 400
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def protobuf_kind(blob: Blob, name: str) -> str:
    """The message type of a blob, or an empty string. `name` decides only between messages of the same shape."""
    head = blob.read(0, _HEAD)
    seen = _fields(head, 0, len(head), blob.size)
    if seen is None:
        return ""
    wires = {number: wire for number, wire, _, _ in seen}
    first = next(((start, end) for number, wire, start, end in seen if number == 1 and wire == _LENGTH), None)
    inner = {n: w for n, w, _, _ in _fields(head, first[0], min(first[1], len(head)), first[1]) or ()} if first else {}
    if wires.get(1) == _VARINT:
        return _numbered(seen, wires, name, blob.size)
    if wires.get(1) == _LENGTH:
        return _listed(wires, inner, name)
    if wires.get(7) == _LENGTH and (wires.get(8) == _LENGTH or wires.get(2) == _LENGTH):
        return "onnx"
    return "metagraph" if wires.get(2) == _LENGTH and name.endswith(".meta") else ""


def _numbered(seen: list[tuple[int, int, int, int]], wires: dict[int, int], name: str, size: int) -> str:
    """Messages whose first field is a version: ONNX, SavedModel, Core ML."""
    if wires.get(2) == _VARINT and wires.keys() & {4, 5, 6, 7, 8, 9, 10, 11, 13} and not name.endswith(".onnx"):
        return "tensorproto"
    if any(number >= 200 for number in wires) and wires.get(2, _LENGTH) == _LENGTH:
        return "coreml"
    if wires.get(7) == _LENGTH or wires.get(8) == _LENGTH or name.endswith(".onnx"):
        return "onnx"
    if set(wires) <= {1, 2} and wires.get(2) == _LENGTH:
        ends = max(end for _, _, _, end in seen)
        return "savedmodel" if ends >= min(size, _HEAD) or ends == size else ""
    return "coreml" if name.endswith(".mlmodel") else ""


def _listed(wires: dict[int, int], inner: dict[int, int], name: str) -> str:
    """Messages whose first field is a repeated message or a name."""
    if wires.get(2) == _VARINT and wires.keys() <= {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14}:
        return "tensorproto"
    if name.endswith("keras_metadata.pb"):
        return "keras-metadata"
    if name.endswith(".meta") and wires.get(2) == _LENGTH:
        return "metagraph"
    if inner.get(1) == _LENGTH and inner.get(2) == _FIXED32:
        return "sentencepiece"
    if inner.get(1) == _VARINT and inner.get(2) == _VARINT and wires.keys() <= {1, 4, 5}:
        return "paddle"
    if inner.get(1) == _LENGTH and inner.get(2) == _LENGTH and wires.keys() <= {1, 2, 3, 4}:
        return "graphdef"
    if wires.get(100) == _LENGTH or name.endswith(".caffemodel"):
        return "caffe"
    return (
        "sentencepiece"
        if inner.get(1) == _LENGTH and not inner.keys() - {1, 2, 3} and wires.keys() <= {1, 2, 3, 4, 5}
        else ""
    )


def _fields(data: bytes, start: int, end: int, limit: int) -> list[tuple[int, int, int, int]] | None:
    """(number, wire type, start, end) of fields that begin in `data`; None where the wire format breaks."""
    at = start
    found: list[tuple[int, int, int, int]] = []
    while at < min(end, len(data)) and len(found) < _FIELDS:
        tag, at = _varint(data, at)
        if tag <= 0 or tag >> 3 == 0 or tag >> 3 > 20000:
            return None
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            begin = at
            value, at = _varint(data, at)
            if value < 0:
                return None
            found.append((number, wire, begin, at))
        elif wire in {_FIXED64, _FIXED32}:
            found.append((number, wire, at, at + (8 if wire == _FIXED64 else 4)))
            at = found[-1][3]
        elif wire == _LENGTH:
            length, at = _varint(data, at)
            if length < 0 or length > limit - at:
                return None
            found.append((number, wire, at, at + length))
            at += length
        else:
            return None
    return found or None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return -1, at
