"""Knows what an index, and a release's own metadata, say of two releases: when, by whom, with what, and whether it is still so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.metadata import first
from weighbridge.rules.finding import finding
from weighbridge.schema import Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from weighbridge.dependencies.wanted import Demands
    from weighbridge.schema import Finding
    from weighbridge.source.index import Published

_PEOPLE: Final = ("author", "author-email", "maintainer", "maintainer-email")


def published(old: Published, new: Published, demands: Demands, today: date) -> Iterator[Finding]:
    """What the index says of the later release beside the earlier one."""
    place = Location(path=(new.file,))
    if old.attested and not new.attested:
        message = f"{new.name} {old.version} has provenance, and {new.version} has none"
        yield finding("PKG-017", place, printable(message), severity=Severity.HIGH)
    if new.withdrawn:
        yield finding("PKG-021", place, printable(f"{new.name} {new.version} was withdrawn: {new.withdrawn[:200]}"))
    if old.by and new.by and old.by != new.by:
        message = f"{new.version} was published by {new.by}, and {old.version} by {old.by}"
        yield finding("PKG-018", place, printable(message), severity=Severity.MEDIUM)
    if demands.is_young(new.released, today):
        message = f"{new.name} {new.version} was released on {new.released[:16].replace('T', ' ')}"
        yield finding("PKG-016", place, printable(message), evidence=[f"cooldown {demands.cooldown_days} days"])


def described(place: str, old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    """What the metadata of the later release says otherwise: who is answerable for it, and what built it."""
    if not old or not new:
        return
    before, after = ({value for key in _PEOPLE for value in one.get(key, ()) if value} for one in (old, new))
    if before and after and not before & after:
        lines = [f"before: {', '.join(sorted(before))}", f"now: {', '.join(sorted(after))}"]
        yield finding(
            "PKG-018",
            Location(path=(place,)),
            "the release names other people",
            evidence=map(printable, lines),
            severity=Severity.MEDIUM,
        )
    tools = [first(one, "generator").partition(" ")[0] for one in (old, new)]
    if all(tools) and tools[0] != tools[1]:
        message = f"built with {tools[1]}, and the release before with {tools[0]}"
        yield finding("PKG-018", Location(path=(place,)), printable(message), severity=Severity.LOW)
