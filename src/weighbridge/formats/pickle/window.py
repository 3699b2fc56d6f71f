"""Knows the bytes around the current opcode: a window of the stream that slides, never the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle import literals
from weighbridge.formats.pickle.opcodes import ATOM, LINE, NAME, SHAPE, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

WINDOW: Final = 1 << 20
LINE_KEPT: Final = 1 << 16
ENDLESS: Final = 1 << 62
_ZLIB_LEVELS: Final = b"\x01\x5e\x9c\xda"


class Break(Exception):
    """Both readers stop here; `reason` says why in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Exhausted(Exception):
    """A bound of the machine was reached; `limit` names it."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Window:
    """Reads through `read(offset, length)`. `base + pos` is the absolute offset of the current opcode."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self.read = read
        self.size: i64 = size
        self.data = b""
        self.base: i64 = 0
        self.pos: i64 = 0
        self.end: i64 = 0
        self.line_end: i64 = 0
        self.quirks: dict[str, int] = {}
        self.c_break_offset: i64 = -1

    def seek(self, offset: i64) -> None:
        """Make `offset` the current position, with a fresh window where the rest of this one is short."""
        inside = offset - self.base
        if 0 <= inside and inside <= self.end - 32:
            self.pos = inside
            return
        self.data = self.read(offset, WINDOW)
        self.base = offset
        self.pos = 0
        self.end = len(self.data)

    def need(self, count: i64) -> None:
        """Break unless `count` bytes from the current opcode on are present."""
        if count > self.end - self.pos:
            raise Break(f"{NAME[self.data[self.pos]]} is cut off by the end of the data")

    def number(self, at: i64, width: i64) -> i64:
        """The unsigned little-endian number of `width` bytes at window position `at`, below 2^62."""
        data = self.data
        if width == 1:
            return data[at]
        value: i64 = 0
        shift: i64 = 0
        done: i64 = 0
        while done < width:
            byte: i64 = data[at + done]
            if shift >= 56 and byte >= 0x40:
                return ENDLESS
            value |= byte << shift
            shift += 8
            done += 1
        return value

    def quirk(self, name: str, offset: i64) -> None:
        """Remember the first place of each kind of disagreement between readers."""
        if name not in self.quirks:
            self.quirks[name] = offset

    def c_stops(self, offset: i64) -> None:
        """The C reader stops here; the pure-Python one goes on."""
        if self.c_break_offset < 0:
            self.c_break_offset = offset

    def line(self, at: i64) -> bytes:
        """The line at absolute offset `at` without its newline; breaks where the data ends first.

        A line at the end of the data without a newline is accepted by the pure-Python reader alone.
        """
        parts: list[bytes] = []
        kept: i64 = 0
        cursor = at
        while cursor < self.size:
            inside = cursor - self.base
            data = self.data[inside:] if 0 <= inside and inside < self.end else self.read(cursor, WINDOW)
            found: i64 = data.find(b"\n")
            piece = data if found < 0 else data[:found]
            if kept < LINE_KEPT:
                parts.append(piece[:LINE_KEPT])
                kept += len(piece)
            if found >= 0:
                self.line_end = cursor + found + 1
                return b"".join(parts)
            cursor += len(data)
            if len(data) == 0:
                break
        self.quirk("unterminated line", at)
        self.c_stops(at - 1)
        self.line_end = self.size
        # The Python reader chops the last byte, newline or not.
        return b"".join(parts)[:-1]

    def suspicious(self, at: i64, length: i64) -> bool:
        """Whether the constant at window position `at` begins like a pickle, plain or encoded."""
        data = self.data
        if self.end - at < 4 or length < 6:
            return False
        first: i64 = data[at]
        second: i64 = data[at + 1]
        third: i64 = data[at + 2]
        if first == 0x80:
            return 2 <= second and second <= 5
        if first == 0x78:
            return _ZLIB_LEVELS.find(second) >= 0
        if first == 0x1F:
            return second == 0x8B
        if first == 0x67:  # "gA": base64 of protocols 2 to 5
            return second == 0x41 and 0x49 <= third and third <= 0x57
        if first == 0x38:  # "80": the same in hexadecimal
            return second == 0x30 and third == 0x30
        if first == 0x65 or first == 0x48:  # "eJ", "eN", "H4": base64 of zlib and gzip
            return second == 0x4A or second == 0x4E or second == 0x34 or second == 0x41 or second == 0x46
        if first == 0x63 or first == 0x28:  # "c", "(": protocol 0
            return data[at : at + (min(length, 64))].find(b"\n") >= 0
        return (first == 0x59 or first == 0x4B) and length >= 16  # base64 of those two

    def argument(self, offset: i64, limit: i64) -> tuple[int, bytes, int]:
        """The opcode at `offset`, up to `limit` bytes of its argument, and the argument's full length."""
        head = self.peek(offset, 9)
        op: i64 = head[0]
        shape: i64 = SHAPE[op]
        width: i64 = SIZE[op]
        if shape == LINE:
            text = self.peek(offset + 1, limit)
            return op, text.partition(b"\n")[0], len(text)
        if shape == ATOM:
            return op, head[1 : 1 + width], width
        length = int.from_bytes(head[1 : 1 + width], "little")
        return op, self.peek(offset + 1 + width, min(length, limit)), length

    def peek(self, offset: i64, length: i64) -> bytes:
        """Bytes at an absolute offset, from the window where it holds them."""
        inside = offset - self.base
        if inside >= 0 and length <= self.end - inside:
            return self.data[inside : inside + length]
        return self.read(offset, length)

    def text(self, handle: i64) -> str:
        """The string that a STR handle stands for, cut at 64 KiB."""
        op, argument, _ = self.argument(handle >> 5, LINE_KEPT)
        if op == 0x53:
            return literals.escaped(argument)
        if op == 0x56:
            return argument.decode("raw-unicode-escape", "backslashreplace")
        if op == 0x54 or op == 0x55:
            return argument.decode("latin-1")
        return literals.utf8(argument)
