"""Knows harm in a package's other files: .pth lines, programs, bytecode, pickles, JavaScript and npm scripts (PKG)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge.behaviour import sinks
from weighbridge.detect.package_places import START_MODULES, is_aside
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.schema import Finding

_LAUNCHERS: Final = lazy(r"(?:^|/)(?:[tw](?:32|64|64-arm)|(?:cli|gui)(?:-?\w+)?|simple_launcher\S*|launcher\S*)\.exe\Z")
_LIBRARIES: Final = lazy(
    r"\.(?:so(?:\.\d+)*|pyd|dll|dylib|a|lib|o|node|bundle|metallib|cubin|fatbin)\Z|\.so\.[\w.]+\Z|(?:^|/)lib[\w.+-]+\.so|\.cpython-|\.abi3"
)
_EXTENSION: Final = lazy(r"\.cpython-\d+[\w-]*\.so\Z|\.cp\d+-win\w+\.pyd\Z")
_PTH_KNOWN: Final = lazy(
    r"import _virtualenv\b|import sys, types, os;\s*has_mfs|import sys;\s*sys\.__plen|import os;\s*var = 'SETUPTOOLS_USE_DISTUTILS'|import __editable___\w+_finder;|import coloredlogs|import pywin32_bootstrap|import a1_coverage|import os, sys;exec\('try: import google\.cloud|import distutils-precedence|import _distutils_hack|import matplotlib;?$|import [\w.]*(?:pytest_cov|coverage)[\w.]*"
)


def detect_start(subject: PackageSubject) -> Iterator[Finding]:
    """Lines of .pth files, and modules that Python imports at its start."""
    for path, text in subject.paths.items():
        for number, line in enumerate(text.splitlines(), 1):
            if not line.startswith(("import ", "import\t")) or _PTH_KNOWN.search(line):
                continue
            bad = re.search(
                r"exec|eval|base64|compile|subprocess|os\.system|popen|urllib|requests|socket|marshal|zlib|b64|__import__|open\(",
                line,
                re.IGNORECASE,
            )
            severity = Severity.CRITICAL if bad else Severity.MEDIUM
            evidence = [Evidence(text=f"{number} | {printable(line[:160])}", culprit=True)]
            yield finding(
                "PKG-010",
                Location(path=path, line=number),
                "a .pth file runs code in every Python process",
                evidence=evidence,
                severity=severity,
            )
    for name, (path, _) in subject.modules.items():
        if START_MODULES.match(name):
            yield finding(
                "PKG-010",
                Location(path=path),
                "the package installs a module that Python imports at its start",
                severity=Severity.HIGH,
            )


def detect_files(subject: PackageSubject) -> Iterator[Finding]:
    """Programs, bytecode and pickles among the files."""
    for path in subject.programs:
        severity = Severity.MEDIUM if subject.pure else Severity.INFO
        yield finding("PKG-012", Location(path=path), "an executable program in a package", severity=severity)
    for path in subject.bytecode:
        yield finding("PKG-030", Location(path=path), "bytecode without its source")
    for path in subject.foreign:
        message = "the bytecode was made of another source than the one beside it"
        yield finding("PKG-030", Location(path=path), message, severity=Severity.HIGH)
    loads = [
        (name, call) for name, (_, code) in subject.modules.items() for call in code.calls if "L" in sinks(call.name)
    ]
    for path in subject.pickles:
        if loads and not is_aside(path[-1]):
            name, call = loads[0]
            yield finding(
                "PKG-013", Location(path=path), f"{name} calls {call.name}, and this pickle does more than hold data"
            )


def detect_natives(subject: PackageSubject) -> Iterator[Finding]:
    """What the headers of native files say against their names, and code that nobody can read."""
    for path, native in subject.natives.items():
        name = path[-1].rpartition("/")[2]
        reaching = f", which imports {', '.join(native.imports)}" if native.imports else ""
        if native.program and _LIBRARIES.search(name):
            message = f"a program that is named like a library{reaching}"
            yield finding("PKG-012", Location(path=path), message, evidence=[f"{native.kind} header: an executable"])
        elif _EXTENSION.search(name) and not native.modules and not native.program:
            message = f"an extension module that exports no PyInit function{reaching}"
            yield finding("PKG-012", Location(path=path), message, severity=Severity.MEDIUM)
        if native.packed:
            severity = Severity.HIGH if native.program else Severity.MEDIUM
            evidence = [f"{native.kind} header: {printable(part)}" for part in native.packed]
            yield finding(
                "PKG-012",
                Location(path=path),
                "code that is packed or changes itself",
                evidence=evidence,
                severity=severity,
            )


def is_program(name: str) -> bool:
    """Whether a native file of this name is a program of its own, and no extension module, library or known launcher."""
    return not _LIBRARIES.search(name) and not _LAUNCHERS.search(name)
