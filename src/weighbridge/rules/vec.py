"""Knows the VEC family: what is put into collections to be retrieved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_data = partial(rule, surface="data")

VEC: Final[tuple[Rule, ...]] = (
    _data("VEC-004", "passages written to be retrieved", MEDIUM, "B", "AML.T0070 AML.T0020 AATMF:T6-AT-002", heuristic=True, evidence="the question, its passages, and in how many ways they go on",
          what="several passages open with one question, word for word, and go on differently",
          why="they are the nearest there is to whoever asks it; five of them among a million texts decide the answer (PoisonedRAG, Zou et al. 2024)",
          fix="take these passages out, and ask where they came from; admit passages by source"),
)  # fmt: skip
