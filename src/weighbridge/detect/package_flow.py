"""Knows how data flows through a package: from where it comes to what is done with it, across functions and files.

Two facts about each function are carried to a fixed point: labels of what it gives back, and what it does with its
parameters. A chain is a call that hands labelled data to a sink, directly or through such a function. Contexts say when
code runs: at the start of the interpreter, on installation, on import, or when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.detect.knowledge.behaviour import label, sinks
from weighbridge.formats.python_source import MODULE, PARAMETER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from weighbridge.formats.behaviour import Behaviour
    from weighbridge.formats.python_source import Call

Place = tuple[str, str]
START, INSTALL, IMPORT, LAZY = "start", "install", "import", "lazy"
_ROUNDS: Final = 6
_INIT: Final = "__init__"


class Chain(Struct, frozen=True, kw_only=True):
    """Labelled data that reaches a sink: `flow` is a label and a sink, `steps` are (module, line, what) in order."""

    flow: str
    module: str
    call: Call
    context: str
    steps: tuple[tuple[str, int, str], ...]


class Flow:
    """A package's modules by dotted name (`package.__init__` for packages), linked."""

    def __init__(self, modules: Mapping[str, Behaviour]) -> None:
        self.modules = modules
        self._resolved: dict[Place, Place | None] = {}
        self._returns: dict[Place, frozenset[str]] = {}
        self._sinks: dict[Place, frozenset[str]] = {}
        self._settle()

    def resolve(self, name: str, module: str, scope: str = MODULE) -> Place | None:
        """The function of the package that a called name means; None for what is not of the package."""
        key = (module, f"{scope.rpartition('.')[0]}|{name}" if name.startswith("self.") else name)
        if key not in self._resolved:
            self._resolved[key] = self._found(name, module, scope)
        return self._resolved[key]

    def _found(self, name: str, module: str, scope: str) -> Place | None:
        own = self.modules[module]
        if name.startswith("self."):
            method = f"{scope.rpartition('.')[0]}.{name[5:]}"
            return (module, method) if method in own.functions else None
        for candidate in (name, f"{name}.__init__"):
            if candidate in own.functions and candidate != MODULE:
                return module, candidate
        full = name
        if name.startswith("."):
            level = len(name) - len(name.lstrip("."))
            full = ".".join([*module.split(".")[:-level], name.lstrip(".")])
        head, _, function = full.rpartition(".")
        for place in (head, f"{head}.{_INIT}"):
            if place in self.modules and place != module:
                found = self.modules[place]
                for candidate in (function, f"{function}.__init__"):
                    if candidate in found.functions:
                        return place, candidate
        return None

    def imported(self, name: str, module: str) -> str:
        """The module of the package that an import of another module names; empty where it is foreign."""
        full = name
        if name.startswith("."):
            level = len(name) - len(name.lstrip("."))
            full = ".".join(filter(None, [*module.split(".")[:-level], name.lstrip(".")]))
        return next((place for place in (full, f"{full}.{_INIT}") if place in self.modules), "")

    def _settle(self) -> None:
        """Carry what functions give back and do with their parameters to a fixed point."""
        for _ in range(_ROUNDS):
            before = (self._returns, self._sinks)
            self._returns = self._next_returns()
            self._sinks = self._next_sinks()
            if before == (self._returns, self._sinks):
                return

    def _next_returns(self) -> dict[Place, frozenset[str]]:
        made = {}
        for name, module in self.modules.items():
            for scope, origins in module.returns.items():
                found = frozenset(self.labels(origins, name, scope))
                if found:
                    made[name, scope] = found
        return made

    def _next_sinks(self) -> dict[Place, frozenset[str]]:
        made: dict[Place, set[str]] = {}
        for name, module in self.modules.items():
            for call in module.calls:
                if call.scope and PARAMETER in call.origins:
                    found = self.does(call, name)
                    if found:
                        made.setdefault((name, call.scope), set()).update(found)
        return {place: frozenset(found) for place, found in made.items()}

    def labels(self, origins: Iterable[str], module: str, scope: str) -> str:
        """The labels of data that is made of the results of these calls."""
        found = set[str]()
        for origin in origins:
            if origin == PARAMETER:
                continue
            found.update(label(origin))
            place = self.resolve(origin, module, scope)
            if place is not None:
                found.update(self._returns.get(place, ()))
        return "".join(sorted(found))

    def does(self, call: Call, module: str) -> str:
        """What a call does with its arguments: itself, or through the function of the package that it calls."""
        found = set(sinks(call.name))
        place = self.resolve(call.name, module, call.scope)
        if place is not None:
            found.update(self._sinks.get(place, ()))
        return "".join(sorted(found))

    def reach(self, starts: Iterable[Place]) -> set[Place]:
        """Every scope that runs when these run, imports of the package's own modules included."""
        found: set[Place] = set()
        waiting = list(starts)
        while waiting:
            module, scope = waiting.pop()
            if (module, scope) in found or scope not in self.modules[module].functions:
                continue
            found.add((module, scope))
            if scope == MODULE:
                waiting += [
                    (other, MODULE) for name in self.modules[module].imports if (other := self.imported(name, module))
                ]
            for called in self.modules[module].functions[scope]:
                place = self.resolve(called, module, scope)
                if place is not None:
                    waiting.append(place)
                if called.endswith(".<body>"):
                    waiting.append((module, called))
                if scope and f"{scope}.{called}" in self.modules[module].functions:
                    waiting.append((module, f"{scope}.{called}"))
        return found

    def chains(self, contexts: Mapping[Place, str]) -> Iterator[Chain]:
        """Every call that hands labelled data to a sink."""
        for name, module in self.modules.items():
            for call in module.calls:
                labels = self.labels(call.origins, name, call.scope)
                if not labels:
                    continue
                context = contexts.get((name, call.scope), LAZY)
                for sink in self.does(call, name):
                    for source in labels:
                        yield Chain(
                            flow=source + sink,
                            module=name,
                            call=call,
                            context=context,
                            steps=tuple(self._steps(call, name, source, sink)),
                        )

    def _steps(self, call: Call, module: str, source: str, sink: str) -> Iterator[tuple[str, int, str]]:
        """Where labelled data begins and ends, as far as it can be shown."""
        for origin in call.origins:
            place = self.resolve(origin, module, call.scope)
            if place is not None and source in self._returns.get(place, ()):
                line = next(
                    (c.line for c in self.modules[place[0]].calls if c.scope == place[1] and source in label(c.name)), 0
                )
                yield place[0], line, f"{origin} gives it back"
            elif source in label(origin):
                line = next((c.line for c in self.modules[module].calls if c.name == origin and c.line <= call.line), 0)
                if line != call.line:
                    yield module, line, origin
        yield module, call.line, call.name
        place = self.resolve(call.name, module, call.scope)
        if place is not None and sink not in sinks(call.name):
            end = next((c for c in self.modules[place[0]].calls if c.scope == place[1] and sink in sinks(c.name)), None)
            if end is not None:
                yield place[0], end.line, end.name


def contexts_of(
    flow: Flow, *, start: Iterable[Place], install: Iterable[Place], imports: Iterable[Place]
) -> dict[Place, str]:
    """When each scope runs; the earliest where there are several."""
    found: dict[Place, str] = {}
    for context, starts in ((IMPORT, imports), (INSTALL, install), (START, start)):
        found.update(dict.fromkeys(flow.reach(starts), context))
    return found
