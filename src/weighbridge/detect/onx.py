"""Knows what is wrong with ONNX and ONNX Runtime models (ONX)."""

from __future__ import annotations

import math
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.branches import drawn, hidden_branches
from weighbridge.detect.place import leaves
from weighbridge.formats.onnx import BITS, DEPTH, STRING
from weighbridge.rules.finding import finding
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable
from weighbridge.source import Oddity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import FactsSubject, RepositorySubject, TreeSubject
    from weighbridge.formats.onnx import OnnxFacts, Tensor
    from weighbridge.schema import Finding

_STANDARD: Final = frozenset({"", "ai.onnx"})
_DOMAINS: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft",
     "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc", "com.microsoft.dml"}
)  # fmt: skip
_PYTHON: Final = frozenset({"PythonOp", "PythonOpGrad", "PyOp", "PyCustomOp"})
_KEYS: Final = frozenset({"location", "offset", "length", "checksum", "basepath"})
_OVERWRITES: Final = lazy(
    r"(?:\.(?:py|sh|json|onnx|txt|md|cfg|toml|yaml|yml|so|dll|exe|bashrc|profile|pth)|(?:^|/)\.[\w-]+)\Z", re.IGNORECASE
)
_CODE: Final = lazy(
    r"_target_|__import__|\b(?:exec|eval)\s*\(|os\.system|subprocess|powershell|<script|curl\s+\S*https?://|\.so\b.*(?:load|dlopen)",
    re.IGNORECASE,
)
_BASE64: Final = lazy(r"[A-Za-z0-9+/]{1024,}={0,2}")
_TRIPS: Final = 1 << 40
_ELEMENTS: Final = 1 << 48
_SHOWN: Final = 5


@cache
def _operators() -> frozenset[str]:
    with open(os.path.join(os.path.dirname(__file__), "knowledge", "operators", "onnx.txt"), encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.startswith("  ")]
    return frozenset(word for line in lines for word in line.split())


def detect_onnx(subject: FactsSubject) -> Iterator[Finding]:
    """One model."""
    facts: OnnxFacts = subject.facts
    yield from _external(subject, facts)
    yield from _nodes(subject, facts)
    yield from _functions(subject, facts)
    yield from _sizes(subject, facts)
    for branch in hidden_branches(facts.graph):
        message = f"{branch.comparison.op} on the input decides what {printable(branch.output)} is, past the network"
        yield finding("ONX-009", subject.location, message, evidence=drawn(branch))
    if facts.depth > DEPTH // 2:
        yield finding("ONX-011", subject.location, f"graphs are nested {facts.depth} deep")
    for key, value in facts.notes:
        match = _CODE.search(value) or _BASE64.search(value)
        if match and len(value) < 1 << 20:
            shown = printable(value[max(0, match.start() - 20) : match.start() + 100])
            yield finding(
                "ONX-013", subject.location, f"{printable(key[:60])} holds code or an encoded blob", evidence=[shown]
            )


def _external(subject: FactsSubject, facts: OnnxFacts) -> Iterator[Finding]:
    told: set[str] = set()
    for tensor in facts.tensors:
        values = dict(tensor.external)
        odd = [key for key, _ in tensor.external if key not in _KEYS]
        if odd and "keys" not in told:
            told.add("keys")
            yield finding(
                "ONX-004",
                subject.location,
                f"{_name(tensor)} has the unknown key {printable(odd[0])!r} for external data",
            )
        for key in ("offset", "length"):
            text = values.get(key, "0")
            if not text.isdigit() and key not in told:
                told.add(key)
                yield finding(
                    "ONX-004",
                    subject.location,
                    f"{_name(tensor)}: the {key} of its external data is {printable(text[:40])!r}",
                )
        for place in [value for key, value in tensor.external if key == "location" and value and value not in told]:
            told.add(place)
            yield from _location(subject, tensor, place)


def _location(subject: FactsSubject, tensor: Tensor, place: str) -> Iterator[Finding]:
    if leaves(place) or "://" in place or "\0" in place:
        message = f"the data of {_name(tensor)} is read from {printable(place)!r}"
        yield finding("ONX-001", subject.location, message)
    if _OVERWRITES.search(place):
        message = f"saving the model writes the data of {_name(tensor)} into {printable(place)!r}"
        yield finding("ONX-002", subject.location, message)


def _name(tensor: Tensor) -> str:
    return printable(tensor.name[:80]) or "a tensor"


