"""Knows all 256 opcode bytes of a pickle: their names, arguments and effect on the stack.

Source: CPython 3.11 `Modules/_pickle.c` and PEP 307, 3154, 574. 68 bytes are opcodes, the other 188
are `INVALID`; every table is dense, so no byte can be forgotten.
"""

from __future__ import annotations

from typing import Final

INVALID: Final = 0
ATOM: Final = 1
COUNTED1: Final = 2
COUNTED4: Final = 3
COUNTED8: Final = 4
GET: Final = 5
PUT: Final = 6
MEMOIZE: Final = 7
MARK: Final = 8
EMPTY: Final = 9
FILL: Final = 10
TUPLE: Final = 11
LINE: Final = 12
RARE: Final = 13

NOTHING: Final = 0
NONE: Final = 1
BOOL: Final = 2
INT: Final = 3
FLOAT: Final = 4
STR: Final = 5
BYTES: Final = 6
BYTEARRAY: Final = 7
TUP: Final = 8
LIST: Final = 9
DICT: Final = 10
SET: Final = 11
FROZEN: Final = 12
GLOBAL: Final = 13
CALL: Final = 14
PERSISTENT: Final = 15
BUFFER: Final = 16
FAR: Final = 31

_OPCODES: Final = (
    # byte, name, shape of the argument and effect, size of the fixed argument, kind of the value pushed
    ("(", "MARK", MARK, 0, NOTHING),
    (".", "STOP", RARE, 0, NOTHING),
    ("0", "POP", RARE, 0, NOTHING),
    ("1", "POP_MARK", RARE, 0, NOTHING),
    ("2", "DUP", RARE, 0, NOTHING),
    ("F", "FLOAT", LINE, 0, FLOAT),
    ("I", "INT", LINE, 0, INT),
    ("J", "BININT", ATOM, 4, INT),
    ("K", "BININT1", ATOM, 1, INT),
    ("L", "LONG", LINE, 0, INT),
    ("M", "BININT2", ATOM, 2, INT),
    ("N", "NONE", ATOM, 0, NONE),
    ("P", "PERSID", LINE, 0, PERSISTENT),
    ("Q", "BINPERSID", RARE, 0, PERSISTENT),
    ("R", "REDUCE", RARE, 0, CALL),
    ("S", "STRING", LINE, 0, STR),
    ("T", "BINSTRING", COUNTED4, 4, STR),
    ("U", "SHORT_BINSTRING", COUNTED1, 1, STR),
    ("V", "UNICODE", LINE, 0, STR),
    ("X", "BINUNICODE", COUNTED4, 4, STR),
    ("a", "APPEND", FILL, 0, LIST),
    ("b", "BUILD", RARE, 0, NOTHING),
    ("c", "GLOBAL", LINE, 0, GLOBAL),
    ("d", "DICT", RARE, 0, DICT),
    ("}", "EMPTY_DICT", EMPTY, 0, DICT),
    ("e", "APPENDS", FILL, 0, LIST),
    ("g", "GET", LINE, 0, NOTHING),
    ("h", "BINGET", GET, 1, NOTHING),
    ("i", "INST", LINE, 0, CALL),
    ("j", "LONG_BINGET", GET, 4, NOTHING),
    ("l", "LIST", RARE, 0, LIST),
    ("]", "EMPTY_LIST", EMPTY, 0, LIST),
    ("o", "OBJ", RARE, 0, CALL),
    ("p", "PUT", LINE, 0, NOTHING),
    ("q", "BINPUT", PUT, 1, NOTHING),
    ("r", "LONG_BINPUT", PUT, 4, NOTHING),
    ("s", "SETITEM", FILL, 0, DICT),
    ("t", "TUPLE", TUPLE, 0, TUP),
    (")", "EMPTY_TUPLE", EMPTY, 0, TUP),
    ("u", "SETITEMS", FILL, 0, DICT),
    ("G", "BINFLOAT", ATOM, 8, FLOAT),
    ("\x80", "PROTO", RARE, 1, NOTHING),
    ("\x81", "NEWOBJ", RARE, 0, CALL),
    ("\x82", "EXT1", RARE, 1, GLOBAL),
    ("\x83", "EXT2", RARE, 2, GLOBAL),
    ("\x84", "EXT4", RARE, 4, GLOBAL),
    ("\x85", "TUPLE1", TUPLE, 0, TUP),
    ("\x86", "TUPLE2", TUPLE, 0, TUP),
    ("\x87", "TUPLE3", TUPLE, 0, TUP),
    ("\x88", "NEWTRUE", ATOM, 0, BOOL),
    ("\x89", "NEWFALSE", ATOM, 0, BOOL),
    ("\x8a", "LONG1", COUNTED1, 1, INT),
    ("\x8b", "LONG4", COUNTED4, 4, INT),
    ("B", "BINBYTES", COUNTED4, 4, BYTES),
    ("C", "SHORT_BINBYTES", COUNTED1, 1, BYTES),
    ("\x8c", "SHORT_BINUNICODE", COUNTED1, 1, STR),
    ("\x8d", "BINUNICODE8", COUNTED8, 8, STR),
    ("\x8e", "BINBYTES8", COUNTED8, 8, BYTES),
    ("\x8f", "EMPTY_SET", EMPTY, 0, SET),
    ("\x90", "ADDITEMS", FILL, 0, SET),
    ("\x91", "FROZENSET", RARE, 0, FROZEN),
    ("\x92", "NEWOBJ_EX", RARE, 0, CALL),
    ("\x93", "STACK_GLOBAL", RARE, 0, GLOBAL),
    ("\x94", "MEMOIZE", MEMOIZE, 0, NOTHING),
    ("\x95", "FRAME", RARE, 8, NOTHING),
    ("\x96", "BYTEARRAY8", COUNTED8, 8, BYTEARRAY),
    ("\x97", "NEXT_BUFFER", RARE, 0, BUFFER),
    ("\x98", "READONLY_BUFFER", RARE, 0, NOTHING),
)


def _table(column: int) -> bytes:
    table = bytearray(256)
    for row in _OPCODES:
        value = row[column]
        assert isinstance(value, int)
        table[ord(row[0])] = value
    return bytes(table)


SHAPE: Final[bytes] = _table(2)
SIZE: Final[bytes] = _table(3)
PUSHES: Final[bytes] = _table(4)
NAME: Final[tuple[str, ...]] = tuple(
    next((row[1] for row in _OPCODES if ord(row[0]) == byte), "INVALID") for byte in range(256)
)
CODE: Final[dict[str, int]] = {row[1]: ord(row[0]) for row in _OPCODES}
