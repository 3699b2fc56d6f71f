"""Knows how long each value of a program is needed: a deep network would otherwise hold every layer of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def last_uses(taken: Iterable[Iterable[str]], kept: Collection[str]) -> dict[int, list[str]]:
    """Which values nobody needs any more after a step: `taken` are those that each step takes, `kept` are never let go."""
    last = {name: at for at, names in enumerate(taken) for name in names}
    found: dict[int, list[str]] = {}
    for name, at in last.items():
        if name not in kept:
            found.setdefault(at, []).append(name)
    return found
