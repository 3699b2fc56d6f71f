"""Knows how structured binary files are read: numbers and bytes at a position, each bounded by what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_PAGE: Final = 1 << 16


class Window:
    """Random access to a blob through one cached page. Every read says what it wanted when it fails."""

    def __init__(self, blob: Blob, *, steps: int = 4_000_000) -> None:
        self._blob = blob
        self.size = blob.size
        self._at = self._end = 0
        self._page = b""
        self._steps = steps

    def step(self, count: int = 1) -> None:
        """Account for a piece of structure. Raises LimitExceeded beyond the budget."""
        self._steps -= count
        if self._steps < 0:
            raise LimitExceeded("the file has more structure than is read", limit="members")

    def bytes(self, at: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises MalformedInput where the file ends before."""
        if at < 0 or length < 0 or length > self.size - at:
            raise MalformedInput(f"{length} bytes are claimed and {max(0, self.size - at)} are left", offset=max(0, at))
        if length > _PAGE:
            return self._blob.read(at, length)
        if not (self._at <= at and length <= self._end - at):
            self._page = self._blob.read(at, _PAGE)
            self._at, self._end = at, at + len(self._page)
        return self._page[at - self._at : at - self._at + length]

    def uint(self, at: int, width: int, *, big: bool = False) -> int:
        """An unsigned integer of `width` bytes."""
        return int.from_bytes(self.bytes(at, width), "big" if big else "little")

    def sint(self, at: int, width: int, *, big: bool = False) -> int:
        """A signed integer of `width` bytes."""
        return int.from_bytes(self.bytes(at, width), "big" if big else "little", signed=True)

    def text(self, at: int, length: int, *, most: int = 1 << 20) -> str:
        """At most `most` bytes as UTF-8, with what is none replaced; the length itself is checked in full."""
        if length > self.size - at:
            raise MalformedInput(f"a text of {length} bytes, and {max(0, self.size - at)} are left", offset=max(0, at))
        return self.bytes(at, min(length, most)).decode("utf-8", "replace")
