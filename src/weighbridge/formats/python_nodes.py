"""Knows the parts of nodes of a syntax tree of Python, and small shapes that expressions have."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SILENT: Final[frozenset[type]] = frozenset(
    {
        str,
        int,
        type(None),
        ast.Load,
        ast.Store,
        ast.Del,
        ast.Add,
        ast.Sub,
        ast.Mult,
        ast.Div,
        ast.And,
        ast.Or,
        ast.Not,
        ast.USub,
        ast.Eq,
    }
)
_OPENERS: Final = frozenset(
    {"open", "Path", "read_bytes", "get_data", "spec_from_file_location", "SourceFileLoader", "run_path"}
)
_SPELLED_IN: Final = 64
_NAMED_IN: Final = 16
_MEDIA_NAME: Final = re.compile(
    r"\.(?:png|jpe?g|gif|bmp|webp|ico|svg|wav|mp3|ogg|flac|mp4|ttf|otf|woff2?)\Z", re.IGNORECASE
)


def descend(node: ast.AST, scope: str, waiting: list[tuple[ast.AST, str]]) -> None:
    """Have the parts of a node visited in their order: `waiting` is a stack. Plain names say nothing by themselves."""
    found = children(node)
    found.reverse()
    for part in found:
        if type(part) is not ast.Name:
            waiting.append((part, scope))


def children(node: ast.AST) -> list[ast.AST]:
    """The parts of a node, without the leaves that say nothing: contexts, operators."""
    found: list[ast.AST] = []
    for name in _PARTS.get(type(node)) or _parts(type(node)):
        value = getattr(node, name, None)
        if type(value) is list:
            for part in value:
                if type(part) not in _SILENT and isinstance(part, ast.AST):
                    found.append(part)
        elif type(value) not in _SILENT and isinstance(value, ast.AST):
            found.append(value)
    return found


_PARTS: Final[dict[type[ast.AST], tuple[str, ...]]] = {}
_PLAIN: Final = frozenset(
    {
        "ctx",
        "op",
        "ops",
        "id",
        "attr",
        "arg",
        "name",
        "asname",
        "kind",
        "type_comment",
        "lineno",
        "level",
        "is_async",
        "simple",
        "conversion",
    }
)


def _parts(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a kind of node that can hold nodes worth visiting."""
    _PARTS[kind] = tuple(name for name in kind._fields if name not in _PLAIN)
    return _PARTS[kind]


def inside(scope: str) -> str:
    """The scope of the body of a lambda."""
    return f"{scope}.<lambda>" if scope else "<lambda>"


def is_numbers(name: str, node: ast.Call) -> bool:
    """Whether a call puts bytes together from numbers that are written out."""
    if name not in {"bytes", "bytearray"} or not node.args:
        return False
    first = node.args[0]
    return (
        isinstance(first, ast.List | ast.Tuple)
        and len(first.elts) > 3
        and all(isinstance(part, ast.Constant) and isinstance(part.value, int) for part in first.elts[:64])
    )


def under(nodes: list[ast.AST], most: int) -> Iterator[ast.AST]:
    """Some nodes and all below them, at most so many."""
    waiting = list(nodes)
    for _ in range(most):
        if not waiting:
            return
        current = waiting.pop()
        yield current
        waiting += children(current)


def is_spelled(node: ast.AST, times: int) -> bool:
    """Whether an expression makes characters from numbers, at so many places."""
    count = 0
    for one in under([node], _SPELLED_IN):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "chr":
            count += 1
            if count >= times:
                return True
    return False


def joins_single(node: ast.Call) -> bool:
    """Whether a call joins, without anything between them, parts that are looked up one by one."""
    function = node.func
    if not (
        isinstance(function, ast.Attribute) and function.attr == "join" and isinstance(function.value, ast.Constant)
    ):
        return False
    first = node.args[0] if node.args else None
    return (
        function.value.value in {"", b""}
        and isinstance(first, ast.GeneratorExp | ast.ListComp)
        and isinstance(first.elt, ast.Subscript)
    )


def opens_media(name: str, node: ast.Call) -> bool:
    """Whether a call opens a picture, a sound or a font by a name that is written out, or put together from one."""
    if name.rpartition(".")[2] not in _OPENERS:
        return False
    for one in under(list(node.args), _NAMED_IN):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and _MEDIA_NAME.search(one.value):
            return True
    return False


def is_none(node: ast.AST) -> bool:
    """Whether an expression is None."""
    return isinstance(node, ast.Constant) and node.value is None


def backwards(part: ast.Slice) -> bool:
    """Whether a slice turns a text around."""
    step = part.step
    return part.lower is None and part.upper is None and isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub)


def main_guard(test: ast.AST) -> bool:
    """Whether a condition is that the module is run as a program."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and any(isinstance(c, ast.Constant) and c.value == "__main__" for c in test.comparators)
    )
