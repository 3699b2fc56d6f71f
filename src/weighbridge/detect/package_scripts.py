"""Judges the JavaScript of packages: what data reaches what, and whether that happens on installation, on import, or when it is called."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.knowledge.behaviour import HIDDEN_COMMAND, SURE_DROP_POINTS
from weighbridge.detect.knowledge.scripts import (
    ADDRESS,
    RUNTIME,
    SENDING_COMMAND,
    labels_of,
    script_label,
    script_sinks,
)
from weighbridge.detect.package_places import is_aside
from weighbridge.formats.javascript_flow import WALLET
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.formats.javascript_calls import ScriptCall
    from weighbridge.schema import Finding

Path = tuple[str, ...]
INSTALL, IMPORT, LAZY = "install", "import", "lazy"
_WHAT: Final = {
    "NX": "what is downloaded is run", "NP": "what is downloaded is started", "DX": "decoded text is run", "DP": "a decoded command is started",
    "ES": "the environment is sent away", "KS": "keys, wallets or a browser's secrets are sent away", "HS": "host and user are sent away",
    "CS": "what a command printed is sent away",
}  # fmt: skip
_WHEN: Final = {INSTALL: "on installation", IMPORT: "on import", LAZY: "when it is called"}
_HIGH, _MEDIUM = Severity.HIGH, Severity.MEDIUM
# How grave a flow is on installation (critical throughout), on import, and when it is called.
_WEIGHTS: Final[dict[str, tuple[Severity, Severity | None, Severity | None]]] = {
    "NX": (Severity.CRITICAL, _HIGH, _MEDIUM), "NP": (Severity.CRITICAL, _HIGH, _MEDIUM), "DX": (Severity.CRITICAL, _HIGH, _MEDIUM),
    "DP": (Severity.CRITICAL, _HIGH, _MEDIUM), "ES": (Severity.CRITICAL, _HIGH, _MEDIUM), "KS": (Severity.CRITICAL, _HIGH, _HIGH),
    "HS": (Severity.CRITICAL, _MEDIUM, None), "CS": (Severity.CRITICAL, _MEDIUM, None),
}  # fmt: skip
_ENDINGS: Final = ("", ".js", ".cjs", ".mjs", ".ts", "/index.js", "/index.mjs", "/index.cjs")
_ENTRIES: Final = ("main", "module", "browser", "exports", "bin")
_MOST: Final = 3


def contexts(subject: PackageSubject) -> dict[Path, str]:
    """When each script runs; what nothing reaches is absent."""
    found: dict[Path, str] = {}
    entries = [path for place, table in subject.manifests.items() for path in _entries(subject, place, table)]
    for context, starts in ((IMPORT, entries), (INSTALL, list(subject.hooked))):
        waiting = [path for path in starts if path in subject.scripts]
        while waiting:
            path = waiting.pop()
            if found.get(path) == context:
                continue
            found[path] = context
            waiting += _required(subject, path)
    return found


def _entries(subject: PackageSubject, place: Path, table: dict[str, object]) -> Iterator[Path]:
    folder = posixpath.dirname(place[-1])
    named = [name for key in _ENTRIES for name in _names(table.get(key))]
    for name in [*named, "index.js", "index.mjs", "index.cjs"]:
        yield from _file(subject, place, posixpath.normpath(posixpath.join(folder, name)))


def _names(value: object) -> Iterator[str]:
    """Every path in an entry of a manifest: `exports` nests them."""
    waiting = [value]
    for _ in range(200):
        if not waiting:
            return
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            waiting += list(current.values())
        elif isinstance(current, list):
            waiting += current


def _required(subject: PackageSubject, path: Path) -> Iterator[Path]:
    folder = posixpath.dirname(path[-1])
    for name in subject.scripts[path].requires:
        yield from _file(subject, path, posixpath.normpath(posixpath.join(folder, name)))


def _file(subject: PackageSubject, beside: Path, name: str) -> Iterator[Path]:
    for ending in _ENDINGS:
        path = (*beside[:-1], f"{name}{ending}")
        if path in subject.scripts:
            yield path
            return


def detect_flows(subject: PackageSubject) -> Iterator[Finding]:
    """What the calls of each script come to."""
    when = contexts(subject) if subject.scripts else {}
    for path, script in sorted(subject.scripts.items()):
        context = when.get(path, LAZY)
        if (subject.kind != "npm" and context != INSTALL) or (context == LAZY and is_aside(path[-1])):
            continue
        told: set[str] = set()
        elsewhere = _called_elsewhere(subject, when, path) if any(call.within for call in script.calls) else frozenset()
        by_itself = tuple(call for call in script.calls if not call.within or call.within in elsewhere)
        later = tuple(call for call in script.calls if call.within and call.within not in elsewhere)
        found = [*((context, one) for one in _said(by_itself, context)), *((LAZY, one) for one in _said(later, LAZY))]
        for context, (message, severity, call, evidence) in found:
            if message in told or len(told) >= _MOST:
                continue
            told.add(message)
            rule = "PKG-011" if context == INSTALL else "PKG-019"
            yield finding(
                rule, Location(path=path, line=call.line), f"{message} {_WHEN[context]}", severity=severity,
                evidence=[Evidence(text=f"{path[-1]}:{call.line} | {printable(line)}", culprit=number == 0) for number, line in enumerate(evidence)],
            )  # fmt: skip


def _called_elsewhere(subject: PackageSubject, when: dict[Path, str], path: Path) -> frozenset[str]:
    """The names that other scripts call which run by themselves."""
    return frozenset().union(*(subject.scripts[other].called for other in when if other != path))


def _said(calls: tuple[ScriptCall, ...], context: str) -> Iterator[tuple[str, Severity, ScriptCall, list[str]]]:
    at = (INSTALL, IMPORT, LAZY).index(context)
    for call in calls:
        labels = labels_of(call.origins)
        does = script_sinks(call.name, labels)
        for flow in (f"{source}{sink}" for sink in does for source in sorted(labels)):
            severity = _WEIGHTS.get(flow, (None, None, None))[at]
            if severity is not None and not _is_plain(flow, call):
                made = next((origin for origin in call.origins if flow[0] in script_label(origin)), "a connection")
                yield _WHAT[flow], severity, call, [f"{call.name}(…)", f"made of {made}"]
        yield from _commands(call, does, context)
        point = SURE_DROP_POINTS.search(call.text)
        if point:
            yield (
                f"the drop point {printable(point[0][:60])} is named",
                Severity.HIGH,
                call,
                [f"{call.name}(… {point[0][:80]} …)"],
            )
    yield from _together(calls, context)


def _is_plain(flow: str, call: ScriptCall) -> bool:
    """What looks like a flow and is none: a client is given its options, a command its environment."""
    return flow == "ES" and not call.text and call.name.endswith((".request", ".create"))


def _commands(call: ScriptCall, does: str, context: str) -> Iterator[tuple[str, Severity, ScriptCall, list[str]]]:
    if "P" not in does or not call.text:
        return
    doing = shell.fetches_and_runs(call.text) or (
        "is hidden or fetches what it runs" if HIDDEN_COMMAND.search(call.text) else ""
    )
    if not doing and context == INSTALL and SENDING_COMMAND.search(call.text):
        doing = "sends something away"
    if doing:
        severity = Severity.CRITICAL if context == INSTALL else Severity.HIGH
        yield f"a command {doing}", severity, call, [f"{call.name}({call.text[:120]})"]


def _together(calls: tuple[ScriptCall, ...], context: str) -> Iterator[tuple[str, Severity, ScriptCall, list[str]]]:
    """Calls that make harm together: a file that is fetched, written and started; a shell on a connection; an address in the clipboard."""
    severity = Severity.CRITICAL if context == INSTALL else Severity.HIGH
    written: set[str] = set()
    for call in calls:
        labels = labels_of(call.origins)
        writes = "W" in script_sinks(call.name, labels) or any("createWriteStream" in origin for origin in call.origins)
        if writes and labels & {"N", "D"}:
            written |= {origin for origin in call.origins if origin.startswith("'") and "://" not in origin}
        connection = any(origin.startswith(("net.", "tls.")) for origin in call.origins)
        if call.name.endswith(".pipe") and connection and any(o.startswith("child_process.") for o in call.origins):
            yield "a shell is handed to a remote machine", severity, call, [f"{call.name}(…)"]
    if written:
        for call in calls:
            starts = call.name == "require" or "P" in script_sinks(call.name, set())
            if starts and written & set(call.origins):
                yield "a file is fetched, written and started", severity, call, [f"{call.name}({call.text[:120]})"]
    fetched = next(
        (c for c in calls if RUNTIME.search(c.text) and (script_sinks(c.name, set()) or "N" in script_label(c.name))),
        None,
    )
    if fetched is not None and any("P" in script_sinks(c.name, set()) for c in calls):
        yield "another runtime is fetched and started", severity, fetched, [f"{fetched.name}({fetched.text[:120]})"]
    asked = next((c for c in calls if c.name == f"{WALLET}="), None)
    if asked is not None and any("eth_sendTransaction" in c.text or ADDRESS.search(c.text) for c in calls):
        yield "what a page asks a wallet is changed on its way", severity, asked, [f"{WALLET} = …"]
    replaced = next((c for c in calls if c.name.endswith("clipboard.writeText") and ADDRESS.search(c.text)), None)
    if replaced is not None:
        yield "an address in the clipboard is replaced", severity, replaced, [f"{replaced.name}({replaced.text[:80]})"]
