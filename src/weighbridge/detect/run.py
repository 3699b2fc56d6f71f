"""Knows what attempts inside the sandbox mean, and how they agree with what inspection said before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.rules import find_rule
from weighbridge.rules.finding import finding
from weighbridge.sandbox.attempt import Attempt, Kind
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.schema import Finding

_LINES: Final = 12
_SHOWN: Final = 160
# What libraries look at by themselves when they start a thread, count processors or name a time zone.
_HARMLESS: Final = re.compile(
    r"/dev/(?:null|zero|u?random)\Z|/proc/(?:self/[\w/]+|cpuinfo|meminfo|stat|filesystems|sys/.*)\Z|/sys/(?:devices/system|fs/cgroup|class/drm)\b.*"
    r"|/etc/(?:localtime|nsswitch\.conf|host\.conf|hosts|resolv\.conf|gai\.conf|ssl/.*|ld\.so\.preload|os-release|timezone)\Z|/usr/(?:share|lib)/.*|/nowhere.*"
    r"|/nonexistent(?:/.*)?\Z|/(?:bin|sbin|usr/bin|usr/sbin|usr/local/bin)(?:/\w+)?\Z|/etc\Z|.*/(?:pyvenv\.cfg|pybuilddir\.txt)\Z|/\Z"
)
_RULES: Final = {
    Kind.PROGRAM: ("RUN-001", "tried to run {0}"),
    Kind.NETWORK: ("RUN-002", "tried to use the network: {0}"),
    Kind.WRITE: ("RUN-004", "tried to write {0}"),
    Kind.READ: ("RUN-003", "tried to read {0}"),
    Kind.PROCESS: ("RUN-005", "reached for a process: {0}"),
    Kind.KERNEL: ("RUN-006", "asked the kernel for {0}"),
    Kind.ANSWER: ("RUN-010", "{0}"),
}
_LIMITS: Final = {
    "time": "it did not end within {seconds:.0f} s",
    "processor time": "it used more than {processor:.0f} s of processor time",
    "memory": "it wanted more memory than the bound",
    "output": "it wrote more than the bound",
}
_FORETOLD: Final = frozenset("XWRN")


def telling(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """The attempts that say something: not what libraries look at by themselves, nor a fork that only came before a program."""
    ran = any(one.kind is Kind.PROGRAM for one in attempts)
    return tuple(
        one
        for one in attempts
        if not (one.kind is Kind.READ and _HARMLESS.match(one.what))
        and not (one.kind is Kind.WRITE and one.what == "/dev/null")
        and not (ran and one.kind is Kind.PROCESS and one.what == "a new process")
        and not (one.kind is Kind.LIMIT and one.what.startswith("more processes") and one.count == 1)
        and not (one.kind is Kind.NETWORK and "nscd" in one.what)
    )


def detect_run(
    location: Location,
    attempts: Sequence[Attempt],
    before: Sequence[Finding],
    *,
    limit: str = "",
    seconds: float = 0.0,
    processor: float = 0.0,
    error: str = "",
) -> Iterator[Finding]:
    """Findings about one load. `before` is what inspection of the bytes had found, `error` what the library said."""
    told = telling(attempts)
    foretold = [one for one in before if _foretells(one)]
    for kind, (rule, text) in _RULES.items():
        group = [one for one in told if one.kind is kind]
        if group:
            yield _finding(rule, location, text.format(_object(group)), group, foretold)
    if limit:
        text = _LIMITS.get(limit, f"the bound on {limit}").format(seconds=seconds, processor=processor)
        yield finding("RUN-007", location, f"loading was ended: {text}", evidence=_lines(told, foretold))
    for one in told:
        if one.kind is Kind.LIMIT and one.outcome == "denied":
            yield finding("RUN-007", location, f"wanted {one.what}", evidence=_lines([one], ()))
    acted = [one for one in told if one.kind in _RULES]
    if acted and not foretold:
        said = (
            "inspection found nothing that would run"
            if not before
            else f"inspection found only {', '.join(sorted({one.rule for one in before}))}"
        )
        yield finding("RUN-008", location, f"{said}, and in the sandbox it {_deed(acted)}", evidence=_lines(acted, ()))
    elif not acted and not limit and any(_blocks(one) for one in foretold):
        rules = ", ".join(sorted({one.rule for one in foretold if _blocks(one)}))
        yield finding(
            "RUN-009",
            location,
            f"inspection found {rules}, and in the sandbox nothing was tried",
            evidence=_lines((), foretold),
        )
    if error and not acted and not limit:
        yield finding("RUN-011", location, f"it did not load: {_short(error)}")


def _finding(
    rule: str, location: Location, text: str, group: Sequence[Attempt], foretold: Sequence[Finding]
) -> Finding:
    more = len({one.what for one in group}) - 1
    return finding(
        rule, location, f"{text}{f' (and {more} more)' if more > 0 else ''}", evidence=_lines(group, foretold)
    )


def _lines(group: Sequence[Attempt], foretold: Sequence[Finding]) -> Iterator[Evidence]:
    worst = _worst(group) if group else None
    # What the finding is about is among the lines, however many came before it.
    shown = [*group[: _LINES - 1], *([worst] if worst is not None and worst not in group[: _LINES - 1] else [])]
    for one in shown:
        times = f", {one.count} times" if one.count > 1 else ""
        text = f"{one.call}({_short(one.what)}) -> {one.outcome}{times}".replace("() ->", " ->")
        yield Evidence(text=text, culprit=one is worst)
    if len(group) > len(shown):
        yield Evidence(text=f"and {len(group) - len(shown)} other attempts")
    for before in foretold[:3]:
        yield Evidence(text=f"foretold by {before.rule}: {before.message}")


def _worst(group: Sequence[Attempt]) -> Attempt:
    """The attempt that says most: a question for a name or an address before data, a path that is opened before a look at it."""
    return max(
        group,
        key=lambda one: (
            "asks for the name" in one.what,
            one.call == "connect",
            ":" in one.what or "." in one.what,
            one.call.startswith("open"),
            len(one.what),
        ),
    )


def _object(group: Sequence[Attempt]) -> str:
    worst = _worst(group)
    return _short(worst.what or worst.call)


def _deed(acted: Sequence[Attempt]) -> str:
    first = min(acted, key=lambda one: list(Kind).index(one.kind))
    _, text = _RULES[first.kind]
    return text.format(_object([one for one in acted if one.kind is first.kind]))


def _foretells(before: Finding) -> bool:
    return before.severity is not Severity.INFO and bool(_FORETOLD & set(find_rule(before.rule).effects))


def _blocks(before: Finding) -> bool:
    return before.severity in {Severity.CRITICAL, Severity.HIGH}


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
