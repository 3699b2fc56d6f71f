"""Knows what is wrong with a member's name or link, before anybody writes it to a disk."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def escapes(name: str) -> bool:
    """Whether a member of this name would be written outside the folder it is unpacked in."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or plain[1:2] == ":" or "\0" in plain:
        return True
    return ".." in plain.split("/")


def link_escapes(name: str, target: str) -> bool:
    """Whether a link at `name` to `target` points out of the folder."""
    plain = target.replace("\\", "/")
    if plain.startswith("/") or plain[1:2] == ":":
        return True
    depth = len([part for part in name.replace("\\", "/").split("/")[:-1] if part not in {"", "."}])
    for part in plain.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False


def name_anomalies(entries: Iterable[Entry]) -> Iterator[Anomaly]:
    """Traversal, escaping links, duplicates and colliding names among the members of one container."""
    seen: dict[str, int] = {}
    folded: dict[str, str] = {}
    links: set[str] = set()
    for entry in entries:
        if escapes(entry.name):
            yield Anomaly(
                oddity=Oddity.TRAVERSAL, name=entry.name, detail="written outside the folder", offset=entry.at
            )
        yield from _link(entry, links)
        if entry.kind is Kind.FOLDER:
            continue
        if entry.name in seen:
            detail = f"the first at offset {seen[entry.name]}, another at {entry.at}"
            yield Anomaly(oddity=Oddity.DUPLICATE, name=entry.name, detail=detail, offset=entry.at)
            continue
        seen[entry.name] = entry.at
        key = unicodedata.normalize("NFKC", entry.name).casefold()
        if key in folded:
            yield Anomaly(
                oddity=Oddity.COLLISION, name=entry.name, detail=f"collides with {folded[key]}", offset=entry.at
            )
        folded.setdefault(key, entry.name)


def _link(entry: Entry, links: set[str]) -> Iterator[Anomaly]:
    parents = entry.name.split("/")[:-1]
    through = next((p for n in range(1, len(parents) + 1) if (p := "/".join(parents[:n])) in links), None)
    if through is not None:
        detail = f"is written through the link {through}"
        yield Anomaly(oddity=Oddity.LINK_ESCAPE, name=entry.name, detail=detail, offset=entry.at)
    if entry.kind in {Kind.LINK, Kind.HARDLINK}:
        links.add(entry.name)
        base = entry.name if entry.kind is Kind.LINK else ""
        if link_escapes(base, entry.target):
            yield Anomaly(
                oddity=Oddity.LINK_ESCAPE, name=entry.name, detail=f"points to {entry.target}", offset=entry.at
            )
