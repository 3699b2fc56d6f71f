"""Knows what a release does that the one before it did not (PKG-018): what runs by itself, and what it is made of.

Findings about the new release stand for themselves; here it is the change that speaks: a library that begins to reach the
network when it is imported, in a release that says nothing of it, is how hijacked libraries look.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.detect.knowledge.behaviour import is_harmless_command, label, sinks
from weighbridge.detect.package_chains import contexts, words_of
from weighbridge.detect.package_flow import IMPORT, INSTALL, LAZY, START, Flow
from weighbridge.detect.package_places import is_aside
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.schema import Finding

_WHEN: Final = {START: "when Python starts", INSTALL: "on installation", IMPORT: "on import"}
_DOES: Final = {
    "S": "reaches the network", "N": "reaches the network", "P": "starts a process", "X": "runs code that is made at run time", "L": "unpickles",
    "E": "reads the whole environment", "H": "asks who and where the host is",
}  # fmt: skip
_SHOWN: Final = 6


class Event(Struct, frozen=True):
    """A call that runs by itself: what it does, when, and where."""

    does: str
    when: str
    module: str
    line: int
    name: str


class Release(Struct, frozen=True, kw_only=True):
    """One release as far as it can be compared: what runs by itself, and the files that are more than source."""

    subject: PackageSubject
    events: tuple[Event, ...]

    @property
    def files(self) -> dict[str, set[str]]:
        """Names of files that are more than source, by what they are."""
        subject = self.subject
        return {
            "a start-up file": {path[-1] for path in subject.paths},
            "a program": {_bare(path[-1]) for path in subject.programs},
            "a script that npm runs": {_bare(path[-1]) for path in subject.hooked},
            "bytecode without source": {_bare(path[-1]) for path in subject.bytecode},
            "a pickle that does more than hold data": {_bare(path[-1]) for path in subject.pickles},
        }


def read_release(subject: PackageSubject) -> Release:
    """What of a package runs by itself."""
    return Release(subject=subject, events=tuple(_events(subject.flow, contexts(subject))))


def _events(flow: Flow, when: dict[tuple[str, str], str]) -> Iterator[Event]:
    for name, module in flow.modules.items():
        if is_aside(name):
            continue
        for call in module.calls:
            context = when.get((name, call.scope), LAZY)
            if context == LAZY:
                continue
            kinds = set(sinks(call.name) + label(call.name)) & set(_DOES)
            kinds |= (
                {"E"} if any("E" in label(origin) for origin in call.origins) and "S" in sinks(call.name) else set()
            )
            if kinds == {"P"} and is_harmless_command(words_of(call)):
                continue
            for kind in sorted(kinds):
                yield Event(_DOES[kind], context, name, call.line, call.name)


def detect_gain(old: Release, new: Release) -> Iterator[Finding]:
    """What the later release does by itself and the earlier one did not, and files of kinds that it did not have."""
    known = {(one.does, one.name) for one in old.events}
    able = {one.does for one in old.events}
    gained: dict[tuple[str, str], list[Event]] = {}
    for one in new.events:
        if (one.does, one.name) not in known:
            gained.setdefault((one.does, one.when), []).append(one)
    for (does, when), events in gained.items():
        first = events[0]
        path, code = new.subject.modules[first.module]
        steps = [
            f"{one.module}:{one.line}  {code.shown.get(one.line, one.name) if one.module == first.module else one.name}"
            for one in events[:_SHOWN]
        ]
        message = f"this release {'begins to do what the one before never did' if does not in able else 'does in a new way'}: it {does} {_WHEN[when]}"
        yield finding(
            "PKG-018", Location(path=path, line=first.line), printable(message), evidence=[Evidence(text=printable(step)) for step in steps],
            severity=_weight(does, when, able),
        )  # fmt: skip
    yield from _new_files(old, new)


def _weight(does: str, when: str, able: Iterable[str]) -> Severity:
    """Installation and start are quiet places; on import it is the network and processes that count."""
    if when in {START, INSTALL}:
        return Severity.HIGH
    grave = does != _DOES["H"]
    return Severity.HIGH if grave and does not in able else Severity.MEDIUM if grave else Severity.LOW


def _new_files(old: Release, new: Release) -> Iterator[Finding]:
    before = old.files
    for kind, names in new.files.items():
        fresh = sorted(names - before[kind])
        if fresh:
            severity = Severity.MEDIUM if kind == "a program" and not new.subject.pure else Severity.HIGH
            yield finding(
                "PKG-018",
                new.subject.location,
                printable(f"this release brings {kind}: {fresh[0]}"),
                evidence=map(printable, fresh[:_SHOWN]),
                severity=severity,
            )


def _bare(name: str) -> str:
    """A name without the version that may stand in it."""
    return re.sub(r"-\d[\w.]*(?=/|-|\Z)", "", name)
