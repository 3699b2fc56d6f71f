"""Knows what a manifest or lock says of one package, and of where packages come from. Facts, no opinions."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

_RUNS: Final = re.compile(r"[-_.]+")
_EXACT: Final = re.compile(r"v?\d[\w.+!-]*\Z")
MOST: Final = 100_000


class Origin(StrEnum):
    """Where a package is taken from."""

    INDEX = "index"
    VCS = "version control"
    URL = "address"
    PATH = "path"


class Listed(Struct, frozen=True, kw_only=True):
    """One package that is listed. `version` is empty unless exactly one version is named; `line` is 0 where unknown.

    `wanted` is the constraint as it is written. `address` is where it comes from when that is no index, `fixed` the
    commit or digest that holds it there. `hashes` are as written (`sha256:…`), `index` an index of its own, `released`
    an ISO 8601 time that a lock keeps. `direct` tells what a person wrote from what a resolver added, `build`
    what is needed for building alone, which locks leave out. `hooks` says that the lock knows of install scripts.
    """

    ecosystem: str
    name: str
    version: str = ""
    wanted: str = ""
    line: int = 0
    origin: Origin = Origin.INDEX
    address: str = ""
    fixed: str = ""
    editable: bool = False
    hashes: tuple[str, ...] = ()
    index: str = ""
    released: str = ""
    direct: bool = True
    build: bool = False
    hooks: bool = False

    @property
    def key(self) -> str:
        """The name as its index compares names."""
        return normal(self.ecosystem, self.name)

    @property
    def advised(self) -> str:
        """The ecosystem whose advisories speak of it: conda packages are mostly those of PyPI, under the same names."""
        return "pypi" if self.ecosystem == "conda" else self.ecosystem

    @property
    def purl(self) -> str:
        """The package URL. Source: package-url specification, types pypi, npm and conda."""
        return f"pkg:{self.ecosystem}/{self.key.replace('@', '%40')}{f'@{self.version}' if self.version else ''}"


class Index(Struct, frozen=True, kw_only=True):
    """A place that packages are searched in. `role` is index, extra, find-links, explicit (only for who asks) or channel."""

    address: str
    role: str
    line: int = 0
    name: str = ""


class Included(Struct, frozen=True):
    """Another file that a manifest reads: its path as written, and the line."""

    path: str
    line: int


class Gap(Struct, frozen=True):
    """A line that could not be read, and why."""

    line: int
    why: str


class Manifest(Struct, frozen=True, kw_only=True):
    """One file. `kind` names the format; `locked` says that it means to list everything, in exact versions.

    `of` is the kind of the manifest that a lock is made of, empty where there is none. `commands` says that the packages
    are named in commands, which run somewhere else and may be put together there.
    `options` are those that change what is installed (`require-hashes`, `no-index`, `trusted-host …`).
    """

    kind: str
    ecosystem: str = "pypi"
    locked: bool = False
    of: str = ""
    commands: bool = False
    listed: tuple[Listed, ...] = ()
    indexes: tuple[Index, ...] = ()
    includes: tuple[Included, ...] = ()
    options: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


def normal(ecosystem: str, name: str) -> str:
    """A name as its index compares names. Source: PEP 503; npm names are compared as they stand."""
    return _RUNS.sub("-", name).lower() if ecosystem == "pypi" else name


def exact(wanted: str) -> str:
    """The version that a constraint allows alone; empty where it allows several."""
    bare = wanted.strip().removeprefix("===").removeprefix("==").strip()
    return bare if _EXACT.match(bare) and "*" not in bare else ""
