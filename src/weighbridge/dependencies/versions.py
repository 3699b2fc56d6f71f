"""Knows which of two versions comes first, in each ecosystem. Sources: PEP 440 (by `packaging`), Semantic Versioning 2.0.0."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, TypeAlias

from weighbridge.schema import MalformedInput

Key: TypeAlias = Any  # ordered among versions of one ecosystem
_SEMVER: Final = re.compile(r"[v=]?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+\S*)?\Z")
_LAST: Final = (1,)


@lru_cache(maxsize=65_536)
def key(ecosystem: str, version: str) -> Key:
    """Something that sorts as the version does. Raises MalformedInput where the version follows no rule."""
    return _semver(version) if ecosystem == "npm" else _pep440(version)


def _pep440(version: str) -> Key:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415  # npm locks need it not

    try:
        return Version(version)
    except InvalidVersion as error:
        raise MalformedInput(f"{version} is no version by PEP 440") from error


def _semver(version: str) -> Key:
    match = _SEMVER.match(version.strip())
    if match is None or len(version) > 256:
        raise MalformedInput(f"{version} is no semantic version")
    numbers = tuple(int(match[part] or 0) for part in (1, 2, 3))
    if match[4] is None:
        return (*numbers, _LAST)
    # A prerelease comes before its release; numbers come before words, and fewer parts before more.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")]
    return (*numbers, (0, *parts))


def within(ecosystem: str, version: str, introduced: str, fixed: str, last: str) -> bool:
    """Whether a version lies in a range. `introduced` of "0" or "" is the beginning of time. Raises MalformedInput."""
    own = key(ecosystem, version)
    if introduced not in {"", "0"} and own < key(ecosystem, introduced):
        return False
    if fixed:
        return bool(own < key(ecosystem, fixed))
    return not last or bool(own <= key(ecosystem, last))


def satisfies(ecosystem: str, version: str, wanted: str) -> bool | None:
    """Whether a version fits a constraint as its ecosystem writes them; None where that cannot be told."""
    if not wanted or not version:
        return None
    if ecosystem == "npm":
        return _fits_npm(version, wanted)
    if ecosystem != "pypi" or wanted[:1] in "^~*" or wanted[:1].isdigit():
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415  # only where a lock stands beside

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        return None


_NPM: Final = re.compile(r"([\^~]|[<>]=?|=)?\s*(v?\d[\w.+-]*)\Z")


def _fits_npm(version: str, wanted: str) -> bool | None:
    """The plain forms: exact, caret, tilde, comparisons joined by blanks. Ranges of other forms are not judged."""
    try:
        own = key("npm", version)
        for part in wanted.split():
            match = _NPM.match(part)
            if match is None or own[3] != _LAST:
                return None
            base = key("npm", match[2])
            sign = match[1] or ("=" if part.count(".") == 2 else "~")
            first = next((at for at in range(3) if base[at]), 2)
            same = first + 1 if sign == "^" else min(2, part.count(".") + 1)
            if sign in {"^", "~"}:
                fits = own >= base and own[:same] == base[:same]
            else:
                fits = {"=": own == base, "<": own < base, "<=": own <= base, ">": own > base, ">=": own >= base}[sign]
            if not fits:
                return False
    except MalformedInput:
        return None
    return True
