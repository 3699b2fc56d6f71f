"""Knows the grade of a name: harmless in this use, dangerous with what it can do, or unknown."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.detect.knowledge.dangerous import (
    BY_MODULE,
    BY_NAME,
    INDIRECT,
    PYTHON2,
    PYTHON2_NAMES,
    STANDARD_LIBRARY,
)
from weighbridge.schema import Severity, Unavailable

if TYPE_CHECKING:
    from weighbridge.formats.pickle import Name

# os.path and not pathlib: this module is on the way of every scan, and pathlib costs 4 ms to import.
_DATA: Final = os.path.join(os.path.dirname(__file__), "data")


class Use(StrEnum):
    """What a stream does with a name; the letter is the one in the data files."""

    CALL = "r"
    NEW = "n"
    BUILD = "b"
    REFERENCE = "i"


class Standing(StrEnum):
    """How much is known."""

    HARMLESS = "known harmless"
    DANGEROUS = "known dangerous"
    UNKNOWN = "unknown"


class Grade(Struct, frozen=True):
    """A standing, the rule that an adverse one falls under, what the name can do, and how bad that is."""

    standing: Standing
    rule: str = ""
    ability: str = ""
    severity: Severity = Severity.HIGH


HARMLESS: Final = Grade(Standing.HARMLESS)


class Knowledge:
    """What is known about names; `own` are names that the organisation vouches for."""

    def __init__(self, own: frozenset[str] = frozenset()) -> None:
        if not _is_known("builtins"):
            raise Unavailable("the lists of known names are missing", hint="install weighbridge again")
        self._own = own
        # What was worked out for a trace, by the trace's identity; the trace is kept so that it stays unique.
        self.judged: dict[int, tuple[Any, tuple[Any, ...]]] = {}

    def grade(self, name: Name, use: Use) -> Grade:
        """The grade of `name` in this use."""
        module = canonical(name.module)
        dotted = f"{module}.{renamed(module, name.name)}"
        if dotted in self._own or use.value in uses(dotted):
            return HARMLESS
        if module.startswith("__torch__.") and use is not Use.CALL:
            # TorchScript's own classes: no Python module of this name exists.
            return HARMLESS
        chain = _attribute_chain(module, name.name)
        if chain is not None:
            return chain
        kind = BY_NAME.get(dotted)
        if kind is not None:
            return Grade(Standing.DANGEROUS, kind[0], kind[1], Severity.CRITICAL)
        kind = _by_module(module, name.name)
        if kind is not None and not _plain_object(module, name.name, use):
            part = module not in BY_MODULE and dotted not in BY_MODULE and kind[0] != "TCH-013"
            return Grade(Standing.DANGEROUS, "PKL-014" if part else kind[0], kind[1], Severity.CRITICAL)
        return _unknown(module, name.name, use)

    def settled(self, dotted: str) -> bool:
        """Whether calls of a name need no look at their arguments, so that counting them is enough."""
        letters = uses(dotted)
        return dotted in self._own or "a" in letters or ("n" in letters and "b" in letters and "r" not in letters)

    def indifferent(self, dotted: str) -> bool:
        """Whether neither the arguments nor the state of what a name makes can matter."""
        return "a" in uses(dotted)


def _plain_object(module: str, name: str, use: Use) -> bool:
    """An object of a class of somebody's library, made without its constructor: unknown, and not yet dangerous."""
    standard = module.partition(".")[0].lstrip("_") in STANDARD_LIBRARY
    return not standard and use in {Use.NEW, Use.BUILD} and name.lstrip("_")[:1].isupper()


def canonical(module: str) -> str:
    """The module as Python 3 calls it; the unpickler renames the old ones (`fix_imports`)."""
    head, dot, rest = module.partition(".")
    return f"{PYTHON2.get(head, head)}{dot}{rest}"


def renamed(module: str, name: str) -> str:
    """The name as Python 3 calls it."""
    return PYTHON2_NAMES.get(name, name) if module == "builtins" else name


@cache
def _package(package: str) -> dict[str, str]:
    """Harmless names of one top-level package with the letters of their uses."""
    if not _is_known(package):
        return {}
    table: dict[str, str] = {}
    module = letters = ""
    with open(os.path.join(_DATA, f"{package}.txt"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    for line in lines:
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" "):
            module, _, letters = line.partition(" ")
            continue
        for word in line.split():
            table[f"{module}.{word}"] = letters + table.get(f"{module}.{word}", "")
    return table


@cache
def _is_known(package: str) -> bool:
    return package.isidentifier() and os.path.isfile(os.path.join(_DATA, f"{package}.txt"))


def uses(dotted: str) -> str:
    """The letters of the uses in which a name is known to be harmless."""
    return _package(dotted.partition(".")[0]).get(dotted, "")


def _attribute_chain(module: str, name: str) -> Grade | None:
    """Names that walk through attributes of a module or class (protocol 4), or name its internals."""
    parts = name.split(".")
    if any(part.startswith("__") for part in parts):
        return Grade(
            Standing.DANGEROUS, "PKL-003", "reaches the internals of a module, class or function", Severity.CRITICAL
        )
    if len(parts) > 1 and (parts[0][:1].islower() or parts[0][:1] == "_"):
        ability = f"walks from {module} through {parts[0]} to {parts[-1]}"
        return Grade(Standing.DANGEROUS, "PKL-003", ability, Severity.CRITICAL)
    root = module.partition(".")[0]
    if parts[0] in _MODULE_ATTRIBUTES and root != parts[0]:
        return Grade(Standing.DANGEROUS, "PKL-003", f"takes the module {parts[0]} out of {module}", Severity.CRITICAL)
    return None


_MODULE_ATTRIBUTES: Final = frozenset(
    {
        "os",
        "sys",
        "subprocess",
        "posix",
        "builtins",
        "importlib",
        "pickle",
        "shutil",
        "socket",
        "_sys",
        "_os",
        "pty",
        "runpy",
    }
)


def _by_module(module: str, name: str) -> tuple[str, str] | None:
    path = f"{module}.{name}"
    while path:
        kind = BY_MODULE.get(path)
        if kind is not None:
            return kind if path != module or kind != INDIRECT or module not in _MIXED else None
        path = path.rpartition(".")[0]
    return None


# Modules that are mostly plain; a name of theirs that is not listed stays unknown instead of dangerous.
_MIXED: Final = frozenset({"enum", "dataclasses", "itertools", "functools", "string", "copyreg", "reprlib", "builtins"})


def _unknown(module: str, name: str, use: Use) -> Grade:
    package = module.partition(".")[0]
    function = not name.rpartition(".")[2][:1].isupper()
    acts = use is Use.CALL
    if package in STANDARD_LIBRARY or package.lstrip("_") in STANDARD_LIBRARY:
        severity = Severity.HIGH if acts or use is Use.NEW else Severity.MEDIUM
        return Grade(Standing.UNKNOWN, "PKL-002", "belongs to the standard library and to no model", severity)
    if use is Use.REFERENCE:
        return Grade(Standing.UNKNOWN, "JBL-004", "is kept for later", Severity.MEDIUM)
    if _is_known(package) and acts and function:
        ability = f"is a function of {package} that {package} itself never puts in a file"
        return Grade(Standing.UNKNOWN, "PKL-002", ability, Severity.HIGH)
    if acts and function:
        return Grade(
            Standing.UNKNOWN, "PKL-002", f"is a function of {package}, which is not known here", Severity.MEDIUM
        )
    return Grade(Standing.UNKNOWN, "PKL-018", f"is a class of {package} that is not known here", Severity.MEDIUM)
