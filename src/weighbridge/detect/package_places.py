"""Knows what the place of a file in a package says: whether anything imports it, whether Python starts it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

# What Node.js tries behind a name; the first that is there counts.
_ENDINGS: Final = ("", ".js", ".cjs", ".mjs", ".ts", "/index.js", "/index.mjs", "/index.cjs")
_ASIDE: Final = re.compile(
    r"(?:^|[./])(?:tests?|testing|docs?|examples?|benchmarks?|samples?|tools|scripts|conftest|_?vendor(?:ed)?)(?:[./]|\Z)"
)
# By dotted name: Python looks for them beside the packages, not in them.
START_MODULES: Final = re.compile(r"\A(?:.*\.data\.(?:purelib|platlib)\.)?(?:sitecustomize|usercustomize)\Z")


def is_aside(name: str) -> bool:
    """Whether a member lies among tests, documentation or examples, which nothing imports."""
    return bool(_ASIDE.search(name))


def named_by(beside: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The place of a name that a file gives from where it lies."""
    return (*beside[:-1], posixpath.normpath(posixpath.join(posixpath.dirname(beside[-1]), name)))


def script_at(beside: tuple[str, ...], name: str, known: Container[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The file that a script or a manifest means by a name, of those that are known."""
    tried = (named_by(beside, f"{name}{ending}") for ending in _ENDINGS)
    return next((path for path in tried if path in known), None)
