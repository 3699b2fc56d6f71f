"""Knows in which ways the registry says no. Each is told in words that a developer can act on."""

from __future__ import annotations

from enum import StrEnum

from weighbridge.schema import WeighbridgeError


class No(StrEnum):
    """Why not."""

    WHO = "who are you"
    FORBIDDEN = "not allowed"
    REPOSITORY = "no such repository"
    REVISION = "no such revision, or none that was approved"
    ENTRY = "no such file"
    CONFLICT = "somebody was faster"
    INVALID = "not understood"
    TOO_MUCH = "too many requests, or too large"
    LATER = "not now"


class Refusal(WeighbridgeError):
    """A request that is not granted. `case` is the number under which people can look it up, where there is one."""

    def __init__(self, why: No, message: str, *, hint: str = "", case: int = 0, commit: str = "") -> None:
        super().__init__(message, hint=hint)
        self.why, self.case, self.commit = why, case, commit
