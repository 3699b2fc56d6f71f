"""Knows patterns over the bytes of members, as a second opinion: rules of our own for packages, and those of the user or of a feed (PKG-032).

The engine is YARA-X; rules are compiled once for a process, and a member has ten seconds.
"""

from __future__ import annotations

import os
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, LimitExceeded, Severity, UsageError
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.schema import Finding, Location

_OWN: Final = tuple(
    os.path.join(os.path.dirname(__file__), "knowledge", name) for name in ("packages.yar", "risky.yar")
)
RISKY: Final = "risky_python"
_SECONDS: Final = 10
_MATCHES: Final = 200
_SHOWN: Final = 4
_LINE: Final = 120
MOST: Final = 24 << 20


class Pattern(Struct, frozen=True):
    """YARA rules: where they come from, and their source."""

    origin: str
    text: str


def read_patterns(files: Iterable[str]) -> tuple[Pattern, ...]:
    """The rules of files, which all have to compile. Raises UsageError."""
    return checked([_read(path) for path in files])


def checked(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
    """The same rules, once they are known to compile. Raises UsageError."""
    found = tuple(patterns)
    if found:
        _compiled(found, own=False)
    return found


def _read(path: str) -> Pattern:
    try:
        with open(path, encoding="utf-8") as file:
            return Pattern(path, file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="--yara takes a file of YARA rules") from error


@cache
def _compiled(patterns: tuple[Pattern, ...], own: bool) -> Any:
    import yara_x  # noqa: PLC0415  # only packages, and users with rules of their own, need it

    compiler = yara_x.Compiler()
    for one in (*(_read(path) for path in _OWN if own), *patterns):
        try:
            compiler.new_namespace(one.origin)
            compiler.add_source(one.text, origin=one.origin)
        except yara_x.CompileError as error:
            first = str(error).strip().split("\n")[0]
            raise UsageError(f"{one.origin}: {first}", hint="yr check, of YARA-X, shows the place") from error
    return compiler.build()


class _Scanners(local):
    """The scanners of one thread: rules may be shared between threads, scanners may not."""

    def __init__(self) -> None:
        self.made: dict[tuple[tuple[Pattern, ...], bool], Any] = {}


_SCANNERS: Final = _Scanners()


def _scanner(patterns: tuple[Pattern, ...], own: bool) -> Any:
    import yara_x  # noqa: PLC0415  # as above

    if (patterns, own) not in _SCANNERS.made:
        scanner = yara_x.Scanner(_compiled(patterns, own))
        scanner.set_timeout(_SECONDS)
        scanner.max_matches_per_pattern(_MATCHES)
        _SCANNERS.made[patterns, own] = scanner
    return _SCANNERS.made[patterns, own]


def detect_patterns(
    location: Location, data: bytes, patterns: tuple[Pattern, ...], *, packaged: bool
) -> tuple[list[Finding], bool]:
    """What matches in a member: our own rules where it is of a package, the user's everywhere; and whether it is risky Python.

    Raises LimitExceeded.
    """
    scanner = _scanner(patterns, packaged)
    try:
        found = scanner.scan(data)
    except Exception as error:
        if type(error).__name__ == "TimeoutError":
            raise LimitExceeded(f"patterns took longer than {_SECONDS} s", limit="seconds") from error
        raise
    matching = list(found.matching_rules)
    findings = [_finding(location, data, rule) for rule in matching if rule.identifier != RISKY]
    return findings, len(findings) < len(matching)


def _finding(location: Location, data: bytes, rule: Any) -> Finding:
    about = dict(rule.metadata)
    places = sorted({(one.offset, one.length) for pattern in rule.patterns for one in pattern.matches})[:_SHOWN]
    evidence = [Evidence(text=printable(_excerpt(data, at, size)), offset=at, culprit=True) for at, size in places]
    said = about.get("what") or about.get("description") or "a rule of the user matches"
    return finding(
        "PKG-032",
        location.at(places[0][0]) if places else location,
        printable(f"{said} ({rule.identifier})"),
        evidence=evidence,
        severity=_severity(about.get("severity")),
    )


def _severity(said: object) -> Severity:
    return Severity(said) if isinstance(said, str) and said in set(Severity) else Severity.HIGH


def _excerpt(data: bytes, at: int, size: int) -> str:
    return data[at : at + min(size, _LINE)].decode("utf-8", "backslashreplace")
