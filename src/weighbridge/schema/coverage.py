"""Knows how much of an artifact was looked at. Not looking is a result."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from weighbridge.schema.location import SEPARATOR


class Status(StrEnum):
    """What became of one member."""

    INSPECTED = "inspected"
    SKIPPED = "skipped"
    TRUNCATED = "truncated"


class Reason(StrEnum):
    """Why a member was skipped or truncated."""

    NONE = ""
    ENCRYPTED = "encrypted"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported format"
    MALFORMED = "malformed"
    LIMIT = "limit reached"
    NOT_REGULAR = "not a regular file"
    INTERNAL = "internal error"
    EMPTY = "empty"
    MISSING = "not there"
    STALE = "out of date"
    UNREACHABLE = "not reached"


class Coverage(Struct, frozen=True, kw_only=True):
    """The account of one member, in bytes.

    `inspected` were parsed, `tensor` are understood as plain numbers, and the rest of `size` is
    not understood. `detail` says which limit or what was wrong.
    """

    path: tuple[str, ...]
    format: str
    size: int
    inspected: int = 0
    tensor: int = 0
    status: Status = Status.INSPECTED
    reason: Reason = Reason.NONE
    detail: str = ""

    @property
    def opaque(self) -> int:
        """Bytes that were not understood."""
        return max(0, self.size - self.inspected - self.tensor)

    @property
    def member(self) -> str:
        """The chain of members as one string."""
        return SEPARATOR.join(self.path)
