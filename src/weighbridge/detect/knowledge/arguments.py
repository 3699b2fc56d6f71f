"""Knows which calls are harmless only with certain arguments, and what those are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge.dangerous import RUNS
from weighbridge.detect.knowledge.grades import Grade, Knowledge, Standing, Use, canonical, uses
from weighbridge.formats.pickle import Made, Name, Value, arguments_of
from weighbridge.schema import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_BUFFER: Final = 1 << 28
_BASES: Final = frozenset(
    {"object", "list", "dict", "set", "tuple", "int", "float", "str", "bytes", "frozenset", "complex"}
)
_GENERATORS: Final = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "RandomState", "Generator"})


def complaint(name: Name, arguments: Value, knowledge: Knowledge) -> Grade | None:
    """What is wrong with these arguments of a name that is harmless with others; None where nothing is."""
    dotted = f"{canonical(name.module)}.{name.name}"
    check = _CHECKS.get(dotted)
    return check(arguments_of(arguments), knowledge) if check and "?" in uses(dotted) else None


def _bad(rule: str, ability: str, severity: Severity = Severity.CRITICAL) -> Grade:
    return Grade(Standing.DANGEROUS, rule, ability, severity)


def _buffer(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    del knowledge
    huge = any(isinstance(a, int) and not isinstance(a, bool) and a > _LARGEST_BUFFER for a in arguments)
    return _bad("PKL-016", "allocates a buffer of hundreds of megabytes", Severity.MEDIUM) if huge else None


def _getattr(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    """`getattr(instance or class, "method")` is how bound methods and enum members are pickled."""
    attribute = arguments[1] if len(arguments) == 2 else None
    if isinstance(attribute, str):
        owner = arguments[0]
        plain = attribute.isidentifier() and not attribute.startswith("__" if isinstance(owner, Made) else "_")
        owner = owner.target if isinstance(owner, Made) else owner
        if (
            isinstance(owner, Name)
            and plain
            and _is_class(owner)
            and knowledge.grade(owner, Use.REFERENCE).standing is Standing.HARMLESS
        ):
            return None
    return _bad("PKL-003", "takes an attribute of another object, chosen by a string")


def _is_class(name: Name) -> bool:
    return name.name.rpartition(".")[2][:1].isupper()


def _reconstructor(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    """Protocols 0 and 1 make objects by `copyreg._reconstructor(cls, base, state)`."""
    if len(arguments) != 3 or not isinstance(arguments[0], Name) or not isinstance(arguments[1], Name):
        return _bad("PKL-003", "makes an object of something that is no class")
    cls, base = arguments[0], arguments[1]
    if canonical(base.module) != "builtins" or base.name not in _BASES:
        return _bad("PKL-003", f"makes an object by {base.dotted}.__new__")
    grade = knowledge.grade(cls, Use.NEW)
    return None if grade.standing is Standing.HARMLESS else grade


def _attrgetter(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    del knowledge
    plain = all(isinstance(a, (str, int)) and "__" not in str(a) for a in arguments)
    return None if plain else _bad("PKL-003", "reaches the internals of an object")


def _generator(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    del knowledge
    first = arguments[0] if arguments else "MT19937"
    name = first.name if isinstance(first, Name) else first
    if name in _GENERATORS or isinstance(first, Made):
        return None
    return _bad(*RUNS)


def _rebuild_from_type(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    """`_rebuild_from_type_v2(function, type, arguments, state)` calls the function."""
    function = arguments[0] if arguments else None
    if not isinstance(function, Name):
        return _bad("PKL-003", "calls a function that is computed at run time")
    grade = knowledge.grade(function, Use.CALL)
    if grade.standing is not Standing.HARMLESS:
        return grade
    return complaint(function, arguments[2], knowledge) if len(arguments) > 2 else None


def _type_of(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    """`type(None)` is how the type of None is pickled; three arguments make a new class."""
    del knowledge
    return None if len(arguments) == 1 and arguments[0] is None else _bad("PKL-003", "makes a class at run time")


def _named_logger(arguments: tuple[Value, ...], knowledge: Knowledge) -> Grade | None:
    del knowledge
    return None if all(isinstance(a, str) for a in arguments) else _bad(*RUNS)


_CHECKS: Final[dict[str, Callable[[tuple[Value, ...], Knowledge], Grade | None]]] = {
    "builtins.bytearray": _buffer,
    "builtins.range": _buffer,
    "builtins.getattr": _getattr,
    "builtins.type": _type_of,
    "copyreg._reconstructor": _reconstructor,
    "operator.attrgetter": _attrgetter,
    "operator.itemgetter": _attrgetter,
    "numpy.random._pickle.__randomstate_ctor": _generator,
    "numpy.random._pickle.__generator_ctor": _generator,
    "numpy.random._pickle.__bit_generator_ctor": _generator,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch._tensor._rebuild_from_type": _rebuild_from_type,
    "logging.getLogger": _named_logger,
}
