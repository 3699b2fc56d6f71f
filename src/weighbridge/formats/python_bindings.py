"""Knows what variables of a Python file are made of, as far as assignments, loops and arguments say it.

Scopes are dotted names of functions; what an object holds is kept for its class, whatever object it is.
"""

from __future__ import annotations

import ast
from typing import Final

from weighbridge.formats.python_source import MODULE

_TARGETS: Final = 64
_OUTER: Final = 4


class Bindings:
    """What each name was made of: (scope, name) → the calls whose results it holds."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[str, ...]] = {}
        self._shared: set[tuple[str, str]] = set()
        # What a variable or an attribute is an object of: `.client.Client()`.
        self._objects: dict[tuple[str, str], str] = {}

    def share(self, name: str, scope: str) -> None:
        """Have a name of a function mean that of the module, as `global` does."""
        self._shared.add((scope, name))

    def bind(self, target: ast.AST, origins: tuple[str, ...], scope: str, *, more: bool = False) -> None:
        """Say what a target is made of; with `more`, in addition to what it was made of before."""
        waiting: list[tuple[ast.AST, bool]] = [(target, more)]
        for _ in range(_TARGETS):
            if not waiting:
                return
            current, added = waiting.pop()
            if isinstance(current, ast.Tuple | ast.List):
                waiting += [(part, added) for part in current.elts]
            elif isinstance(current, ast.Starred):
                waiting.append((current.value, added))
            elif isinstance(current, ast.Subscript):
                waiting.append((current.value, True))
            else:
                name = written(current)
                if name:
                    # Objects of a class share what is kept for it: one assignment does not undo another.
                    self.bind_name(name, origins, scope, more=added or "." in name)

    def bind_name(self, name: str, origins: tuple[str, ...], scope: str, *, more: bool = False) -> None:
        """The same for a name."""
        place = self._home(name, scope)
        before = self._made.get(place, ()) if more else ()
        self._made[place] = tuple(dict.fromkeys((*before, *origins))) if before else origins

    def origins(self, node: ast.AST, scope: str) -> tuple[str, ...]:
        """What a name, or an attribute of one, is made of."""
        name = written(node)
        if not name:
            return ()
        found = self._made.get(self._home(name, scope))
        outer = scope
        for _ in range(_OUTER):
            if found or not outer:
                break
            outer = outer.rpartition(".")[0]
            found = self._made.get((outer, name))
        if not found and "." in name:
            owner, _, attribute = name.rpartition(".")
            body = f"{scope.rpartition('.')[0] if owner == 'self' else owner}.<body>"
            found = self._made.get((body, attribute))
        return found or ()

    def is_object(self, target: ast.AST, made: str, scope: str) -> None:
        """Say what a target is an object of; empty where that is not known."""
        name = written(target)
        if name and (made or self._home(name, scope) in self._objects):
            self._objects[self._home(name, scope)] = made

    def method(self, node: ast.AST, scope: str) -> str:
        """The name of a method by the class of its value: `.client.Client().fetch`; empty where that is not known."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
            name = written(node)
            if name:
                made = self._objects.get(self._home(name, scope)) or self._objects.get((MODULE, name))
                if made:
                    return ".".join([made, *reversed(parts)])
        return ""

    def _home(self, name: str, scope: str) -> tuple[str, str]:
        """Where a name is kept: a variable in its function, an attribute of self in its class."""
        if name.startswith("self."):
            return scope.rpartition(".")[0], name
        return (MODULE if (scope, name) in self._shared else scope), name


def written(node: ast.AST) -> str:
    """A name with its attributes as it is written; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
        return ".".join(reversed(parts))
    return ""
