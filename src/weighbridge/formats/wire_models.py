"""Knows smaller model formats in protobuf: Core ML, PaddlePaddle programs, Caffe weights, SentencePiece.

Sources: coremltools `mlmodel/format/*.proto`, Paddle `framework.proto`, Caffe `caffe.proto`, sentencepiece
`sentencepiece_model.proto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.protobuf import LENGTH, Field, fields, text
from weighbridge.formats.window import Window
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_CUSTOM_MODEL, _LINKED_MODEL, _CUSTOM_LAYER = 555, 556, 500
_NETWORKS: Final = frozenset({303, 403, 500})
_PIPELINES: Final = frozenset({200, 201, 202})
_DEPTH: Final = 8
_PIECES: Final = 2_000_000


class CoreMLFacts(Struct, frozen=True, kw_only=True):
    """A Core ML model: classes of custom models and layers, files of linked models."""

    version: int
    custom: tuple[str, ...]
    linked: tuple[str, ...]


class OperatorsFacts(Struct, frozen=True):
    """Operator or layer types of a program, each once."""

    operators: tuple[str, ...]


class SentencePieceFacts(Struct, frozen=True, kw_only=True):
    """A SentencePiece model."""

    pieces: int
    repeated: tuple[str, ...]
    problems: tuple[str, ...]


def read_coreml(blob: Blob) -> CoreMLFacts:
    """The facts of a `.mlmodel`. Raises MalformedInput."""
    window = Window(blob)
    version = 0
    custom: list[str] = []
    linked: list[str] = []
    waiting: list[tuple[Field, int]] = [(Field(0, LENGTH, 0, 0, blob.size), 0)]
    while waiting:
        model, depth = waiting.pop()
        for field in fields(window, model.start, model.end):
            if field.number == 1 and not depth:
                version = field.value
            elif field.wire != LENGTH:
                continue
            elif field.number == _CUSTOM_MODEL:
                custom.append(_named(window, field, 10))
            elif field.number == _LINKED_MODEL:
                linked += _linked(window, field)
            elif field.number in _NETWORKS:
                custom += _layers(window, field)
            elif field.number in _PIPELINES and depth < _DEPTH:
                for part in fields(window, field.start, field.end):
                    if part.number == 1 and part.wire == LENGTH:
                        waiting += [(part, depth + 1)] if field.number == 202 else _inner(window, part, depth)
    return CoreMLFacts(version=version, custom=tuple(custom), linked=tuple(linked))


def _inner(window: Window, pipeline: Field, depth: int) -> list[tuple[Field, int]]:
    return [(p, depth + 1) for p in fields(window, pipeline.start, pipeline.end) if p.number == 1 and p.wire == LENGTH]


def _named(window: Window, field: Field, number: int) -> str:
    return next((text(window, p) for p in fields(window, field.start, field.end) if p.number == number), "")


def _linked(window: Window, field: Field) -> list[str]:
    """LinkedModelFile: modelFileName (1) and searchPath (2), each a StringParameter with a default (1)."""
    found = []
    for part in fields(window, field.start, field.end):
        if part.wire == LENGTH:
            for item in fields(window, part.start, part.end):
                if item.wire == LENGTH:
                    found.append(_named(window, item, 1))
    return found


def _layers(window: Window, network: Field) -> list[str]:
    found = []
    for layer in fields(window, network.start, network.end):
        if layer.number != 1 or layer.wire != LENGTH:
            continue
        for part in fields(window, layer.start, layer.end):
            if part.number == _CUSTOM_LAYER and part.wire == LENGTH:
                found.append(_named(window, part, 10))
    return found


def read_paddle(blob: Blob) -> OperatorsFacts:
    """The operator types of a Paddle program. Raises MalformedInput."""
    window = Window(blob)
    found: dict[str, None] = {}
    for block in fields(window, 0, blob.size):
        if block.number != 1 or block.wire != LENGTH:
            continue
        for part in fields(window, block.start, block.end):
            if part.number == 4 and part.wire == LENGTH:
                found[_named(window, part, 3)] = None
    return OperatorsFacts(tuple(found))


def read_caffe(blob: Blob) -> OperatorsFacts:
    """The layer types of a `.caffemodel`. Raises MalformedInput."""
    window = Window(blob)
    found: dict[str, None] = {}
    for layer in fields(window, 0, blob.size):
        if layer.number == 100 and layer.wire == LENGTH:
            found[_named(window, layer, 2)] = None
    return OperatorsFacts(tuple(found))


def read_sentencepiece(blob: Blob) -> SentencePieceFacts:
    """The facts of a SentencePiece model; a broken wire format is one of its problems."""
    window = Window(blob)
    seen: set[str] = set()
    repeated: list[str] = []
    problems: list[str] = []
    pieces = 0
    try:
        for field in fields(window, 0, blob.size):
            if field.number == 1 and field.wire == LENGTH:
                pieces += 1
                piece = _named(window, field, 1)
                if piece in seen and len(repeated) < 20:
                    repeated.append(piece)
                if len(seen) < _PIECES:
                    seen.add(piece)
            elif field.number in {3, 5} and field.wire == LENGTH:
                problems += _charsmap(window, field)
    except MalformedInput as error:
        problems.append(f"{error.message} (byte {error.offset})")
    return SentencePieceFacts(pieces=pieces, repeated=tuple(repeated), problems=tuple(problems))


def _charsmap(window: Window, normalizer: Field) -> list[str]:
    """The precompiled map begins with the size of its trie, in front of the trie itself."""
    for part in fields(window, normalizer.start, normalizer.end):
        if part.number == 2 and part.wire == LENGTH and part.size:
            trie = window.uint(part.start, 4) if part.size >= 4 else part.size
            if part.size <= 4 or trie >= part.size - 4 + 1 or trie % 4:
                return [f"the normaliser's map claims a trie of {trie} bytes in {part.size}"]
    return []
