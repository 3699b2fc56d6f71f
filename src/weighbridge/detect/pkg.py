"""Knows harm in packages: on installation, at start, on import and later (PKG). Evidence is the chain of lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.knowledge.behaviour import (
    BROWSERS,
    DROP_POINTS,
    EMBEDDED,
    HIDDEN_COMMAND,
    MESSENGERS,
    PERSISTENCE,
    RUNS_FILE,
    SECRET_FILES,
    SHELLCODE,
    SURE_DROP_POINTS,
    TELLING,
    TOGETHER,
    WALLETS,
    is_harmless_command,
    label,
    sinks,
)
from weighbridge.detect.package_chains import FLOWS, contexts, gravest, parts_of, words_of
from weighbridge.detect.package_flow import IMPORT, INSTALL, LAZY, START, sinks_of
from weighbridge.detect.package_places import is_aside
from weighbridge.formats.python_source import HOME
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.formats.behaviour import Behaviour
    from weighbridge.formats.python_source import Call, Text
    from weighbridge.schema import Finding

_WHEN: Final = {START: "when Python starts", INSTALL: "on installation", IMPORT: "on import", LAZY: "when it is called"}
_HIDDEN: Final = lazy(r"exec|eval|import|os\.|subprocess|requests|base64|;")
_FETCHES: Final = lazy(
    r"(?:curl|wget|invoke-webrequest|iwr|start-bitstransfer|aria2c)\b[^\n]{0,400}(?:https?:|\$|\{\}|ftp:)",
    re.IGNORECASE,
)
_RUNS_IT: Final = lazy(
    r"(?:&&|;|\||\n)\s*(?:sudo\s+|nohup\s+|setsid\s+)*(?:chmod|(?:ba|z)?sh|python[\d.]*|node|bun|deno|perl|ruby|start|\./|/tmp/)",
    re.IGNORECASE,
)
_ADDRESS: Final = lazy(r"(?<=@ )https?://\S+|(?<=@)https?://\S+|\A(?:http|ftp)s?://\S+")
_PIP: Final = lazy(r"pip\.(?:main|_internal(?:\.cli\.main)?\.main)\Z|_internal\.cli\.main\.main\Z")
_INDEX: Final = lazy(r"(?m)^[ \t]*+(?:extra-)?index-url\s*=\s*http://|^[ \t]*+trusted-host\s*=|^registry\s*=\s*http://")
_NUMBERED: Final = lazy(r"https?://(?:\d+\.){3}\d+")
_FROM_FILES: Final = lazy(r"open|read|compile\Z|getsource|Path|load|get_data|<parameter>|format\Z|join\Z|dedent")
_SHOWN: Final = 6


def detect_package(subject: PackageSubject) -> Iterator[Finding]:
    """Everything about one package, with the chains through its files."""
    when = contexts(subject)
    told: set[tuple[str, int]] = set()
    yield from _chains(subject, when, told)
    yield from _dropped(subject, when)
    for name, (_, code) in sorted(subject.modules.items()):
        yield from _calls(subject, name, code, when, told)
        yield from _texts(subject, name, code, when)
        yield from _together(subject, name, code, when)
        yield from _readability(subject, name, code, when)


def _chains(subject: PackageSubject, sure: dict[tuple[str, str], str], told: set[tuple[str, int]]) -> Iterator[Finding]:
    for chain, severity in gravest(subject, sure):
        told.add((chain.module, chain.call.line))
        rule = "PKG-009" if chain.context == INSTALL else "PKG-010" if chain.context == START else "PKG-019"
        yield _at(
            subject,
            rule,
            chain.module,
            chain.call.line,
            f"{FLOWS[chain.flow].what} {_WHEN[chain.context]}",
            severity,
            chain.steps,
        )


def _dropped(subject: PackageSubject, contexts: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """A file that is fetched or decoded, written, and started, all in one context, over any number of files."""
    flow = subject.flow
    for context in (START, INSTALL, IMPORT):
        written: list[tuple[str, Call]] = []
        started: list[tuple[str, Call]] = []
        for name, module in flow.modules.items():
            for call in module.calls:
                if contexts.get((name, call.scope)) != context:
                    continue
                does, labels = flow.does(call, name), flow.labels(call.origins, name, call.scope)
                # What is decoded and handed on may end anywhere; what is fetched says more.
                kinds = {"N", "D"} if "W" in sinks_of(call) else {"N"}
                if "W" in does and (set(labels) & kinds or "N" in label(call.name)):
                    written.append((name, call))
                elif ("P" in sinks(call.name) and not is_harmless_command(words_of(call) or "?")) or (
                    RUNS_FILE.match(call.name) and any(place == name for place, _ in written)
                ):
                    started.append((name, call))
        if written and started:
            steps = [(name, call.line, call.name) for name, call in (written[0], started[0])]
            rule = {START: "PKG-010", INSTALL: "PKG-009"}.get(context, "PKG-019")
            message = f"a file is fetched or decoded, written and started or made executable {_WHEN[context]}"
            yield _at(subject, rule, started[0][0], started[0][1].line, message, Severity.CRITICAL, steps)


def _calls(
    subject: PackageSubject,
    name: str,
    code: Behaviour,
    contexts: dict[tuple[str, str], str],
    told: set[tuple[str, int]],
) -> Iterator[Finding]:
    """Single calls that say enough: hidden commands, commands and network where none belongs, shellcode."""
    for call in code.calls:
        if (name, call.line) in told:
            continue
        context = contexts.get((name, call.scope), LAZY)
        said = _one(subject, call, context)
        if said is None:
            continue
        told.add((name, call.line))
        rule, message, severity = said
        yield _at(
            subject, rule, name, call.line, f"{message} {_WHEN[context]}", severity, [(name, call.line, call.name)]
        )


def _one(subject: PackageSubject, call: Call, context: str) -> tuple[str, str, Severity] | None:
    rule = {START: "PKG-010", INSTALL: "PKG-009"}.get(context, "PKG-019")
    if SHELLCODE.search(call.name) and "VirtualAlloc" in call.name:
        return rule, "memory is made executable by hand", Severity.HIGH
    if (
        call.name.endswith("(computed)")
        and call.name.partition(".")[0] in {"builtins", "os", "subprocess"}
        and context != LAZY
    ):
        return rule, f"a function of {call.name.partition('.')[0]} is chosen by a computed name", Severity.HIGH
    if "X" in sinks(call.name) and context in {INSTALL, START} and _is_odd(call):
        return rule, f"{call.name} runs a text that comes from no file", Severity.HIGH
    if "W" in sinks(call.name) and context != LAZY and (plants := _plants(call)):
        return rule, f"a text that {plants} is written", Severity.HIGH
    if context != LAZY and _PIP.match(call.name):
        return rule, f"other packages are installed by {call.name}", Severity.HIGH
    if "P" in sinks(call.name):
        return _process(subject, call, context, rule)
    if call.name == "shutil.rmtree" and HOME in call.origins and set(call.origins) <= {HOME, "os.path.expanduser"}:
        return rule, "the home of the user is deleted", Severity.HIGH
    if context == INSTALL and call.name.rpartition(".")[2] == "setup" and (wanted := _from_address(call)):
        severity = Severity.MEDIUM if wanted.startswith("https://") and not _NUMBERED.match(wanted) else Severity.HIGH
        return rule, f"a requirement comes from {printable(wanted[:80])}", severity
    if context == INSTALL and "N" in label(call.name) and "S" in sinks(call.name):
        return rule, f"the network is reached by {call.name}", Severity.MEDIUM
    if context == START and set(sinks(call.name)) & {"X", "P", "S"}:
        return rule, f"{call.name} is called", Severity.CRITICAL
    return None


def _plants(call: Call) -> str:
    """What a text that is written would do if it were run or read; empty where that is nothing bad."""
    first = call.arguments[0] if call.arguments else None
    text = first.decode("latin-1") if isinstance(first, bytes) else first
    if not isinstance(text, str):
        return ""
    if shell.fetches_and_runs(text) or (_FETCHES.search(text) and _RUNS_IT.search(text)) or EMBEDDED.search(text):
        return "fetches or decodes what it runs"
    if _INDEX.search(text):
        return "has packages fetched from elsewhere"
    return "hides or fetches what it runs" if HIDDEN_COMMAND.search(text) else ""


def _from_address(call: Call) -> str:
    """The address that a requirement of a setup script is fetched from; empty where there is none."""
    given = [k.value for k in call.keywords if k.name in {"install_requires", "setup_requires", "dependency_links"}]
    for one in given:
        for text in one if isinstance(one, tuple) else (one,):
            match = _ADDRESS.search(text) if isinstance(text, str) else None
            if match:
                return match[0]
    return ""


def _is_odd(call: Call) -> bool:
    """A computed text that no file of the package gives: build scripts read their version from files, and run that."""
    computed = bool(call.arguments) and call.arguments[0] is None
    return computed and bool(call.origins) and not any(_FROM_FILES.search(origin) for origin in call.origins)


def _process(subject: PackageSubject, call: Call, context: str, rule: str) -> tuple[str, str, Severity] | None:
    text = words_of(call)
    doing = shell.fetches_and_runs(text)
    if shell.destroys(text):
        return rule, f"a command destroys what its user owns: {printable(text[:100])}", Severity.HIGH
    if EMBEDDED.search(text):
        severity = Severity.CRITICAL if context != LAZY else Severity.MEDIUM
        return (
            rule,
            f"another interpreter is started with code that decodes or fetches what it runs: {printable(text[:80])}",
            severity,
        )
    if doing or HIDDEN_COMMAND.search(text):
        words = doing or "is hidden or fetches what it runs"
        return (
            rule,
            f"a command {words}: {printable(text[:100])}",
            Severity.CRITICAL if context != LAZY else Severity.MEDIUM,
        )
    if context == LAZY:
        return None
    if _FETCHES.search(text):
        return (
            rule,
            f"a command fetches: {printable(text[:100])}",
            Severity.CRITICAL if _RUNS_IT.search(text) else Severity.HIGH,
        )
    if shell.LETS_IN.search(text):
        return rule, f"a command brings in or lets in somebody else: {printable(text[:100])}", Severity.HIGH
    installs = shell.installs_from_elsewhere(text) if shell.installs(text) else ""
    if installs:
        return rule, f"a command {printable(installs[:100])}", Severity.HIGH
    if context == IMPORT and shell.installs(text):
        return rule, f"a command installs other packages: {printable(text[:80])}", Severity.MEDIUM
    if is_harmless_command(text) or (text and text.split()[0] == "sys.executable"):
        return None
    quiet = {k.name for k in call.keywords} & {"creationflags", "start_new_session", "preexec_fn", "startupinfo"}
    heard = {k.name for k in call.keywords} & {"capture_output"} or any(
        k.refers.endswith("PIPE") for k in call.keywords
    )
    beside = any(origin.startswith(("os.path.", "pathlib.Path")) or "resources" in origin for origin in call.origins)
    shipped = subject.programs and beside and None in parts_of(call) and not heard and "output" not in call.name
    if context == IMPORT and (quiet or shipped):
        what = "a program of the package" if shipped else "a detached or hidden process"
        return rule, f"{what} is started", Severity.HIGH
    if context == START:
        return rule, "a process is started", Severity.CRITICAL
    if context == INSTALL and text and not text.startswith(("{}", "-")):
        return rule, f"a command that is no build is run: {printable(text[:80])}", Severity.MEDIUM
    return None


class _Strings(NamedTuple):
    """The strings of a module, whether its code sends anything, and whether it does so without being called."""

    every: list[tuple[int, str]]
    sends: bool
    at_once: bool

    def of(self, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
        """(line, what matched) of each string that a pattern matches."""
        return [(line, match[0]) for line, value in self.every if (match := pattern.search(value))]


def _texts(
    subject: PackageSubject, name: str, code: Behaviour, contexts: dict[tuple[str, str], str]
) -> Iterator[Finding]:
    """What the strings of a module name: drop points, stores of secrets, places of persistence. What nothing imports is left."""
    if is_aside(name):
        return
    sending = [contexts.get((name, call.scope), LAZY) for call in code.calls if "S" in sinks(call.name)]
    strings = _Strings(
        every=[(text.line, text.value) for text in code.texts],
        sends=bool(sending),
        at_once=any(context != LAZY for context in sending),
    )
    yield from _stores(subject, name, code, strings)
    yield from _places(subject, name, code, contexts, strings)


def _stores(
    subject: PackageSubject,
    name: str,
    code: Behaviour,
    strings: _Strings,
) -> Iterator[Finding]:
    """Drop points, and the stores of secrets that a package has no business with."""
    for line, point in strings.of(SURE_DROP_POINTS)[:1]:
        message = f"the package holds the drop point {printable(point[:60])}"
        yield _at(subject, "PKG-028", name, line, message, Severity.HIGH, [(name, line, "")])
    kinds = {
        kind: strings.of(pattern)
        for kind, pattern in (
            ("browsers", BROWSERS),
            ("wallets", WALLETS),
            ("messengers", MESSENGERS),
            ("credentials", SECRET_FILES),
        )
    }
    stores = {store for found in kinds.values() for _, store in found}
    strong = (
        len({m for _, m in kinds["browsers"]}) >= 3
        or len({m for _, m in kinds["wallets"]}) >= 3
        or bool(kinds["messengers"])
    )
    reads = bool(
        {"os", "shutil", "sqlite3", "glob", "pathlib", "requests", "winreg"}
        & {one.partition(".")[0] for one in code.imports}
    )
    if reads and (
        (strong and len(stores) >= 3) or (len(stores) >= 2 and strings.sends and sum(map(bool, kinds.values())) >= 2)
    ):
        line = min(line for found in kinds.values() for line, _ in found)
        message = f"{', '.join(key for key, found in kinds.items() if found)} are looked for: {printable(', '.join(sorted(stores))[:100])}"
        yield _at(
            subject,
            "PKG-029",
            name,
            line,
            message,
            Severity.HIGH,
            [(name, at, "") for found in kinds.values() for at, _ in found][:_SHOWN],
        )
    elif kinds["browsers"] and strings.at_once and "sqlite3" in code.imports:
        line, store = kinds["browsers"][0]
        message = f"{printable(store)} is read where data is sent, on import"
        yield _at(subject, "PKG-029", name, line, message, Severity.HIGH, [(name, line, "")])
    elif kinds["credentials"] and strings.at_once:
        line, store = kinds["credentials"][0]
        yield _at(
            subject,
            "PKG-029",
            name,
            line,
            f"{printable(store)} is read where data is sent, on import",
            Severity.CRITICAL,
            [(name, line, "")],
        )


def _places(
    subject: PackageSubject,
    name: str,
    code: Behaviour,
    contexts: dict[tuple[str, str], str],
    strings: _Strings,
) -> Iterator[Finding]:
    """Where a package would install itself, and what it calls without being asked."""
    planted = [line for line, value in strings.every if EMBEDDED.search(value) and "\n\n" not in value[:80]]
    acts = [
        c for c in code.calls if contexts.get((name, c.scope), LAZY) != LAZY and set(sinks(c.name)) & {"W", "P", "X"}
    ]
    if planted and acts:
        where = [(name, planted[0], ""), (name, acts[0].line, acts[0].name)]
        message = "code that decodes or fetches what it runs is handed on as text"
        yield _at(subject, "PKG-019", name, planted[0], message, Severity.HIGH, where)
    kept = strings.of(PERSISTENCE)
    writes = [
        call
        for call in code.calls
        if contexts.get((name, call.scope), LAZY) != LAZY
        and ("W" in sinks(call.name) or "P" in sinks(call.name) or call.name.startswith("winreg."))
    ]
    if kept and writes:
        message = f"the package installs itself into {printable(kept[0][1])}"
        yield _at(
            subject,
            "PKG-019",
            name,
            kept[0][0],
            message,
            Severity.HIGH,
            [(name, kept[0][0], ""), (name, writes[0].line, writes[0].name)],
        )
    weak = [
        (line, m[0])
        for line, value in strings.every
        if (m := DROP_POINTS.search(value)) and not SURE_DROP_POINTS.search(value)
    ]
    if weak and strings.at_once:
        message = f"{printable(weak[0][1][:60])} is called on installation or import"
        yield _at(subject, "PKG-028", name, weak[0][0], message, Severity.HIGH, [(name, weak[0][0], "")])


def _together(
    subject: PackageSubject, name: str, code: Behaviour, contexts: dict[tuple[str, str], str]
) -> Iterator[Finding]:
    """Calls of one module that are harmless alone and make harm together."""
    if is_aside(name):
        return
    for needed, message in TOGETHER:
        found = [next((call for call in code.calls if pattern.match(call.name)), None) for pattern in needed]
        calls = [call for call in found if call is not None]
        if len(calls) == len(needed):
            hot = any(contexts.get((name, call.scope), LAZY) != LAZY for call in calls)
            steps = [(name, call.line, call.name) for call in calls]
            yield _at(
                subject, "PKG-019", name, calls[-1].line, message, Severity.CRITICAL if hot else Severity.MEDIUM, steps
            )


def _readability(
    subject: PackageSubject, name: str, code: Behaviour, contexts: dict[tuple[str, str], str]
) -> Iterator[Finding]:
    runs = [call for call in code.calls if "X" in sinks(call.name)]
    if code.mark and (runs or any(call.name.endswith("__pyarmor__") for call in code.calls)):
        where = [(name, code.mark, "")]
        severity = Severity.CRITICAL if runs else Severity.HIGH
        yield _at(subject, "PKG-027", name, code.mark, "the mark of an obfuscator", severity, where)
        return
    for line in code.hot:
        if _HIDDEN.search(code.shown.get(line, "")):
            where = [(name, line, "")]
            yield _at(subject, "PKG-027", name, line, "code is hidden behind blanks", Severity.CRITICAL, where)
            return
    hot = any(contexts.get((name, call.scope), LAZY) != LAZY for call in runs)
    if runs and hot and (code.junk > 0.3 or (code.escapes > 0.3 and code.longest > 500)):
        message = f"{100 * code.junk:.0f} % of the names are junk, {100 * code.escapes:.0f} % of the text are escapes, and it runs text"
        yield _at(subject, "PKG-027", name, runs[0].line, message, Severity.HIGH, [(name, runs[0].line, runs[0].name)])


def _at(
    subject: PackageSubject, rule: str, name: str, line: int, message: str, severity: Severity, steps: Any
) -> Finding:
    """A finding at a line of a module, with the lines of its chain as evidence."""
    path, _ = subject.modules[name]
    evidence = []
    for module, number, what in steps:
        shown = subject.modules[module][1].shown.get(number, "") if module in subject.modules else ""
        place = subject.modules[module][0][-1] if module in subject.modules else module
        place = f"{place}:{number}" if number else place
        evidence.append(
            Evidence(text=f"{place} | {printable(shown) or what}", culprit=(module, number) == (name, line))
        )
    return finding(rule, Location(path=path, line=line), message, evidence=evidence[:_SHOWN], severity=severity)


def matters(name: str) -> bool:
    """Whether a call of this name is worth keeping for the look at the whole package."""
    return (
        bool(label(name) or sinks(name))
        or name.startswith(("winreg.", "ctypes."))
        or RUNS_FILE.match(name) is not None
        or _PIP.match(name) is not None
        or name in {"shutil.rmtree", "setup", "setuptools.setup", "distutils.core.setup"}
        or name.endswith(("(computed)", ".extractall", "__pyarmor__"))
        or any(pattern.match(name) for needed, _ in TOGETHER for pattern in needed)
    )


def telling(texts: Sequence[Text]) -> list[Text]:
    """The strings worth keeping. Literals are looked for in all of them at once: most files hold none."""
    joined = "\n".join(text.value for text in texts).lower()
    found = [(pattern, here) for pattern, tokens in TELLING if (here := [token for token in tokens if token in joined])]
    return [
        text
        for text in texts
        if found
        and (low := text.value.lower())
        and any(any(token in low for token in tokens) and pattern.search(text.value) for pattern, tokens in found)
    ]
