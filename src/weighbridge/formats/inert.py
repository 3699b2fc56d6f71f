"""Knows the way through an inert object graph: what is wanted, by path, and what is left over.

Paths are those of a state dict: keys of dicts, numbers of items, parameters and buffers of modules, attributes of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from msgspec import Struct

from weighbridge.formats.pickle.graph import External, Named, Object, Pairs
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_DEPTH: Final = 64
_KEY: Final = 1024
_MOST: Final = 1_000_000
_LEFT: Final = 10_000
_SHOWN: Final = 120
_SPLIT: Final = 100_000
_FILLED: Final = frozenset(
    {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"}
)
_MODULE: Final = ("_parameters", "_buffers", "_modules")


class Left(Struct, frozen=True):
    """A value that is not what was looked for: its path and what it is, in words."""

    path: str
    what: str


class Leaves(Struct, Generic[T], frozen=True):
    """The wanted values in order, and what else there was, up to ten thousand of them."""

    values: tuple[tuple[str, T], ...]
    left: tuple[Left, ...]


def leaves(root: Any, wanted: Callable[[Any], T | None]) -> Leaves[T]:
    """Everything below an object that `wanted` knows, in order, without recursion and each container once.

    Raises MalformedInput where there are too many objects.
    """
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    seen: set[int] = set()
    found: list[tuple[str, T]] = []
    left: list[Left] = []
    for _ in range(_MOST):
        if not waiting:
            return Leaves(tuple(found), tuple(left))
        name, value, depth = waiting.pop()
        one = wanted(value)
        if one is not None:
            found.append((name, one))
            continue
        inside = [] if _is_plain(value) else list(_inside(value))
        if inside and depth < _DEPTH and id(value) not in seen:
            seen.add(id(value))
            waiting += reversed([(f"{name}.{key}" if name else key, inner, depth + 1) for key, inner in inside])
        elif len(left) < _LEFT and not _is_empty(value):
            left.append(Left(name, described(value)))
    raise MalformedInput("the file holds too many objects")


def _is_plain(value: Any) -> bool:
    """Whether a list is one of plain numbers or texts, which is one value and not many."""
    return isinstance(value, (list, tuple)) and not isinstance(value, Pairs) and len(value) > _SPLIT


def _is_empty(value: Any) -> bool:
    if isinstance(value, Object):
        return not value.state and not value.items and value.called in _FILLED
    return isinstance(value, (list, tuple)) and not value


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Object):
        state = value.state
        if isinstance(state, tuple) and len(state) == 2:
            state = next((part for part in state if isinstance(part, Pairs)), state)
        table: dict[str, Any] = dict(_texts(state)) if isinstance(state, Pairs) else {}
        if isinstance(table.get("_parameters"), (Pairs, Object)):
            for group in _MODULE:
                yield from _inside(table.get(group))
            return
        yield from _texts(_paired(value) or value.items)
        yield from table.items()
    elif isinstance(value, Pairs):
        yield from _texts(value)
    elif isinstance(value, (list, tuple)):
        yield from ((str(number), inner) for number, inner in enumerate(value))


def _paired(value: Object) -> list[tuple[Any, Any]]:
    """The items of a dict that is made from pairs, as protocol 0 to 2 of Python 2 wrote an OrderedDict."""
    if value.called not in _FILLED or not isinstance(value.arguments, tuple) or not value.arguments:
        return []
    pairs = value.arguments[-1]
    if isinstance(pairs, Pairs):
        return pairs
    if not isinstance(pairs, list):
        return []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]


def _texts(pairs: list[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """The last of each key, as a dict keeps it."""
    kept: dict[str, Any] = {}
    for number, (key, value) in enumerate(pairs):
        if (isinstance(key, str) and len(key) <= _KEY) or (type(key) is int and abs(key) < _KEY << 32):
            kept[str(key)] = value
        else:
            kept[str(number)] = value
    yield from kept.items()


def described(value: Any) -> str:
    """An inert value in a few words."""
    if isinstance(value, Object):
        return f"made by {value.called or 'a computed name'}"
    if isinstance(value, Named):
        return f"the name {value.dotted}"
    if isinstance(value, External):
        return "an object outside the pickle"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} items"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
