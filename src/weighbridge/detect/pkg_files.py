"""Knows harm in a package's other files: .pth lines, programs, bytecode, pickles, JavaScript and npm scripts (PKG)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.knowledge.behaviour import HIDDEN_COMMAND, sinks
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


def detect_scripts(subject: PackageSubject) -> Iterator[Finding]:
    """JavaScript, and what npm runs on installation."""
    for path, said in subject.manifests.items():
        hooks = said.get("scripts")
        for hook in ("preinstall", "install", "postinstall", "prepare", "preuninstall"):
            command = hooks.get(hook) if isinstance(hooks, dict) else None
            if isinstance(command, str) and hook != "prepare":
                yield from _hook(path, hook, command)
    for path, script in subject.scripts.items():
        marks = script.marks
        hooked = path in subject.hooked
        if script.obfuscation > 4 and ({"runs", "process", "network", "decodes"} & marks.keys()):
            severity = Severity.CRITICAL if hooked or subject.kind != "npm" else Severity.HIGH
            yield finding(
                "PKG-012",
                Location(path=path),
                f"an obfuscated script ({script.obfuscation:.0f} marks in 1,000 characters)",
                severity=severity,
            )
        elif subject.kind == "npm" or hooked:
            yield from _script(path, marks, hooked=hooked)


def _script(path: tuple[str, ...], marks: dict[str, int], *, hooked: bool) -> Iterator[Finding]:
    chains = (
        ({"publishes", "secrets"}, "it publishes itself with stolen tokens", Severity.CRITICAL), ({"runtime", "process"}, "another runtime is named beside a process", Severity.MEDIUM),
        ({"secrets", "network"}, "secrets are named beside a connection", Severity.CRITICAL), ({"environment", "network"}, "the environment is read beside a connection", Severity.MEDIUM),
        ({"identity", "network"}, "host and user are read beside a connection", Severity.MEDIUM), ({"decodes", "runs"}, "text is decoded, and text is run", Severity.MEDIUM),
    )  # fmt: skip
    for needed, message, severity in chains:
        if needed <= marks.keys() and (hooked or needed == {"publishes", "secrets"}):
            line = min(marks[mark] for mark in needed)
            yield finding(
                "PKG-011" if hooked else "PKG-019",
                Location(path=path, line=line),
                message,
                severity=severity if hooked else Severity.MEDIUM,
                evidence=[f"line {marks[mark]}: {mark}" for mark in sorted(needed)],
            )
            return


def _hook(path: tuple[str, ...], hook: str, command: str) -> Iterator[Finding]:
    doing = shell.fetches_and_runs(command) or ("is hidden or fetches" if HIDDEN_COMMAND.search(command) else "")
    known = re.match(
        r"\s*(?:node-gyp|prebuild-install|node-pre-gyp|husky|patch-package|opencollective|is-ci|exit 0|echo|tsc|npm run|node-gyp-build)\b",
        command,
    )
    if known and not doing:
        return
    severity = (
        Severity.CRITICAL
        if doing
        or (
            not _OWN_SCRIPT.match(command)
            and re.search(r"curl|wget|base64|bun\b|powershell|node\s+-e|python\s+-c", command)
        )
        else Severity.MEDIUM
    )
    yield finding(
        "PKG-011",
        Location(path=path),
        f"{hook} {doing or 'runs'}: {printable(command[:120])}",
        severity=severity,
        evidence=[f"{hook}: {printable(command[:160])}"],
    )


# `node -e` that asks for a file of the package, and swallows the error where it is not there.
_OWN_SCRIPT: Final = lazy(
    r"""\s*node\s+-e\s+["']\s*(?:try\s*\{)?\s*require\(\s*['"`\\]+\.{1,2}/[\w./-]+['"`\\]+\s*\)\s*;?\s*(?:\}\s*catch\s*(?:\(\w*\))?\s*\{\s*\})?\s*["']\s*\Z"""
)


def is_program(name: str) -> bool:
    """Whether a native file of this name is a program of its own, and no extension module, library or known launcher."""
    return not _LIBRARIES.search(name) and not _LAUNCHERS.search(name)
