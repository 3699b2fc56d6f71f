"""Knows how one opcode is shown as evidence: its offset, name and argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.formats.pickle import literals, opcodes
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN = 96


def opcode_line(read: Callable[[int, int], bytes], offset: int) -> str:
    """`SHORT_BINUNICODE 'curl …'` for the opcode at `offset`; bytes that are no opcode are shown as such."""
    head = read(offset, 9)
    if not head:
        return "end of data"
    name, shape, size = opcodes.NAME[head[0]], opcodes.SHAPE[head[0]], opcodes.SIZE[head[0]]
    if shape == opcodes.INVALID:
        return f"0x{head[0]:02x}  no opcode"
    if shape == opcodes.LINE:
        lines = read(offset + 1, 4 * _SHOWN).split(b"\n")
        wanted = lines[:2] if name in {"GLOBAL", "INST"} else lines[:1]
        return f"{name} {_quoted(b' '.join(wanted).decode('utf-8', 'backslashreplace'))}"
    if shape in {opcodes.COUNTED1, opcodes.COUNTED4, opcodes.COUNTED8}:
        length = int.from_bytes(head[1 : 1 + size], "little")
        argument = read(offset + 1 + size, min(length, 4 * _SHOWN))
        text = literals.utf8(argument) if opcodes.PUSHES[head[0]] == opcodes.STR else argument.decode("latin-1")
        return f"{name} {_quoted(text)}"
    if size and name != "BINFLOAT":
        return f"{name} {int.from_bytes(head[1 : 1 + size], 'little')}"
    return name


def _quoted(text: str) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return f"'{printable(shown)}'"
