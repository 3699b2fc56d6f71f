"""Judges the JavaScript of packages, and what npm runs: what data reaches what, on installation, on import, or when it is called."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.knowledge.behaviour import EMBEDDED, HIDDEN_COMMAND, SURE_DROP_POINTS
from weighbridge.detect.knowledge.scripts import (
    ADDRESS,
    CLIENT_MODULES,
    DECODED_NAMES,
    DECODERS,
    DELETERS,
    FETCHES,
    INLINE,
    KEPT,
    PASSING_FOLDERS,
    PASTES,
    RUNS,
    RUNTIME,
    SENDING_COMMAND,
    WATCHERS,
    labels_of,
    script_label,
    script_sinks,
)
from weighbridge.detect.package_places import is_aside, script_at
from weighbridge.formats.javascript_flow import WALLET
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.formats.javascript_calls import ScriptCall
    from weighbridge.schema import Finding

Path = tuple[str, ...]
INSTALL, IMPORT, LAZY = "install", "import", "lazy"
_WHAT: Final = {
    "NX": "what is downloaded is run", "NP": "what is downloaded is started", "DX": "decoded text is run", "DP": "a decoded command is started",
    "ES": "the environment is sent away", "KS": "keys, wallets or a browser's secrets are sent away", "HS": "host and user are sent away",
    "CS": "what a command printed is sent away", "QX": "what a request carries is run", "QP": "what a request carries is started",
    "MX": "what is hidden in a picture or a sound is run", "kS": "what proves who somebody is, is sent away", "BX": "decoded text is run", "AS": "what is handed to a function of another package is sent away",
}  # fmt: skip
_WHEN: Final = {INSTALL: "on installation", IMPORT: "on import", LAZY: "when it is called"}
# How grave a flow is on import, and when it is called; on installation every one is critical.
_WEIGHTS: Final[dict[str, tuple[Severity, Severity | None]]] = {
    "NX": (Severity.HIGH, Severity.MEDIUM), "NP": (Severity.HIGH, Severity.MEDIUM), "DX": (Severity.HIGH, Severity.MEDIUM),
    "DP": (Severity.HIGH, Severity.MEDIUM), "ES": (Severity.HIGH, Severity.MEDIUM), "KS": (Severity.HIGH, Severity.HIGH),
    "HS": (Severity.MEDIUM, None), "CS": (Severity.MEDIUM, None), "QX": (Severity.HIGH, Severity.HIGH), "QP": (Severity.HIGH, Severity.HIGH),
    "MX": (Severity.HIGH, Severity.HIGH), "kS": (Severity.HIGH, None), "BX": (Severity.HIGH, Severity.MEDIUM), "AS": (Severity.HIGH, Severity.HIGH),
}  # fmt: skip
_ENTRIES: Final = ("main", "module", "browser", "exports", "bin")
_MOST: Final = 3
_SHORTEST: Final = 16
_SCRIPTS: Final = (".js", ".mjs", ".cjs")
# `node -e` that asks for a file of the package, and swallows the error where it is not there.
_OWN_SCRIPT: Final = lazy(
    r"""\s*node\s+-e\s+["']\s*(?:try\s*\{)?\s*require\(\s*['"`\\]+\.{1,2}/[\w./-]+['"`\\]+\s*\)\s*;?\s*(?:\}\s*catch\s*(?:\(\w*\))?\s*\{\s*\})?\s*["']\s*\Z"""
)


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
    named = [name for key in _ENTRIES for name in _names(table.get(key))]
    for name in [*named, "index"]:
        found = script_at(place, name, subject.scripts)
        if found is not None:
            yield found


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
    script = subject.scripts[path]
    started = (
        word.lstrip("/")
        for call in script.calls
        if "P" in script_sinks(call.name, set())
        for word in call.text.split()
        if word.endswith(_SCRIPTS)
    )
    for name in (*script.requires, *started):
        found = script_at(path, name, subject.scripts)
        if found is not None:
            yield found


def detect_flows(subject: PackageSubject) -> Iterator[Finding]:
    """What the calls of each script come to."""
    when = contexts(subject) if subject.scripts else {}
    called = Counter(name for path in when for name in subject.scripts[path].called)
    for path, script in sorted(subject.scripts.items()):
        context = when.get(path, LAZY)
        if (subject.kind != "npm" and context != INSTALL) or (context == LAZY and is_aside(path[-1])):
            continue
        # What nothing of its own script calls may be called by another that runs.
        own = script.called if path in when else frozenset[str]()
        later = [bool(call.within) and called[call.within] <= (call.within in own) for call in script.calls]
        told: set[str] = set()
        for at, waits in ((context, False), (LAZY, True)):
            calls = [call for call, late in zip(script.calls, later, strict=True) if late is waits]
            for said in _said(calls, at):
                if said.message not in told and len(told) < _MOST:
                    told.add(said.message)
                    yield _finding(path, at, said)