def _nodes(subject: FactsSubject, facts: OnnxFacts) -> Iterator[Finding]:
    own = {(function.domain, function.name) for function in facts.functions}
    told: set[tuple[str, str]] = set()
    for node in facts.graph.nodes:
        key = (node.domain, node.op)
        if node.op in {"Loop", "Scan"}:
            trips = [value for _, value in node.numbers if value > _TRIPS]
            if trips:
                yield finding("ONX-011", subject.location, f"{node.op} {printable(node.name)} runs {trips[0]} times")
        if key in told:
            continue
        told.add(key)
        if node.op in _PYTHON or (node.domain == "ai.onnx.contrib" and "py" in node.op.lower()):
            yield finding("ONX-006", subject.location, f"the operator {printable(node.op)} calls Python")
        elif node.op == "EPContext" or "EPContext" in node.op:
            yield from _compiled(subject, node)
        elif node.domain not in _DOMAINS and key not in own:
            rule = "ONX-008" if "trt" in node.domain.lower() or "plugin" in node.domain.lower() else "ONX-005"
            message = (
                f"the operator {printable(node.op)} of the domain {printable(node.domain)} comes from a library outside"
            )
            yield finding(rule, subject.location, message)
        elif node.domain in _STANDARD and key not in own and node.op not in _operators():
            yield finding("ONX-005", subject.location, f"no schema is known for the operator {printable(node.op)}")


def _compiled(subject: FactsSubject, node: Any) -> Iterator[Finding]:
    blob = node.text_of("ep_cache_context")
    embedded = dict(node.numbers).get("embed_mode", 1) == 1
    what = "a compiled blob" if embedded else f"the file {printable(blob[:80])!r}"
    yield finding("ONX-007", subject.location, f"EPContext runs {what}", evidence=[printable(blob[:80])])


def _functions(subject: FactsSubject, facts: OnnxFacts) -> Iterator[Finding]:
    for function in facts.functions[:1000]:
        if function.domain in _STANDARD:
            known = "a standard operator" if function.name in _operators() else "the standard domain"
            message = f"the function {printable(function.name)} stands in for {known}"
            yield finding("ONX-010", subject.location, message)


def _sizes(subject: FactsSubject, facts: OnnxFacts) -> Iterator[Finding]:
    told = 0
    for tensor in facts.tensors:
        count = math.prod(tensor.dims) if all(dim >= 0 for dim in tensor.dims) else -1
        if count < 0 or count > _ELEMENTS:
            message = f"{_name(tensor)} has the shape {list(tensor.dims)[:6]}"
        elif (
            tensor.kind in BITS
            and tensor.held >= 0
            and tensor.held
            and (count * BITS[tensor.kind] + 7) // 8 != tensor.held
        ):
            message = f"{_name(tensor)} needs {(count * BITS[tensor.kind] + 7) // 8} bytes and holds {tensor.held}"
        elif tensor.kind and tensor.kind not in BITS and tensor.kind != STRING:
            message = f"{_name(tensor)} is of the unknown type {tensor.kind}"
        else:
            continue
        told += 1
        if told <= _SHOWN:
            yield finding("ONX-012", subject.location, message)


def detect_broken(subject: FactsSubject) -> Iterator[Finding]:
    """A model whose wire format breaks."""
    yield finding("SCN-002", subject.location, f"{subject.kind}: {subject.facts}")


def detect_ort(subject: FactsSubject) -> Iterator[Finding]:
    """An ONNX Runtime model."""
    for domain, operator in subject.facts.operators:
        if operator in _PYTHON:
            yield finding("ONX-006", subject.location, f"the operator {printable(operator)} calls Python")
        elif domain not in _DOMAINS:
            message = (
                f"the operator {printable(operator)} of the domain {printable(domain)} comes from a library outside"
            )
            yield finding("ONX-005", subject.location, message)
    for problem in subject.facts.problems:
        yield finding("ONX-017", subject.location, problem)


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """External data against the files beside the model: links, and ranges beyond the end."""
    links = {name for name, _ in subject.of("link")}
    sizes = dict(subject.of("size"))
    for name, tensors in subject.of("external data"):
        ends: dict[str, int] = {}
        for tensor, values in tensors:
            place = values.get("location", "")
            offset, length = values.get("offset", "0"), values.get("length", "0")
            if place in links and place not in ends:
                yield finding(
                    "ONX-003",
                    subject.place(place),
                    f"the data of {printable(tensor)} in {printable(name)} is behind a link",
                )
            if offset.isdigit() and length.isdigit() and len(offset) < 20 and len(length) < 20:
                ends[place] = max(ends.get(place, 0), int(offset) + int(length))
        for place, end in sorted(ends.items()):
            if place in sizes and end > sizes[place]:
                message = f"{printable(name)} reads up to byte {end} of {sizes[place]}"
                yield finding("ONX-004", subject.place(place), message)


def detect_archive(subject: TreeSubject) -> Iterator[Finding]:
    """An archive of models or test data."""
    if subject.format == "folder" or not any(entry.name.endswith((".onnx", ".pb")) for entry in subject.entries):
        return
    for anomaly in subject.anomalies:
        if anomaly.oddity in {Oddity.TRAVERSAL, Oddity.LINK_ESCAPE}:
            yield finding("ONX-016", subject.location, f"{printable(anomaly.name)}: {anomaly.oddity.value}")
