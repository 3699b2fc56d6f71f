"""Knows what is wrong with native, compiled and other network formats (NAT)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.place import in_document, in_text, leaves
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import (
        DocumentSubject,
        FactsSubject,
        LinesSubject,
        RepositorySubject,
    )
    from weighbridge.schema import Finding, Location

_PYTHON_LAYER: Final = re.compile(r"\btype\s*:\s*[\"']Python[\"']")
_SOURCE: Final = re.compile(r"\b(?:source|mean_file|module|root_folder)\s*:\s*[\"']([^\"']+)[\"']")
_LIBRARY: Final = re.compile(r"\.(?:so(?:\.\d+)*|dll|dylib)\Z")
_KERNELS: Final = re.compile(r"\.(?:cu|cuh|ptx|cubin|fatbin|hsaco|metal|metallib|cl)\Z")
_MODEL_MARKS: Final = frozenset(
    {"config.json", "model_index.json", "modules.json", "adapter_config.json", "model.json"}
)


def detect_tensorrt(subject: FactsSubject) -> Iterator[Finding]:
    """An engine is native code by design; an executable inside one is not."""
    for text, offset in subject.facts.found:
        yield finding(
            "NAT-001",
            subject.location.at(offset),
            f"an executable inside the engine ({printable(text[:4])})",
            severity=Severity.CRITICAL,
        )
    yield finding("NAT-001", subject.location.at(0), "a compiled engine, which runs as native code")


def detect_bitstream(subject: FactsSubject) -> Iterator[Finding]:
    """A configuration of hardware."""
    yield finding("NAT-013", subject.location.at(0), "a bitstream for programmable hardware")


def detect_coreml(subject: FactsSubject) -> Iterator[Finding]:
    """A Core ML model."""
    for name in subject.facts.custom:
        yield finding(
            "NAT-004", subject.location, f"the class {printable(name) or '(without a name)'} of the host program runs"
        )
    for file in subject.facts.linked:
        if file:
            severity = None if leaves(file) else Severity.MEDIUM
            yield finding(
                "NAT-004", subject.location, f"the model is linked to the file {printable(file)!r}", severity=severity
            )


def detect_package(subject: DocumentSubject) -> Iterator[Finding]:
    """`Manifest.json` of an `.mlpackage`."""
    for path, key, value in walk(subject.document.roots):
        if key == "path" and isinstance(value, str) and leaves(value):
            yield in_document("NAT-004", subject, path, key, value, "an item of the package lies outside")


def detect_operators(subject: FactsSubject) -> Iterator[Finding]:
    """Paddle programs and Caffe weights."""
    for operator in subject.facts.operators:
        if subject.kind == "paddle" and operator in {"py_func", "py_layer", "pyramid_hash_py"}:
            yield finding("NAT-008", subject.location, f"the operator {operator} calls Python")
        elif subject.kind == "caffe" and operator == "Python":
            yield finding("NAT-006", subject.location, "a Python layer")


def detect_prototxt(subject: LinesSubject) -> Iterator[Finding]:
    """Caffe's text format."""
    for number, line in enumerate(subject.text.split("\n"), 1):
        if _PYTHON_LAYER.search(line):
            yield in_text("NAT-006", subject.location, subject.text, number, "a Python layer imports a module")
            continue
        match = _SOURCE.search(line)
        if match and leaves(match[1]) and "layer" in subject.text:
            yield in_text(
                "NAT-006", subject.location, subject.text, number, "a path leaves the model", severity=Severity.MEDIUM
            )


def detect_mxnet(subject: DocumentSubject) -> Iterator[Finding]:
    """A symbol file of MXNet."""
    for path, key, value in walk(subject.document.roots):
        if key == "op" and value in {"Custom", "_CustomFunction", "_Native", "_NDArray"}:
            yield in_document("NAT-007", subject, path, key, value, "a custom operator of the host program runs")
        elif key in {"op_lib", "library", "lib_path"} and isinstance(value, str):
            yield in_document("NAT-007", subject, path, key, value, "a library is loaded")


def detect_plugins(subject: DocumentSubject) -> Iterator[Finding]:
    """Configurations that name native libraries (TensorRT-LLM, ModelOpt and others)."""
    if not re.search(r"\.so\b|\.dll\b|\.dylib\b", subject.text) or "hub" not in subject.roles:
        return
    for path, key, value in walk(subject.document.roots):
        if isinstance(value, str) and _LIBRARY.search(value):
            yield in_document("NAT-002", subject, path, key, value, "a native library is named")


def detect_torch7(subject: FactsSubject) -> Iterator[Finding]:
    """A Torch7 file."""
    for _, offset in subject.facts.found[:3]:
        yield finding("NAT-009", subject.location.at(offset), "compiled Lua, which loading brings to life")


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """Kernels and scripts beside a model."""
    if not (_MODEL_MARKS & subject.names):
        return
    for name in sorted(subject.names):
        if " » " in name:
            continue
        if _KERNELS.search(name):
            yield finding("NAT-012", subject.place(name), "a GPU kernel in a model repository")
        elif name.endswith((".js", ".mjs")) and "model.json" not in subject.names:
            yield finding("NAT-014", subject.place(name), "JavaScript in a model repository", severity=Severity.MEDIUM)


def detect_openvino(subject: FactsSubject) -> Iterator[Finding]:
    """OpenVINO IR: extension layers and ranges beyond the weights."""
    markup = subject.facts
    if markup.root != "net":
        return
    for element in markup.elements:
        values = element.attributes
        library = next((v for k, v in values.items() if _LIBRARY.search(v) or k in {"library", "extension"}), "")
        if library:
            yield finding("NAT-003", _at(subject, element.line), f"the library {printable(library)!r} is loaded")
        if element.name == "layer" and values.get("version", "").startswith(("extension", "custom")):
            yield finding(
                "NAT-003",
                _at(subject, element.line),
                f"the layer type {printable(values.get('type', ''))} needs an extension",
            )
        for key in ("offset", "size"):
            if key in values and not values[key].isdigit():
                yield finding("NAT-003", _at(subject, element.line), f"{key} is {printable(values[key][:40])!r}")


def _at(subject: FactsSubject, line: int) -> Location:
    return replace(subject.location, line=line)
