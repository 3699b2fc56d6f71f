"""Knows which failures exist and who has to act on each of them."""

from __future__ import annotations

from weighbridge.schema.provenance import Complaint


class WeighbridgeError(Exception):
    """A failure with a one-line message and a hint that says what to do next."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes with all that they say; their constructors ask for more than a message."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[WeighbridgeError], args: tuple[str, ...], state: dict[str, object]) -> WeighbridgeError:
    made = kind.__new__(kind, *args)
    made.__dict__.update(state)
    return made


class UsageError(WeighbridgeError):
    """The caller asked for something that cannot be done as asked."""


class SourceError(WeighbridgeError):
    """Bytes could not be fetched: missing, forbidden, or the medium failed."""


class MalformedInput(WeighbridgeError):
    """A hostile or damaged file broke the grammar of its format.

    `offset` is the byte position, in the member being read, where the grammar was broken.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class LimitExceeded(WeighbridgeError):
    """A bound on memory, time, depth or members was reached; `limit` names it."""

    def __init__(self, message: str, *, limit: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class VerificationFailed(WeighbridgeError):
    """A signature, digest or statement does not match what it is attached to.

    `complaints` says so in findings' terms: one of `rule` with the message, unless several are given.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", rule: str = "PRV-002", complaints: tuple[Complaint, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.complaints = complaints or (Complaint(rule, "", message),)


class Unavailable(WeighbridgeError):
    """An optional part (extra, service, reference data) that is needed is not present."""
