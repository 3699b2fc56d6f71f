"""Knows what a member's name and signature alone say, for families whose readers are not needed for it.

These run for every member, so this module loads nothing but expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.rules.finding import finding
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import MemberSubject
    from weighbridge.schema import Finding

_JUPYTER: Final = re.compile(
    r"(?:^|/)(?:\.ipynb_checkpoints/|jupyter_(?:notebook|server|lab)?_?config\.(?:py|json)$|ipython_(?:kernel_)?config\.py$|profile_default/startup/)"
)
_COMPILED: Final = re.compile(r"(?:^|/)(?:deploy_lib|mod|model|lib\w*|net)\w*\.(?:so|dylib|dll)\Z|\.vmfb\Z")


def detect_jupyter(subject: MemberSubject) -> Iterator[Finding]:
    """Files that Jupyter itself picks up."""
    match = _JUPYTER.search(subject.location.path[-1])
    if match:
        yield finding("NBK-008", subject.location, f"Jupyter picks up {printable(match[0].strip('/'))}")


def detect_gguf(subject: MemberSubject) -> Iterator[Finding]:
    """What lies in front of, behind or instead of a GGUF file."""
    found = subject.identity.format
    if found == "gguf" and subject.identity.also:
        yield finding("GGF-015", subject.location, f"the file is also {' and '.join(subject.identity.also)}")
    elif found == "ggml":
        yield finding(
            "GGF-019",
            subject.location.at(0),
            "a container of llama.cpp before GGUF",
            evidence=[subject.head[:4].hex(" ")],
        )
    elif subject.head[:6] == b"MZqFpD" or (
        subject.identity.executable and subject.location.path[-1].endswith(".llamafile")
    ):
        yield finding("GGF-016", subject.location.at(0), "a program for several systems that carries a model")


def detect_native(subject: MemberSubject) -> Iterator[Finding]:
    """Compiled models and WebAssembly, by content and name."""
    name = subject.location.path[-1]
    if (subject.identity.format in {"elf", "mach-o", "pe"} or name.endswith(".vmfb")) and _COMPILED.search(name):
        yield finding("NAT-005", subject.location, "a model compiled to a library of native code")
    elif subject.identity.format == "wasm":
        yield finding("NAT-014", subject.location, "a WebAssembly module")


def detect_library(subject: MemberSubject) -> Iterator[Finding]:
    """A shared library beside a SavedModel."""
    path = subject.location.path[-1]
    if subject.identity.format == "elf" and "/assets.extra/" in path:
        yield finding("TFL-005", subject.location, "a library of operators lies in the SavedModel")


def detect_appended(subject: MemberSubject) -> Iterator[Finding]:
    """A zip behind a TFLite model: metadata files by design, and room for others."""
    if subject.identity.format == "tflite" and "zip" in subject.identity.also:
        yield finding("TFL-013", subject.location, "a zip is appended to the model; its members are inspected")
