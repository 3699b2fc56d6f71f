"""Knows Python source as one pass over its syntax tree: what it calls, under the real names, and what runs on import.

Names are followed through imports, plain assignments, constant `getattr` and `__import__`. Nothing is executed. The
call graph of one module, and of several modules of a package, tells what importing a module sets off.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SIZE: Final = 4 << 20
MODULE: Final = ""
# Stands for an attribute whose name is put together while the program runs.
COMPUTED: Final = "(computed)"
_RUNS: Final = re.compile(
    r"(?:exec|eval|builtins\.\w+|os\.(?:system|popen|exec\w+|spawn\w+|startfile)|subprocess\.\w+|pty\.spawn|types\.FunctionType)\Z"
)
PARAMETER: Final = "<parameter>"
# Functions that call what they are given, at once or soon.
CALL_BACK: Final = frozenset({
    "Thread", "Timer", "Process", "register", "submit", "start_new_thread", "apply", "map", "filter", "call_soon", "create_task", "run",
    "ensure_future", "run_until_complete", "starmap", "reduce", "partial", "settrace", "setprofile",
})  # fmt: skip
# Behind the name of a variable of another module: what it holds, not what calling it gives.
VALUE: Final = "<value>"
# Stands for where private keys, wallets and the stores of browsers lie.
SECRETS: Final = "<secrets>"
# Stands for what else proves who somebody is, and for what a command prints of it.
CREDENTIALS: Final = "<credentials>"
# Stands for what a machine far away says, handed to a function that listens.
MESSAGE: Final = "<message>"
# Stands for a parameter that is a private key by its name.
KEY: Final = "<key>"
# Before the name of a function of another module that was replaced: what is handed to it.
PATCHED: Final = "<patched> "
# Stands for the home of the user, as a whole.
HOME: Final = "<home>"
# Stands for bytes that are written out as numbers.
NUMBERS: Final = "<numbers>"
# Behind the name of a class: its properties, which run when they are looked at.
PROPERTIES: Final = "<properties>"
# Stands for the content of a picture, a sound or a font.
MEDIA: Final = "open(media)"


class Keyword(Struct, frozen=True):
    """A keyword argument: its constant value, or None with `constant` false; `refers` is the name it hands over."""

    name: str
    value: object
    constant: bool
    refers: str = ""


class Call(Struct, frozen=True, kw_only=True):
    """One call. `scope` is the function it stands in, empty for module level; `origins` are calls that made its arguments.

    `method` is the name by the class that the value was made of, where that is known: `.client.Client().fetch`.
    `values` are variables of other modules among its arguments, `arguments` constant positional arguments (None where they
    are not constant), `refers` the names handed over.
    """

    name: str
    line: int
    scope: str
    arguments: tuple[object, ...]
    keywords: tuple[Keyword, ...]
    origins: tuple[str, ...]
    refers: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    method: str = ""

    def keyword(self, name: str) -> Keyword | None:
        """The keyword argument of this name."""
        return next((item for item in self.keywords if item.name == name), None)


class Text(Struct, frozen=True):
    """A string constant of some length, with its line."""

    line: int
    value: str


class PythonModule(Struct, frozen=True, kw_only=True):
    """One file. `functions` maps a function or method to the names it calls, `classes` to their bases.

    `returns` maps a function, and a variable of the module, to the calls whose results it gives back, or holds; `names`
    maps what is imported, by the name it has here, to its full name.
    """

    imports: tuple[str, ...]
    calls: tuple[Call, ...]
    functions: dict[str, tuple[str, ...]]
    classes: dict[str, tuple[str, ...]]
    texts: tuple[Text, ...]
    lines: int
    returns: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}

    @property
    def at_import(self) -> tuple[Call, ...]:
        """Calls that happen when the module is imported, directly or through its own functions."""
        scopes = reachable({"": self})[""]
        return tuple(call for call in self.calls if call.scope in scopes)

    @property
    def outline(self) -> PythonModule:
        """What a call graph over several modules needs: functions, classes, and the calls that run something."""
        calls = tuple(call for call in self.calls if call.scope and _RUNS.match(call.name))
        return replace(self, calls=calls, texts=())


def read_python(source: str) -> PythonModule:
    """Parse one file. Raises MalformedInput where it is no Python, LimitExceeded where it is too large."""
    if len(source) > _SIZE:
        raise LimitExceeded(f"{len(source)} characters of Python", limit="text_bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError as error:
        raise MalformedInput(f"not Python: {error.msg} in line {error.lineno}") from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise MalformedInput(f"not Python: {error}") from error
    from weighbridge.formats.python_reader import Reader  # noqa: PLC0415  # it imports the facts above

    return Reader().module(tree, source.count("\n") + 1)


def reachable(modules: Mapping[str, PythonModule], roots: Iterable[str] = (MODULE,)) -> dict[str, frozenset[str]]:
    """For each module, the scopes that run when it is imported, or when one of `roots` is called.

    `modules` maps dotted names to modules of one package; calls are followed across them, relative imports included.
    """
    found: dict[str, set[str]] = {name: set() for name in modules}
    waiting = [(name, root) for name in modules for root in roots]
    while waiting:
        name, scope = waiting.pop()
        module = modules[name]
        if scope in found[name] or scope not in module.functions:
            continue
        found[name].add(scope)
        for called in module.functions[scope]:
            waiting += [(name, target) for target in targets(called, scope, module)]
            found_in = owner(called, name, modules)
            if found_in is not None:
                waiting.append(found_in)
    return {name: frozenset(scopes) for name, scopes in found.items()}


def targets(called: str, scope: str, module: PythonModule) -> Iterator[str]:
    """What a name can mean inside its own module: a function, a class that is made, a method of the same class."""
    yield called
    if called in module.classes:
        yield f"{called}.__init__"
        yield f"{called}.__call__"
    if called.startswith("self.") and "." in scope:
        yield f"{scope.rpartition('.')[0]}.{called[5:]}"
    if scope and "." not in called:
        yield f"{scope}.{called}"


def owner(called: str, name: str, modules: Mapping[str, PythonModule]) -> tuple[str, str] | None:
    """The module of the package that defines a called name, and the name in it."""
    full = called
    if called.startswith("."):
        level = len(called) - len(called.lstrip("."))
        base = name.split(".")[:-level] if level else []
        full = ".".join([*base, called.lstrip(".")])
    module, _, function = full.rpartition(".")
    if module in modules and module != name:
        return module, function
    return None
