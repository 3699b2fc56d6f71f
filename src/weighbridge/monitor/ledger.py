"""Knows which tools and destinations have been used before: learned for a while, then locked. At most 10,000 names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 10_000


class Ledger:
    """Names with how often they came up. While it learns, nothing is new."""

    def __init__(self, known: Iterable[str] = (), *, locked: bool = True) -> None:
        self.count = dict.fromkeys(known, 0)
        self.locked = locked
        self.refused = 0

    def meet(self, name: str) -> bool:
        """Whether this name is used for the first time and nobody allowed it."""
        if name in self.count:
            self.count[name] += 1
            return False
        if len(self.count) >= _MOST:
            self.refused += 1
            return self.locked
        self.count[name] = 1
        return self.locked

    def allow(self, name: str) -> None:
        """From now on this name is known."""
        self.count.setdefault(name, 0)

    def dump(self) -> bytes:
        """As a file."""
        table = {"locked": self.locked, "known": dict(sorted(self.count.items()))}
        return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def load(data: bytes, name: str) -> Ledger:
    """From a file. Raises UsageError."""
    try:
        table = msgspec.json.decode(data)
        made = Ledger(locked=bool(table["locked"]))
        made.count = {str(key): int(value) for key, value in table["known"].items()}
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name}: not a ledger: {error}", hint="weighbridge monitor ledger writes one") from error
    return made
