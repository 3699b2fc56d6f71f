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
    rule("IDN-003", "owner changed since it was locked", HIGH, "P", "AML.T0109 AATMF:T13-AT-001", evidence="the owner in the lock, and the one now",
         what="the repository belongs to another owner than when it was locked, or is gone at the locked commit",
         why="names that become free are registered again by others", fix="find out who owns it now before you use it"),
    rule("IDN-006", "internal name on a public hub", HIGH, "P", "CWE-427 AATMF:T13-AT-001", evidence="the name, and the owner",
         what="a name that your organisation uses inside is taken from an owner outside",
         why="whoever registers your names outside gets what was meant for inside", fix="take it from your own registry, and register the name outside too"),
    rule("IDN-007", "other content at the same commit", HIGH, "B", "AML.T0109 CWE-354", evidence="the file, and the lock",
         what="the hub or mirror serves other bytes at the locked commit than when it was locked",
         why="a commit never changes; whoever serves it does", fix="fetch it from the origin, and tell whoever runs the mirror"),
    rule("IDN-008", "repository was moved", MEDIUM, "P", "AML.T0109 AATMF:T13-AT-001", evidence="the name in the lock, and the one that answers",
         what="the hub answers with another repository than the one that was asked for",
         why="a redirect can be pointed elsewhere by whoever takes the old name", fix="name the repository by its new name, after checking who owns it"),
)  # fmt: skip
