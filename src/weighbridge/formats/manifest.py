"""Knows what package manifests list: requirements files, pyproject.toml, package.json. Names and pins, no opinions.

Sources: pip's requirements file format; PEP 508 (names, specifiers); PEP 621; npm package.json.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(===?\s*([^\s;,#\\]+))?(?!\s*@)")
_MOST: Final = 20_000


class Listed(Struct, frozen=True, kw_only=True):
    """One package that is listed. `version` is empty unless exactly one version is named; `line` is 0 where unknown."""

    ecosystem: str
    name: str
    version: str = ""
    line: int = 0

    @property
    def purl(self) -> str:
        """The package URL. Source: package-url specification, types pypi and npm."""
        name = self.name if self.ecosystem == "npm" else re.sub(r"[-_.]+", "-", self.name).lower()
        return f"pkg:{self.ecosystem}/{name.replace('@', '%40')}{f'@{self.version}' if self.version else ''}"


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read here."""
    last = name.rpartition("/")[2].lower()
    listed = re.search(r"(?:^|/)requirements(?:[\w.-]*|/[\w.-]+)\.(?:txt|in)\Z", name.lower())
    return last in {"pyproject.toml", "package.json"} or listed is not None


def read_manifest(name: str, text: str) -> list[Listed]:
    """The packages of a manifest, in order, at most 20,000. Raises MalformedInput."""
    last = name.rpartition("/")[2].lower()
    if last == "pyproject.toml":
        found = _pyproject(text)
    elif last == "package.json":
        found = _package_json(text)
    else:
        found = _requirements(text)
    return [one for _, one in zip(range(_MOST), found, strict=False)]


def _requirements(text: str) -> Iterator[Listed]:
    for number, line in enumerate(text.splitlines(), 1):
        one = _one(line, number)
        if one is not None:
            yield one


def _one(line: str, number: int = 0) -> Listed | None:
    bare = line.strip()
    if not bare or bare.startswith(("#", "-", "http:", "https:", "git+", ".", "/")):
        return None
    match = _REQUIREMENT.match(bare)
    return Listed(ecosystem="pypi", name=match[1], version=match[3] or "", line=number) if match else None


def _pyproject(text: str) -> Iterator[Listed]:
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedInput(f"not TOML: {error}") from error
    project = table.get("project")
    project = project if isinstance(project, dict) else {}
    extras = project.get("optional-dependencies")
    groups = [project.get("dependencies"), *(extras.values() if isinstance(extras, dict) else ())]
    for group in groups:
        for line in group if isinstance(group, list) else ():
            one = _one(line) if isinstance(line, str) else None
            if one is not None:
                yield one


def _package_json(text: str) -> Iterator[Listed]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"not JSON: {error}") from error
    for section in ("dependencies", "devDependencies", "optionalDependencies"):
        listed = table.get(section) if isinstance(table, dict) else None
        for name, wanted in listed.items() if isinstance(listed, dict) else ():
            exact = str(wanted) if re.fullmatch(r"\d[\w.+-]*", str(wanted)) else ""
            yield Listed(ecosystem="npm", name=str(name), version=exact)
