"""Knows the IDN family: names and reputation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

IDN: Final[tuple[Rule, ...]] = (
    rule("IDN-001", "known model under another owner", MEDIUM, "P", "AML.T0074 AATMF:T13-AT-001", heuristic=True,
         what="a repository has exactly the name of a well-known model and belongs to somebody who is neither its maker nor a known mirror",
         why="people and tools pick the name and miss the owner", fix="take the model from the owner that is named", evidence="the name, and the known one"),
    rule("IDN-002", "owner that looks like a known one", HIGH, "P", "AML.T0073 AML.T0074 AATMF:T13-AT-001", heuristic=True,
         what="an owner's name differs from a well-known one by look-alike characters, a letter, the order of its words, or words that claim to be it",
         why="this is how hostile repositories pass for the real ones", fix="take the model from the owner that is named, or add the owner to your own list", evidence="the name, the known one, and what is alike"),
)  # fmt: skip
