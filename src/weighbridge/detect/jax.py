"""Knows what is wrong with Flax and Orbax checkpoints (JAX)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.place import in_text
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import FactsSubject, LinesSubject, MsgpackSubject, TextSubject
    from weighbridge.schema import Finding

_CALLBACK: Final = re.compile(r"python\w*callback|py_?func|pure_callback|io_callback", re.IGNORECASE)
_CUSTOM_CALL: Final = re.compile(r"custom_call\s*@?\"?([\w.$]+)|call_target_name\s*=\s*\"([\w.$]+)\"")
_OWN_TARGETS: Final = re.compile(
    r"(?:Sharding|SPMD\w+|mhlo\.|stablehlo\.|chlo\.|cu_threefry2x32\w*|cu\w+_ffi|lapack_\w+|cusolver_\w+|cublas\w*|hipsolver_\w+|TopK|ApproxTopK|Eigh|Qr|LuDecomposition|ProductOf\w+|__cudnn\$\w+|__gpu\$\w+|AllocateBuffer|annotate_device_placement|shape_assertion|tpu_custom_call)"
)
_FLAX: Final = frozenset({1, 2, 3})
_TIMESTAMP: Final = -1
_ORBAX: Final = ("_METADATA", "_CHECKPOINT_METADATA", ".zarray", "zarr.json", "_sharding")
_REMOTE: Final = ("gs://", "s3://", "http://", "https://", "file://")
_REMOTE_DRIVERS: Final = frozenset({"gcs", "s3", "http", "gfile"})
_HANDLERS: Final = ("orbax.", "jax.", "flax.", "numpy", "jaxlib.", "np.", "scalar", "string", "int", "float", "None")


def detect_exported(subject: FactsSubject) -> Iterator[Finding]:
    """A StableHLO program: the targets of its custom calls."""
    for text, offset in subject.facts.found:
        if _CALLBACK.search(text):
            yield finding(
                "JAX-007",
                subject.location.at(offset),
                f"the program calls back into Python ({text})",
                severity=Severity.CRITICAL,
            )
        elif not _OWN_TARGETS.match(text):
            yield finding("JAX-007", subject.location.at(offset), f"the program calls {text} of the host")


def detect_text(subject: LinesSubject) -> Iterator[Finding]:
    """The same as MLIR text."""
    told: set[str] = set()
    for match in _CUSTOM_CALL.finditer(subject.text):
        name = match[1]
        if name in told or _OWN_TARGETS.match(name):
            continue
        told.add(name)
        line = subject.text.count("\n", 0, match.start()) + 1
        bad = _CALLBACK.search(name)
        message = f"the program calls {'back into Python' if bad else 'the host'}: {printable(name)}"
        severity = Severity.CRITICAL if bad else None
        yield in_text("JAX-007", subject.location, subject.text, line, message, severity=severity)


def detect_msgpack(subject: MsgpackSubject) -> Iterator[Finding]:
    """One msgpack file."""
    facts = subject.facts
    for extension in facts.extensions:
        if extension.code not in _FLAX and extension.code != _TIMESTAMP:
            yield finding("JAX-001", subject.location.at(extension.offset), f"an extension of type {extension.code}")
        if extension.dtype in {"O", "object", "|O", "|O8"}:
            yield finding("JAX-003", subject.location.at(extension.offset), "an array of Python objects")
    if facts.limit:
        yield finding("JAX-004", subject.location.at(facts.end), f"the tree exceeds the bound on {facts.limit}")
    elif facts.broken:
        rule = "JAX-004" if "claimed" in facts.broken else "SCN-002"
        yield finding(rule, subject.location.at(facts.end), facts.broken, severity=Severity.MEDIUM)
    elif facts.end < subject.size:
        yield finding("JAX-002", subject.location.at(facts.end), f"{subject.size - facts.end} bytes behind the tree")


def detect_orbax(subject: TextSubject) -> Iterator[Finding]:
    """Orbax and TensorStore metadata: drivers, paths and handlers."""
    if not subject.location.path[-1].rsplit("/", 1)[-1].startswith(_ORBAX):
        return
    try:
        waiting = [json.loads(subject.whole())]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            yield from _specification(subject, value)


def _specification(subject: TextSubject, value: dict[str, object]) -> Iterator[Finding]:
    driver = value.get("driver")
    path = next(
        (value[key] for key in ("path", "base", "base_url", "bucket", "kvstore") if isinstance(value.get(key), str)), ""
    )
    text = str(path)
    outside = text.startswith((*_REMOTE, "/")) or ".." in text.split("/")
    if (isinstance(driver, str) and driver in _REMOTE_DRIVERS) or (outside and (driver or "kvstore" in value)):
        yield finding("JAX-005", subject.location, f"driver {driver!r} with {printable(text)!r}")
    for key in ("handler_typestr", "type_handler", "custom_handler", "value_type", "skip_deserialize_handler"):
        handler = value.get(key)
        if isinstance(handler, str) and "." in handler and not handler.startswith(_HANDLERS):
            yield finding("JAX-006", subject.location, f"{key} names {printable(handler)!r}")
