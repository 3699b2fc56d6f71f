"""Knows what wants to hear of a stream while the machine runs it."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """What wants to hear of a stream: imports, calls, and constants that look like more pickles."""

    def imported(self, number: int, op: int, offset: int) -> None:
        """A name was imported for the first time."""

    def unresolved(self, module: int, name: int, op: int, offset: int) -> None:
        """STACK_GLOBAL took a name that only exists at run time."""

    def called(self, target: int, arguments: int, op: int, offset: int) -> bool:
        """A callable is called; True asks for no further calls of this callable by this opcode."""

    def built(self, instance: int, state: int, offset: int, end: int) -> int:
        """BUILD sets state; returns where reading goes on (`end`, or beyond raw bytes that follow)."""

    def filled(self, target: int, items: int, op: int, offset: int) -> None:
        """Items are put into something that is no plain list, dict or set."""

    def persistent(self, identifier: int, offset: int) -> None:
        """A persistent id is loaded."""

    def constant(self, handle: int, start: int, length: int) -> None:
        """A string begins like a pickle."""
