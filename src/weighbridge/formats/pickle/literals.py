"""Knows how the text and binary arguments of opcodes spell a value, as CPython's two readers see it.

The C reader (`Modules/_pickle.c`) and the pure-Python one (`Lib/pickle.py`) accept different texts:
`strtol` with base 0 takes `0x10`, `010` and stops at a NUL, `int()` does not; `float()` takes blanks
and underscores, `PyOS_string_to_double` does not. Each function says which reader accepts its line.
"""

from __future__ import annotations

import codecs
import re
import struct
from typing import Final

BOTH: Final = 0
ONLY_C: Final = 1
ONLY_PYTHON: Final = 2
NEITHER: Final = 3

_STRTOL = re.compile(rb"[ \t\v\f\r]*[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=\Z|\x00)")
_C_FLOAT = re.compile(
    rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?|nan)(?=\Z|\x00)", re.IGNORECASE
)


def agreement(c_accepts: bool, python_accepts: bool) -> int:
    """BOTH, ONLY_C, ONLY_PYTHON or NEITHER."""
    return (ONLY_C if c_accepts else NEITHER) if not python_accepts else (BOTH if c_accepts else ONLY_PYTHON)


def _is_int(text: bytes, base: int) -> bool:
    try:
        int(text, base)
    except ValueError:
        return False
    return True


def check_int(line: bytes) -> int:
    """Who accepts `line` (without its newline) as the argument of INT.

    The opcode lister of the standard library reads base 10 only, so an INT that it refuses counts as
    a disagreement even where both unpicklers accept it.
    """
    if not line:
        return NEITHER
    if line in {b"00", b"01"}:
        return BOTH
    # A NUL right at the start ends strtol before any digit, and `load_int` takes that for zero.
    c_accepts = line[0] == 0 or _STRTOL.match(line) is not None or _is_int(line.partition(b"\0")[0], 0)
    return agreement(c_accepts, _is_int(line, 0) and (_is_int(line, 10)))


def check_long(line: bytes) -> int:
    """Who accepts `line` as the argument of LONG."""
    if not line:
        return NEITHER
    digits = line[:-1] if line.endswith(b"L") else line
    return agreement(_is_int(digits.partition(b"\0")[0], 0), _is_int(digits, 0) and _is_int(digits, 10))


def check_float(line: bytes) -> int:
    """Who accepts `line` as the argument of FLOAT."""
    if not line:
        return NEITHER
    try:
        float(line)
    except ValueError:
        python_accepts = False
    else:
        python_accepts = True
    return agreement(_C_FLOAT.match(line) is not None, python_accepts)


def check_string(line: bytes) -> int:
    """Who accepts `line` as the argument of STRING: quoted, with escapes that decode."""
    quoted = len(line) >= 2 and line[0] == line[-1] and line[0] in b"'\""
    if not quoted:
        return NEITHER
    try:
        codecs.escape_decode(line[1:-1])
    except ValueError:
        return NEITHER
    return BOTH


def check_unicode(line: bytes) -> int:
    """Who accepts `line` as the argument of UNICODE."""
    try:
        line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        return NEITHER
    return BOTH


def check_index(line: bytes) -> int:
    """Who accepts `line` as a memo index: base 10, and not negative for the C reader."""
    if not _is_int(line, 10):
        # The C reader stops at a NUL where int() refuses it.
        return agreement(_is_int(line.partition(b"\0")[0], 10), python_accepts=False) if line else NEITHER
    return agreement(int(line, 10) >= 0, python_accepts=True)


def index(line: bytes) -> int:
    """The memo index that a line accepted by `check_index` names."""
    return int(line.partition(b"\0")[0], 10)


def text_number(line: bytes) -> int | bool | None:
    """The value of an INT or LONG line, None where it cannot be shown."""
    head = line.partition(b"\0")[0].strip().removesuffix(b"L")
    if line in {b"00", b"01"}:
        return line == b"01"
    try:
        return int(head, 0) if not re.fullmatch(rb"[+-]?0[0-7]+", head) else int(head, 8)
    except ValueError:
        return None


def escaped(line: bytes) -> str:
    """The text of a STRING line, bytes shown as Latin-1."""
    try:
        decoded, _ = codecs.escape_decode(line[1:-1])
    except ValueError:
        return line.decode("latin-1")
    assert isinstance(decoded, bytes)
    return decoded.decode("latin-1")


def utf8(argument: bytes) -> str:
    """Text as BINUNICODE reads it; bytes that no reader accepts are shown escaped."""
    try:
        return argument.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return argument.decode("utf-8", "backslashreplace")


def binary_float(argument: bytes) -> float:
    """The value of BINFLOAT: eight bytes, big-endian."""
    value: float = struct.unpack(">d", argument)[0]
    return value
