"""Knows what names of a script mean in each function, and the brackets that are open while it is read."""

from __future__ import annotations


class Scope:
    """What names mean in a function: what they stand for, and what they are made of."""

    def __init__(self, outer: Scope | None) -> None:
        self.outer = outer
        self.names: dict[str, str] = {}
        self.made: dict[str, set[str]] = {}
        self.functions: dict[str, int] = {}
        self.texts: dict[str, str] = {}

    def holder(self, name: str) -> Scope:
        """The scope that a name is declared in; the outermost where none is."""
        here = self
        while (
            name not in here.made and name not in here.names and name not in here.functions and here.outer is not None
        ):
            here = here.outer
        return here

    def declare(self, name: str) -> None:
        """Have a name of its own here."""
        self.made.setdefault(name, set())


class Frame:
    """A bracket that is open, or a function without braces. `kind` is call, group, object, block, body or arrow."""

    __slots__ = (
        "assigned", "function", "handed", "kind", "line", "name", "origins", "scope", "start", "targets", "texts",
    )  # fmt: skip

    def __init__(self, kind: str, start: int, scope: Scope, name: str = "") -> None:
        self.kind, self.start, self.scope, self.name = kind, start, scope, name
        self.origins: dict[str, None] = {}
        self.texts: list[str] = []
        self.handed: list[str] = []  # what runs something, and is handed over by its name
        self.targets: list[tuple[str, str]] | None = None  # (what is assigned to, its name in what is taken apart)
        self.assigned: dict[str, None] = {}
        self.function = -1
        self.line = 0

    @property
    def holds(self) -> bool:
        """Whether what stands in it is no part of what stands around it."""
        return self.kind in {"block", "body"}
