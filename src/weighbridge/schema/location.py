"""Knows how a place inside an artifact is written down."""

from __future__ import annotations

from msgspec import Struct

SEPARATOR = " » "


class Location(Struct, frozen=True, kw_only=True):
    """A place: the chain of members that leads there, and a position in the last of them.

    `path` holds the file, then each archive member on the way (`("model.pt", "archive/data.pkl")`).
    `offset` counts bytes from the start of the innermost member, `opcode` counts pickle opcodes
    from the start of the stream, `line` counts from 1; each is None where it has no meaning.
    """

    path: tuple[str, ...]
    offset: int | None = None
    opcode: int | None = None
    line: int | None = None

    @property
    def member(self) -> str:
        """The chain of members as one string."""
        return SEPARATOR.join(self.path)

    def at(self, offset: int, opcode: int | None = None) -> Location:
        """The same member at another position."""
        return Location(path=self.path, offset=offset, opcode=opcode)

    def inside(self, name: str) -> Location:
        """The member `name` of the container at this place."""
        return Location(path=(*self.path, name))
