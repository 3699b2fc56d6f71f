"""Draws texts by chance for tests that are too slow for all of them: the same ones however the rows are parted.

The sketch keeps those with the lowest digests (bottom-k; Cohen and Kaplan 2007). The digest depends on a seed that the caller takes
from the data as a whole, so that who adds a row to it cannot tell whether that row will be drawn.
"""

from __future__ import annotations

from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 20_000
SIGNS: Final = 2000


class Drawn:
    """The sketch: numbers of rows with the first 2,000 signs of their text."""

    def __init__(self, seed: int = 0, most: int = MOST) -> None:
        self._key, self._most = seed.to_bytes(8, "little"), most
        self._kept: list[tuple[bytes, int, str]] = []
        self._below = b"\xff" * 8

    def add(self, texts: Iterable[str], first: int) -> None:
        """Take texts; the first is that of the row `first`."""
        key, kept = self._key, self._kept
        for row, text in enumerate(texts, first):
            digest = blake2b(text.encode("utf-8", "replace"), digest_size=8, key=key).digest()
            if digest <= self._below:
                kept.append((digest, row, text[:SIGNS]))
        self._prune()

    def join(self, other: Drawn, first: int) -> None:
        """Take what was drawn of the rows that follow; the first of them has the number `first`."""
        self._kept += [(digest, first + row, text) for digest, row, text in other._kept if digest <= self._below]
        self._prune()

    def finish(self) -> tuple[list[int], list[str]]:
        """The rows that were drawn, in their order, and their texts."""
        self._prune(0)
        ordered = sorted(self._kept, key=itemgetter(1))
        return [row for _, row, _ in ordered], [text for _, _, text in ordered]

    def _prune(self, spare: int = MOST) -> None:
        if len(self._kept) > self._most + spare:
            self._kept.sort()
            del self._kept[self._most :]
            self._below = self._kept[-1][0]
