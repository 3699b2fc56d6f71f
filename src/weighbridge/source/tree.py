"""Knows the one shape of everything that has members: list them, read a window of one."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.blob import Blob


class Kind(StrEnum):
    """What an entry of a tree is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARDLINK = "hard link"
    SPECIAL = "device or pipe"


class Oddity(StrEnum):
    """A way in which a container's own structure is not what its writer should have produced."""

    TRAVERSAL = "path leaves the folder"
    LINK_ESCAPE = "link leaves the folder"
    DUPLICATE = "name occurs twice"
    COLLISION = "names differ only in case or normal form"
    HEADERS_DIFFER = "local and central header differ"
    CHECKSUM = "checksum does not match"
    OVERLAP = "members overlap"
    HIDDEN = "bytes between members"
    PREFIX = "bytes before the archive"
    SECOND_DIRECTORY = "second directory"
    TRAILING = "bytes after the archive"
    FALSE_FLAG = "flag contradicts the data"
    METHOD = "compression method without a reader"
    ENCRYPTED = "encrypted"
    MODE = "setuid, device or foreign owner"
    TOO_MANY = "too many members"
    CUT = "cut off"


class Anomaly(Struct, frozen=True, kw_only=True):
    """An oddity with the member it concerns and its place in the container."""

    oddity: Oddity
    name: str
    detail: str
    offset: int = 0


class Entry(Struct, frozen=True, kw_only=True):
    """One member. `size` is what the container claims, `at` where its record stands.

    `handle` is the tree's own business.
    """

    name: str
    size: int
    kind: Kind = Kind.FILE
    at: int = 0
    encrypted: bool = False
    target: str = ""
    handle: int = 0


class Tree(Protocol):
    """A folder, an archive, or anything else with members."""

    format: str

    def entries(self) -> Iterator[Entry]:
        """Members in the order of the container. Raises MalformedInput where its structure ends early."""
        ...

    def open(self, entry: Entry) -> Blob:
        """The bytes of a member. Raises SourceError, MalformedInput or LimitExceeded."""
        ...

    def verify(self, entry: Entry, blob: Blob) -> None:
        """Compare an opened member with the checksum that the container states; note a difference."""
        ...

    def flag_is_false(self, entry: Entry) -> None:
        """Note that a member marked as encrypted could be read without a key."""
        ...

    def anomalies(self) -> list[Anomaly]:
        """What was odd so far; complete once every member has been listed and opened."""
        ...


class Unchecked:
    """What a container answers that states no checksum and no flag that is read here."""

    def verify(self, entry: Entry, blob: Blob) -> None:
        """See `Tree.verify`."""

    def flag_is_false(self, entry: Entry) -> None:
        """See `Tree.flag_is_false`."""