class _Said(NamedTuple):
    """What a call comes to, and the lines that show it."""

    message: str
    severity: Severity
    call: ScriptCall
    lines: list[str]


def _shown(call: ScriptCall) -> str:
    return f"{call.name}({call.text[:120]})"


def _finding(path: Path, context: str, said: _Said) -> Finding:
    line = said.call.line
    return finding(
        "PKG-011" if context == INSTALL else "PKG-019",
        Location(path=path, line=line),
        f"{said.message} {_WHEN[context]}",
        severity=said.severity,
        evidence=[
            Evidence(text=f"{path[-1]}:{line} | {printable(shown)}", culprit=number == 0)
            for number, shown in enumerate(said.lines)
        ],
    )


def _said(calls: Sequence[ScriptCall], context: str) -> Iterator[_Said]:
    grave = Severity.CRITICAL if context == INSTALL else Severity.HIGH
    for call in calls:
        labels = labels_of(call.origins)
        does = set(script_sinks(call.name, labels))
        for flow in (f"{source}{sink}" for sink in sorted(does) for source in sorted(labels)):
            severity = _weight(flow, context)
            if severity is not None and not _is_plain(flow, call):
                made = next((origin for origin in call.origins if flow[0] in script_label(origin)), "a connection")
                yield _Said(_WHAT[flow], severity, call, [f"{call.name}(…)", f"made of {made}"])
        yield from _alone(call, labels, does, context)
    yield from _together(calls, grave)


def _alone(call: ScriptCall, labels: set[str], does: set[str], context: str) -> Iterator[_Said]:
    """What a call says by its own words."""
    grave = Severity.CRITICAL if context == INSTALL else Severity.HIGH
    doing = _command(call, context) if "P" in does and call.text else ""
    if doing:
        yield _Said(f"a command {doing}", grave, call, [_shown(call)])
    if does & {"W", "P"} and context != LAZY and (kept := KEPT.search(" ".join((call.text, *call.origins)))):
        yield _Said(f"it installs itself into {printable(kept[0])}", grave, call, [_shown(call)])
    if call.name == "require" and DECODED_NAMES & set(call.origins):
        yield _Said("a module is asked for by a decoded name", Severity.HIGH, call, [f"{call.name}(…)"])
    if call.name == "import" and "data:text/javascript" in call.text and labels & {"N", "D", "B"}:
        yield _Said("what is downloaded or decoded is run", Severity.HIGH, call, [f"{call.name}({call.text[:80]} …)"])
    if "X" in does and EMBEDDED.search(call.text):
        yield _Said(
            "text that fetches or decodes what it runs is run",
            Severity.HIGH,
            call,
            [_shown(call)],
        )
    if call.name in DECODERS and (hidden := _hidden(call.text)):
        yield _Said(f"a hidden command {hidden}", Severity.HIGH, call, [_shown(call)])
    if call.name in DELETERS and set(call.origins) == {"os.homedir"}:
        yield _Said("the home of the user is deleted", Severity.HIGH, call, [f"{call.name}(os.homedir())"])
    point = SURE_DROP_POINTS.search(call.text)
    if point:
        lines = [f"{call.name}(… {point[0][:80]} …)"]
        yield _Said(f"the drop point {printable(point[0][:60])} is named", Severity.HIGH, call, lines)


def _weight(flow: str, context: str) -> Severity | None:
    if flow not in _WEIGHTS:
        return None
    hot, lazily = _WEIGHTS[flow]
    return {INSTALL: Severity.CRITICAL, IMPORT: hot}.get(context, lazily)


def _is_plain(flow: str, call: ScriptCall) -> bool:
    """What looks like a flow and is none: a client is given its options, a command its environment."""
    if flow == "QP":
        # A server may start programs by request; what is handed to a shell is something else.
        return not call.name.endswith((".exec", ".execSync"))
    if flow == "BX":
        # Loaders of modules are handed what they compile as bytes.
        return call.name.endswith("_compile")
    if flow == "AS":
        return any(origin.startswith(CLIENT_MODULES) for origin in call.origins)
    return flow == "ES" and not call.text and call.name.endswith((".request", ".create"))


def _hidden(text: str) -> str:
    """What is wrong with a command that stands in base64; empty where there is none."""
    for word in text.split()[:4]:
        if len(word) >= _SHORTEST:
            with suppress(ValueError):
                said = b64decode(word, validate=True).decode("utf-8")
                doing = shell.fetches_and_runs(said) or ("fetches what it runs" if HIDDEN_COMMAND.search(said) else "")
                if doing:
                    return doing
    return ""


