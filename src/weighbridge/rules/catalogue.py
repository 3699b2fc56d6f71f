"""Knows all rules, in one explicit tuple of families."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

from weighbridge.rules.arc import ARC
from weighbridge.rules.jax import JAX
from weighbridge.rules.jbl import JBL
from weighbridge.rules.npy import NPY
from weighbridge.rules.pkl import PKL
from weighbridge.rules.scn import SCN
from weighbridge.rules.sec import SEC
from weighbridge.rules.stn import STN
from weighbridge.rules.tch import TCH
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from weighbridge.schema import Rule

CATALOGUE: Final[tuple[Rule, ...]] = (*SCN, *ARC, *PKL, *TCH, *JBL, *NPY, *STN, *JAX, *SEC)


@cache
def by_id() -> dict[str, Rule]:
    """Rules by their id."""
    return {rule.id: rule for rule in CATALOGUE}


def find_rule(identifier: str) -> Rule:
    """The rule of this id, in any case. Raises UsageError with the nearest ids where there is none."""
    wanted = identifier.upper().strip()
    if wanted in by_id():
        return by_id()[wanted]
    family = wanted[:3]
    near = [known for known in by_id() if known.startswith(family)]
    hint = f"known in this family: {near[0]} to {near[-1]}" if near else "weighbridge rule --list shows all of them"
    raise UsageError(f"no rule is called {identifier}", hint=hint)


@cache
def ruleset_version() -> str:
    """A short digest of the catalogue, so that a report says what it was made with."""
    digest = hashlib.sha256()
    for rule in CATALOGUE:
        digest.update(repr(rule).encode())
    return digest.hexdigest()[:12]
