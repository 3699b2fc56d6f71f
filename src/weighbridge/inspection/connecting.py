"""Knows which files of a package have to be read in full after all: those through which data flows from one file to the next.

A file that names nothing dangerous is read as an outline (`formats/python_outline`). It may still take what one module
downloads and hand it to another that runs it. Where a function of an outline calls both kinds, it and whatever stands
between are parsed; the outline says too much about flow, never too little, so nothing else is needed of it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from msgspec.structs import replace

from weighbridge.detect.knowledge.behaviour import obfuscator
from weighbridge.detect.package_chains import CRITICAL_FLOWS
from weighbridge.detect.package_flow import Flow
from weighbridge.detect.pkg import matters, telling
from weighbridge.formats.behaviour import behaviour
from weighbridge.formats.python_source import read_python
from weighbridge.schema import Coverage, Reason, Status, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from weighbridge.detect.package_flow import Place
    from weighbridge.formats.behaviour import Behaviour
    from weighbridge.formats.python_source import PythonModule

Modules = dict[str, tuple[tuple[str, ...], "Behaviour"]]


def in_full(path: tuple[str, ...], module: PythonModule, source: str) -> Behaviour:
    """What is kept of a file of a package that was parsed."""
    home = frozenset(path[-1].split("/")[:-1])
    return behaviour(module, source, home, matters, telling, obfuscator)


def connected(modules: Modules) -> tuple[Modules, Flow, list[Coverage]]:
    """The modules of a package, with those that connect dangerous ones read in full; all of them linked; what could not be parsed."""
    flow, unread = _linked(modules), []
    # Every round has fewer outlines.
    while wanted := sorted(_connecting(flow)):
        modules = dict(modules)
        for name in wanted:
            path, outline = modules[name]
            source = zlib.decompress(outline.packed).decode("utf-8", "surrogatepass")
            try:
                modules[name] = path, in_full(path, read_python(source), source)
            except WeighbridgeError as error:
                # It stays an outline, and is asked for no more.
                modules[name] = path, replace(outline, packed=b"")
                unread.append(_unread(path, len(source), error.message))
        flow = _linked(modules)
    return modules, flow, unread


def _unread(path: tuple[str, ...], size: int, message: str) -> Coverage:
    detail = f"dangerous data may pass through it, and it cannot be followed: {message}"
    return Coverage(
        path=path, format="python", size=size, status=Status.TRUNCATED, reason=Reason.MALFORMED, detail=detail
    )


def _linked(modules: Modules) -> Flow:
    return Flow({name: code for name, (_, code) in modules.items()})


def _connecting(flow: Flow) -> set[str]:
    """The outlines in which one function calls what may give dangerous data and what may do harm with it, and those between."""
    gives: dict[Place, set[str]] = {place: set(found) for place, found in flow.returns.items()}
    does: dict[Place, set[str]] = {place: set(found) for place, found in flow.sinks.items()}
    if not any(source + sink in CRITICAL_FLOWS for source in _all(gives) for sink in _all(does)):
        return set()
    calls = _ways(flow, {*gives, *does})
    while _spread(calls, gives) | _spread(calls, does):
        pass
    found: set[str] = set()
    for (module, scope), called in calls.items():
        pairs = {source + sink for source in gives.get((module, scope), ()) for sink in does.get((module, scope), ())}
        if pairs & CRITICAL_FLOWS:
            found |= {module, *_between(called, calls, gives, does)}
    return {name for name in found if flow.modules[name].packed}


def _all(table: Mapping[Place, set[str]]) -> set[str]:
    return {one for found in table.values() for one in found}


def _ways(flow: Flow, dangerous: set[Place]) -> dict[Place, set[Place]]:
    """What each function of an outline calls in modules through which a dangerous one can be reached.

    A method of a value may be any of that name in a module that the file imports.
    """
    reached = _reaching(flow, {module for module, _ in dangerous})
    methods: dict[str, set[Place]] = {}
    for place in dangerous:
        if "." in place[1]:
            methods.setdefault(place[1].rpartition(".")[2], set()).add(place)
    found: dict[Place, set[Place]] = {}
    for name in reached:
        code = flow.modules[name]
        known = {name, *(flow.imported(one, name) for one in code.imports)} if code.packed else set()
        for scope, called in code.functions.items() if code.packed else ():
            meant = (flow.resolve(one, name, scope) for one in called)
            places = {place for place in meant if place is not None and place[0] in reached}
            for one in called if methods else ():
                places |= {place for place in methods.get(one.rpartition(".")[2], ()) if place[0] in known}
            if places:
                found[name, scope] = places
    return found


def _reaching(flow: Flow, dangerous: set[str]) -> set[str]:
    """These modules, and the outlines that import them, directly or through other outlines."""
    importing: dict[str, set[str]] = {}
    for name, code in flow.modules.items():
        if code.packed:
            for imported in code.imports:
                importing.setdefault(flow.imported(imported, name), set()).add(name)
    reached, waiting = set(dangerous), list(dangerous)
    while waiting:
        for name in importing.get(waiting.pop(), ()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached


def _spread(calls: Mapping[Place, set[Place]], table: dict[Place, set[str]]) -> bool:
    """Let every function have what the functions that it calls have. Whether anything was new."""
    new = False
    for place, called in calls.items():
        have = set().union(*(table.get(one, ()) for one in called))
        if not have <= table.get(place, set()):
            table.setdefault(place, set()).update(have)
            new = True
    return new


def _between(
    called: set[Place],
    calls: Mapping[Place, set[Place]],
    gives: Mapping[Place, set[str]],
    does: Mapping[Place, set[str]],
) -> set[str]:
    """The modules of the functions that dangerous data may pass on its way."""
    seen: set[Place] = set()
    waiting = list(called)
    while waiting:
        place = waiting.pop()
        if place not in seen and (gives.get(place) or does.get(place)):
            seen.add(place)
            waiting += calls.get(place, ())
    return {module for module, _ in seen}
