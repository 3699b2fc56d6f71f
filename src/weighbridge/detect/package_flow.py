"""Knows how data flows through a package: from where it comes to what is done with it, across functions and files.

Two facts about each function are carried to a fixed point: labels of what it gives back, and what it does with its
parameters. A chain is a call that hands labelled data to a sink, directly or through such a function. Contexts say when
code runs: at the start of the interpreter, on installation, on import, or when it is called.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.detect.knowledge.behaviour import WEAK, label, sinks
from weighbridge.formats.python_source import MODULE, PARAMETER, PROPERTIES, VALUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from weighbridge.formats.behaviour import Behaviour
    from weighbridge.formats.python_source import Call

Place = tuple[str, str]
START, INSTALL, IMPORT, LAZY = "start", "install", "import", "lazy"
_ROUNDS: Final = 6
_INIT: Final = "__init__"
# What Python calls of an object that is made, or of a module that is asked for a name that it lacks.
_IMPLIED: Final = ("__new__", "__post_init__", "__del__", "__enter__", PROPERTIES)
_THREADS: Final = frozenset({"Thread", "Process", "Timer"})


class Chain(Struct, frozen=True, kw_only=True):
    """Labelled data that reaches a sink: `flow` is a label and a sink, `steps` are (module, line, what) in order."""

    flow: str
    module: str
    call: Call
    context: str
    steps: tuple[tuple[str, int, str], ...]


class Flow:
    """A package's modules by dotted name (`package.__init__` for packages), linked.

    `returns` are the labels of what functions give back and variables hold, `sinks` what functions do with their parameters.
    """

    def __init__(self, modules: Mapping[str, Behaviour]) -> None:
        self.modules = modules
        self._resolved: dict[Place, Place | None] = {}
        self._handed_on: dict[Place, Place | None] = {}
        self._settle()

    def resolve(self, name: str, module: str, scope: str = MODULE) -> Place | None:
        """The function of the package that a called name means; None for what is not of the package."""
        if scope and "." not in name:
            nested = self._nested(name, module, scope)
            if nested is not None:
                return nested
        key = (module, f"{scope.rpartition('.')[0]}|{name}" if name.startswith("self.") else name)
        if key not in self._resolved:
            self._resolved[key] = self._found(name, module, scope)
        return self._resolved[key]

    def called(self, call: Call, module: str) -> Place | None:
        """The function of the package that a call means, by its name or by the class of its value."""
        place = self.resolve(call.name, module, call.scope)
        if place is None and call.method:
            return self.resolve(call.method, module, call.scope)
        return place

    def _nested(self, name: str, module: str, scope: str) -> Place | None:
        """A function that is defined in the function that calls it, or in one around it."""
        own = self.modules[module]
        while scope:
            if scope not in own.classes and f"{scope}.{name}" in own.functions:
                return module, f"{scope}.{name}"
            scope = scope.rpartition(".")[0]
        return None

    def _found(self, name: str, module: str, scope: str) -> Place | None:
        own = self.modules[module]
        if name.startswith("self."):
            method = f"{scope.rpartition('.')[0]}.{name[5:]}"
            return (module, method) if method in own.functions else None
        plain = name.replace("()", "")
        for candidate in (f"{plain}.__init__", plain):
            if candidate in own.functions and candidate != MODULE:
                return module, candidate
        if "." not in plain:
            everything = [one[:-1] for one in own.imports if one.endswith(".*")]
            found = (self._elsewhere(f"{one}{plain}", module) for one in everything)
            return next((place for place in found if place is not None), None)
        return self._elsewhere(plain, module)

    def _elsewhere(self, full: str, module: str) -> Place | None:
        """The place of a full name in another module: of a function, a class, a variable, a method; also where it is imported there."""
        head, _, function = self._absolute(full, module).rpartition(".")
        for _ in range(2):
            for place in (head, f"{head}.{_INIT}"):
                if place in self.modules and place != module:
                    found = self.modules[place]
                    for candidate in (f"{function}.__init__", function):
                        if candidate in found.functions or candidate in found.returns:
                            return place, candidate
                    forwarded = self._forwarded(function, place)
                    if forwarded is not None:
                        return forwarded
            head, _, owner = head.rpartition(".")
            function = f"{owner}.{function}"
        return None

    def _forwarded(self, name: str, module: str) -> Place | None:
        """The place of what a module imports and hands on under a name."""
        key = (module, name)
        if key in self._handed_on:
            return self._handed_on[key]
        # Modules that import from one another end here.
        self._handed_on[key] = None
        own = self.modules[module]
        first, _, rest = name.partition(".")
        everything = [f"{one[:-1]}{first}" for one in own.imports if one.endswith(".*")]
        for full in [own.names[first]] if first in own.names else everything:
            found = self._elsewhere(f"{full}.{rest}" if rest else full, module)
            if found is not None:
                self._handed_on[key] = found
                return found
        return None

    @staticmethod
    def _absolute(name: str, module: str) -> str:
        """A dotted name without the dots that stand for the packages around a module."""
        if not name.startswith("."):
            return name
        level = len(name) - len(name.lstrip("."))
        return ".".join(filter(None, [*module.split(".")[:-level], name.lstrip(".")]))

    def _method(self, name: str, module: str) -> Place | None:
        """The method that a call of a value means, where the package has one of that name alone, in a module that this one knows."""
        root, _, method = name.rpartition(".")
        own = self.modules[module]
        if not root or root.partition(".")[0] in {one.partition(".")[0] for one in own.imports if one[:1] != "."}:
            return None
        place = self._methods.get(method)
        known = place is not None and (
            place[0] == module or any(self.imported(one, module) == place[0] for one in own.imports)
        )
        return place if known else None

    @cached_property
    def _methods(self) -> dict[str, Place]:
        """The methods of which the package has one by that name."""
        found: dict[str, Place | None] = {}
        for name, module in self.modules.items():
            for scope in module.functions:
                owner, _, method = scope.rpartition(".")
                if owner in module.classes and not method.startswith(("__", "<")):
                    found[method] = None if method in found else (name, scope)
        return {method: place for method, place in found.items() if place is not None}

    def imported(self, name: str, module: str) -> str:
        """The module of the package that an import of another module names; empty where it is foreign."""
        full = self._absolute(name, module)
        return next((place for place in (full, f"{full}.{_INIT}") if place in self.modules), "")

    def _settle(self) -> None:
        """Carry what functions give back and do with their parameters to a fixed point."""
        gives = [
            ((name, scope), frozenset("".join(label(one) for one in origins if not one.endswith(VALUE))),
             self._places((one.removesuffix(VALUE) for one in origins if one != PARAMETER), name, scope))
            for name, module in self.modules.items() for scope, origins in module.returns.items() if origins
        ]  # fmt: skip
        does = [
            (
                (name, _around(call.scope)),
                frozenset(sinks_of(call)),
                [place] if (place := self.called(call, name)) else [],
            )
            for name, module in self.modules.items()
            for call in module.calls
            if call.scope and PARAMETER in call.origins
        ]
        self.returns, self.sinks = _settled(gives), _settled(does)

    def _places(self, names: Iterable[str], module: str, scope: str) -> list[Place]:
        return [place for name in names if (place := self.resolve(name, module, scope)) is not None]

    def labels(self, origins: Iterable[str], module: str, scope: str) -> str:
        """The labels of data that is made of the results of these calls."""
        found = set[str]()
        for origin in origins:
            if origin == PARAMETER:
                continue
            name = origin.removesuffix(VALUE)
            if name == origin:
                found.update(label(origin))
            place = self.resolve(name, module, scope)
            if place is not None:
                found.update(self.returns.get(place, ()))
        return "".join(sorted(found))

    def does(self, call: Call, module: str) -> str:
        """What a call does with its arguments: itself, or through the function of the package that it calls."""
        found = set(sinks_of(call))
        place = self.called(call, module)
        if place is not None:
            found.update(self.sinks.get(place, ()))
        return "".join(sorted(found))

    def reach(self, starts: Iterable[Place], *, guess: bool = False) -> set[Place]:
        """Every scope that runs when these run, imports of the package's own modules included.

        With `guess`, methods of values are followed as well, where the package has one of that name alone, and what Python
        calls of an object or a module without being told.
        """
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
            if guess:
                waiting += self._implied(module, scope)
            for called in self.modules[module].functions[scope]:
                place = self.resolve(called, module, scope) or (self._method(called, module) if guess else None)
                if place is not None:
                    waiting.append(place)
                if called.endswith(".<body>"):
                    waiting.append((module, called))
        return found

    def _implied(self, module: str, scope: str) -> Iterator[Place]:
        """What runs beside a scope that makes an object, or is a module."""
        if scope == MODULE:
            yield module, "__getattr__"
            return
        classes = self.modules[module].classes
        made = scope.removesuffix(".__init__")
        if made in classes:
            yield from ((module, f"{made}.{method}") for method in _IMPLIED)
            if any(base.rpartition(".")[2] in _THREADS for base in classes[made]):
                yield module, f"{made}.run"

    def chains(self, contexts: Mapping[Place, str]) -> Iterator[Chain]:
        """Every call that hands labelled data to a sink."""
        for name, module in self.modules.items():
            for call in module.calls:
                labels = self.labels((*call.origins, *call.values), name, call.scope)
                if not labels:
                    continue
                context = contexts.get((name, call.scope), LAZY)
                for sink in self.does(call, name):
                    for source in labels:
                        weak = source in WEAK
                        if weak and ("D" in labels or sink not in sinks_of(call) or (source == "b" and sink != "X")):
                            continue
                        yield Chain(
                            flow=("D" if weak else source) + sink,
                            module=name,
                            call=call,
                            context=context,
                            steps=tuple(self._steps(call, name, source, sink)),
                        )

    def _steps(self, call: Call, module: str, source: str, sink: str) -> Iterator[tuple[str, int, str]]:
        """Where labelled data begins, the functions of other files that it passes, and where it ends, as far as it can be shown."""
        for origin in (*call.origins, *call.values):
            found = self._beginning(origin, module, call.scope, source)
            yield from (step for step in found if step[:2] != (module, call.line))
        yield module, call.line, call.name
        yield from self._end(call, module, sink)

    def _beginning(self, origin: str, module: str, scope: str, source: str) -> list[tuple[str, int, str]]:
        """The way from the line that made data to the function or variable that gives it, that line first."""
        steps: list[tuple[str, int, str]] = []
        for _ in range(_ROUNDS):
            name = origin.removesuffix(VALUE)
            inside = {scope, MODULE} if steps == [] or name != origin else {scope}
            if source in label(origin):
                line = next((c.line for c in self.modules[module].calls if c.name == origin and c.scope in inside), 0)
                return [(module, line, origin), *steps] if line else steps
            place = self.resolve(name, module, scope)
            if place is None or source not in self.returns.get(place, ()):
                return steps
            module, scope = place
            steps.insert(0, (module, 0, f"{scope} {'holds it' if name != origin else 'gives it back'}"))
            given = self.modules[module].returns.get(scope, ())
            origin = next((one for one in given if source in self.labels([one], module, scope)), "")
            if source in label(origin):
                line = next(
                    (c.line for c in self.modules[module].calls if c.name == origin and c.scope in {scope, MODULE}), 0
                )
                return [(module, line, origin), *steps[1:]] if line else steps
        return steps

    def _end(self, call: Call, module: str, sink: str) -> Iterator[tuple[str, int, str]]:
        """The calls of other functions through which what was handed over reaches a sink."""
        for _ in range(_ROUNDS):
            place = self.called(call, module)
            if place is None or sink in sinks_of(call):
                return
            module, scope = place
            inside = [c for c in self.modules[module].calls if c.scope == scope and PARAMETER in c.origins]
            found = next((c for c in inside if sink in self.does(c, module)), None)
            if found is None:
                return
            call = found
            yield module, call.line, call.name


def sinks_of(call: Call) -> str:
    """What a call does with its arguments itself: by its name, or by the class of the value that it is called on."""
    return sinks(call.name) or (sinks(call.method) if call.method else "")


def _around(scope: str) -> str:
    """The function that a lambda stands in: it has the parameters of that."""
    return scope.partition(".<lambda>")[0]


def _settled(facts: list[tuple[Place, frozenset[str], list[Place]]]) -> dict[Place, frozenset[str]]:
    """What each place has: its own, and what the places that it depends on have, carried to a fixed point."""
    made: dict[Place, frozenset[str]] = {}
    for place, own, _ in facts:
        if own:
            made[place] = made.get(place, frozenset()) | own
    linked = [(place, others) for place, _, others in facts if others]
    weak, new = frozenset(WEAK), True
    while new:
        new = False
        for place, others in linked:
            have = made.get(place, frozenset())
            found = have.union(*(made.get(other, frozenset()) - weak for other in others))
            if found != have:
                made[place] = found
                new = True
    return made


def contexts_of(
    flow: Flow, *, start: Iterable[Place], install: Iterable[Place], imports: Iterable[Place], guess: bool = False
) -> dict[Place, str]:
    """When each scope runs; the earliest where there are several. `guess` as for `Flow.reach`."""
    found: dict[Place, str] = {}
    for context, starts in ((IMPORT, imports), (INSTALL, install), (START, start)):
        found.update(dict.fromkeys(flow.reach(starts, guess=guess), context))
    return found
