"""Knows all rules, in one explicit tuple of families."""

from __future__ import annotations

import os
import zlib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Rule

# A family is loaded when one of its rules is needed: building all of them costs a small scan dearly.
FAMILIES: Final = (
    "SCN", "ARC", "PKL", "TCH", "JBL", "NPY", "KRS", "TFL", "ONX", "STN", "GGF", "TPL", "TOK", "JAX", "NAT", "CML", "NMO",
    "HFR", "ADP", "MLO", "OCI", "NBK", "COD", "CIC", "AGT", "IDN", "PKG", "PRV", "WGT", "DST", "VEC", "SEC", "RUN", "MON",
)  # fmt: skip


@cache
def family(name: str) -> dict[str, Rule]:
    """The rules of one family by their id; empty for a family that does not exist."""
    if name not in FAMILIES:
        return {}
    rules: tuple[Rule, ...] = getattr(import_module(f"weighbridge.rules.{name.lower()}"), name)
    return {rule.id: rule for rule in rules}


def all_rules() -> Iterator[Rule]:
    """Every rule, family by family."""
    for name in FAMILIES:
        yield from family(name).values()


def find_rule(identifier: str) -> Rule:
    """The rule of this id, in any case. Raises UsageError with the nearest ids where there is none."""
    wanted = identifier.upper().strip()
    known = family(wanted[:3])
    if wanted in known:
        return known[wanted]
    near = list(known)
    hint = f"known in this family: {near[0]} to {near[-1]}" if near else "weighbridge rule --list shows all of them"
    raise UsageError(f"no rule is called {identifier}", hint=hint)


def is_rule(identifier: str) -> bool:
    """Whether a rule of exactly this id exists."""
    return identifier in family(identifier[:3])


@cache
def ruleset_version() -> str:
    """A short checksum over the catalogue's own text, so that a report says what it was made with."""
    checksum = 0
    for name in FAMILIES:
        with open(os.path.join(os.path.dirname(__file__), f"{name.lower()}.py"), "rb") as file:
            checksum = zlib.crc32(file.read(), checksum)
    return f"{checksum:08x}"
