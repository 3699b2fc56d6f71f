"""Knows how much time an artifact has left, and what decompression may still produce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.formats.pickle.window import Exhausted
from weighbridge.source import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.schema import Limits


class Account:
    """The bounds of one inspection. `clock` gives seconds and is only compared with itself."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.bytes = Budget(limits)
        self.members = 0
        self._clock = clock
        self._deadline = clock() + limits.seconds

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self._clock() > self._deadline

    def watched(self, read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
        """`read`, which raises Exhausted once the time is up, so that no loop over a stream outlives it."""

        def checked(offset: int, length: int) -> bytes:
            if self.late:
                raise Exhausted("seconds")
            return read(offset, length)

        return checked
