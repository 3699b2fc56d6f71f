"""Knows how the bytecode of a pickled function is shown: as instructions, without making a code object of it.

dill and cloudpickle store the arguments of `types.CodeType`. The instruction set belongs to the Python that wrote the
file, which the file does not say; it is shown as that of the Python that runs Weighbridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.values import Blob, Items, Made, Name, Value, arguments_of, walk
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE_NAMES: Final = frozenset({"CodeType", "_create_code"})
_LINES: Final = 24
_CONSTANTS: Final = 12


def code_arguments(value: Value) -> tuple[Value, ...] | None:
    """The arguments of the code object that a call makes; None where it makes none."""
    if not isinstance(value, Made):
        return None
    makes_code = any(
        (isinstance(part, Name) and part.name in _CODE_NAMES) or part == "CodeType" for part in walk(value.target)
    )
    return arguments_of(value.arguments) if makes_code else None


def code_lines(arguments: tuple[Value, ...]) -> Iterator[str]:
    """Names, constants and instructions of a code object, at most two dozen lines."""
    names = [
        item
        for item in arguments
        if isinstance(item, Items) and item.items and all(isinstance(n, str) for n in item.items)
    ]
    constants = next((item for item in arguments if isinstance(item, Items) and item not in names[:1]), None)
    used = [printable(str(name)) for name in (names[0].items if names else ())]
    if used:
        yield f"names: {', '.join(used)}"
    if constants is not None:
        shown = [repr(item)[:60] for item in constants.items[:_CONSTANTS] if isinstance(item, (str, bytes, int, float))]
        yield f"constants: {', '.join(shown) or 'no plain ones'}"
    # Line and exception tables are bytes as well; the instructions are the longest.
    code = max((item for item in arguments if isinstance(item, bytes)), key=len, default=b"")
    code = code or next((item.head for item in arguments if isinstance(item, Blob) and item.kind == "bytes"), b"")
    yield from _instructions(code, used)


def _instructions(code: bytes, names: list[str]) -> Iterator[str]:
    from opcode import hasname, opname  # noqa: PLC0415  # only files with stored functions need the tables

    shown = 0
    for at in range(0, len(code) - 1, 2):
        operation, argument = code[at], code[at + 1]
        name = opname[operation]
        if name in {"CACHE", "RESUME", "PRECALL", "NOP"}:
            continue
        if shown == _LINES:
            yield "…"
            return
        shown += 1
        index = argument >> 1 if name == "LOAD_GLOBAL" else argument
        note = f" ({names[index]})" if operation in hasname and index < len(names) else ""
        yield f"{at:>4} {name} {argument}{note}"