def _command(call: ScriptCall, context: str) -> str:
    """What is wrong with a command that is started; empty where nothing is."""
    text = call.text
    if doing := shell.fetches_and_runs(text):
        return doing
    if HIDDEN_COMMAND.search(text):
        return "is hidden or fetches what it runs"
    if shell.destroys(text):
        return "destroys what its user owns"
    if EMBEDDED.search(text) and INLINE.search(text):
        return "starts an interpreter with code that fetches or decodes what it runs"
    if context == INSTALL and shell.LETS_IN.search(text):
        return "brings in or lets in somebody else"
    if context != LAZY and shell.AGENT_UNASKED.search(text):
        return "starts an agent that asks nobody"
    return "sends something away" if context == INSTALL and SENDING_COMMAND.search(text) else ""


def _together(calls: Sequence[ScriptCall], grave: Severity) -> Iterator[_Said]:
    """Calls that make harm together: a file that is fetched, written and started; a shell on a connection; an address in the clipboard."""
    written: set[str] = set()
    started = [call for call in calls if "P" in script_sinks(call.name, set())]
    for call in calls:
        labels = labels_of(call.origins)
        writes = "W" in script_sinks(call.name, labels) or any("createWriteStream" in origin for origin in call.origins)
        if writes and labels & {"N", "D"}:
            written |= {origin for origin in call.origins if origin.startswith("'") and "://" not in origin}
        connection = any(origin.startswith(("net.", "tls.", "ssh2.")) for origin in call.origins)
        if call.name.endswith(".pipe") and connection and any(o.startswith("child_process.") for o in call.origins):
            yield _Said("a shell is handed to a remote machine", grave, call, [f"{call.name}(…)"])
    fetching = next((call for call in started if FETCHES.match(call.text)), None)
    if fetching is not None and any(call.name.endswith(".pipe") for call in calls):
        shells = [call for call in started if RUNS.match(call.text)]
        if shells:
            yield _Said(
                "what a command fetches is run",
                grave,
                fetching,
                [_shown(fetching), f"{shells[0].name}({shells[0].text[:60]})"],
            )
    watcher = next((call for call in calls if WATCHERS.match(call.name)), None)
    if watcher is not None and any("S" in script_sinks(call.name, labels_of(call.origins)) for call in calls):
        yield _Said(
            "screen, keys or camera are watched where something is sent", Severity.HIGH, watcher, [f"{watcher.name}(…)"]
        )
    yield from _in_a_place(calls, started, grave)
    for call in (
        [call for call in calls if call.name in {"require", "process.dlopen"} or call in started] if written else ()
    ):
        if written & set(call.origins):
            yield _Said("a file is fetched, written and started", grave, call, [_shown(call)])
    for call in calls:
        if RUNTIME.search(call.text) and started and (script_sinks(call.name, set()) or "N" in script_label(call.name)):
            yield _Said("another runtime is fetched and started", grave, call, [_shown(call)])
        pastes = call.name.endswith("clipboard.writeText") or PASTES.match(call.name)
        if pastes and ADDRESS.search(call.text):
            yield _Said("an address in the clipboard is replaced", grave, call, [f"{call.name}({call.text[:80]})"])
    asked = next((call for call in calls if call.name == f"{WALLET}="), None)
    if asked is not None and any("eth_sendTransaction" in call.text or ADDRESS.search(call.text) for call in calls):
        yield _Said("what a page asks a wallet is changed on its way", grave, asked, [f"{WALLET} = …"])


def _in_a_place(calls: Sequence[ScriptCall], started: Sequence[ScriptCall], grave: Severity) -> Iterator[_Said]:
    """A file that is fetched into a folder for what passes, and started out of it: installers have one of their own."""
    fetched = any("N" in labels_of((call.name, *call.origins)) for call in calls)
    places: set[str] = set()
    for call in calls:
        if fetched and ("W" in script_sinks(call.name, set()) or call.name.endswith("createWriteStream")):
            places |= PASSING_FOLDERS & set(call.origins)
    for call in started:
        if places & set(call.origins):
            yield _Said("a file is fetched, written and started", grave, call, [_shown(call)])
            return


def detect_scripts(subject: PackageSubject) -> Iterator[Finding]:
    """JavaScript, and what npm runs on installation."""
    for path, said in subject.manifests.items():
        hooks = said.get("scripts")
        for hook in ("preinstall", "install", "postinstall", "prepare", "preuninstall"):
            command = hooks.get(hook) if isinstance(hooks, dict) else None
            # What prepares a package runs where it is made, and where it is installed out of a repository.
            if isinstance(command, str) and (hook != "prepare" or shell.fetches_and_runs(command)):
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
    doing = doing or ("brings in somebody else" if shell.LETS_IN.search(command) else "")
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
