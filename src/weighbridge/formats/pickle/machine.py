"""Knows what CPython's unpickler does with each opcode, and does it to handles instead of objects.

A handle is one integer: `payload << 5 | kind`. For atoms the payload is the offset of the opcode that
made them, so a value is read again only when somebody asks; for containers and call results it is a
place in a ring of recent nodes; for globals an index into the table of imports. Nothing is imported,
called or allocated on behalf of the stream, and a 66-million-opcode pickle needs a few megabytes.

The grammar is that of the C unpickler (`Modules/_pickle.c`), which is the one that really loads. Where
the pure-Python unpickler differs, the machine goes on as long as either would, and notes the quirk.
Compiled with mypyc; runs unchanged without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle import literals
from weighbridge.formats.pickle.arrays import clamp, has_high_byte, i64_of
from weighbridge.formats.pickle.opcodes import (
    ATOM,
    BOOL,
    BUFFER,
    BYTEARRAY,
    CALL,
    CODE,
    COUNTED1,
    COUNTED4,
    COUNTED8,
    DICT,
    FILL,
    FROZEN,
    GET,
    GLOBAL,
    INT,
    INVALID,
    LINE,
    LIST,
    MARK,
    MEMOIZE,
    NAME,
    NONE,
    PERSISTENT,
    PUSHES,
    PUT,
    SHAPE,
    SIZE,
    STR,
    TUP,
    TUPLE,
)
from weighbridge.formats.pickle.store import Store
from weighbridge.formats.pickle.window import ENDLESS, LINE_KEPT, Break, Exhausted

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

    from weighbridge.formats.pickle.sink import Sink

_STOP: Final = CODE["STOP"]
_APPEND: Final = CODE["APPEND"]
_APPENDS: Final = CODE["APPENDS"]
_SETITEM: Final = CODE["SETITEM"]
_SETITEMS: Final = CODE["SETITEMS"]
_ADDITEMS: Final = CODE["ADDITEMS"]
_LONG1: Final = CODE["LONG1"]
_LONG4: Final = CODE["LONG4"]
_SHORT_BINUNICODE: Final = CODE["SHORT_BINUNICODE"]
_SHORT_BINSTRING: Final = CODE["SHORT_BINSTRING"]
_BINSTRING: Final = CODE["BINSTRING"]
_TUPLE: Final = CODE["TUPLE"]
_TUPLE1: Final = CODE["TUPLE1"]
_GLOBAL: Final = CODE["GLOBAL"]
_INST: Final = CODE["INST"]

# First bytes of constants that may hold a pickle: raw, zlib or gzip, then the same in base64 or hexadecimal.
_SNIFF: Final[bytes] = bytes(1 if byte in b"\x80\x78\x1fc(g8eHYK" else 0 for byte in range(256))


class Machine(Store):
    """Runs one stream. Make a new one for each."""

    def __init__(
        self, read: Callable[[int, int], bytes], size: int, sink: Sink, limits: tuple[int, int, int, int]
    ) -> None:
        max_ops, max_memo, max_stack, max_imports = limits
        super().__init__(read, size, max_memo, max_stack)
        self.sink = sink
        self.max_ops: i64 = max_ops
        self.max_imports: i64 = max_imports
        self.imports: list[tuple[str, str]] = []
        self.import_numbers: dict[tuple[str, str], int] = {}
        self.settled: set[int] = set()
        self.counts: dict[int, int] = {}
        self.ops: i64 = 0
        self.frame_end: i64 = ENDLESS
        self.protocol: i64 = -1
        self.finished = False
        self.break_reason = ""
        self.break_offset: i64 = -1
        self.limit = ""

    def run(self, start: i64) -> i64:
        """Run the stream at `start`; returns the offset after its STOP, or of the opcode that broke it."""
        self.seek(start)
        try:
            self.loop()
            self.finished = True
        except Break as stop:
            self.break_reason = stop.reason
            self.break_offset = self.base + self.pos
            if self.c_break_offset < 0:
                self.c_break_offset = self.break_offset
        except Exhausted as bound:
            self.limit = bound.limit
        return self.base + self.pos

    def loop(self) -> None:
        """Dispatch by the shape of each opcode. On a break `self.pos` is left at the opcode."""
        while True:
            if self.end - self.pos < 32 and self.base + self.end < self.size:
                self.seek(self.base + self.pos)
            if self.pos >= self.end:
                raise Break("the stream ends without STOP")
            data = self.data
            base = self.base
            pos = self.pos
            end = self.end
            sp = self.sp
            stack = self.stack
            room = self.room - 4
            near_frame_end = self.frame_end - base - 260
            limit = end - 32 if base + end < self.size else end - 1
            ops: i64 = 0
            while pos <= limit and sp <= room and pos <= near_frame_end:
                op: i64 = data[pos]
                shape: i64 = SHAPE[op]
                size: i64 = SIZE[op]
                if shape == ATOM:
                    kind: i64 = PUSHES[op]
                    if size >= end - pos:
                        break
                    stack[sp] = ((base + pos) << 5) | kind
                    sp += 1
                    pos += size + 1
                elif shape == GET:
                    if end - pos < 5:
                        break
                    handle = self.memo.get(data[pos + 1] if size == 1 else self.number(pos + 1, 4))
                    if handle == 0:
                        break
                    stack[sp] = handle
                    sp += 1
                    pos += size + 1
                elif shape == COUNTED1:
                    if end - pos < 3:
                        break
                    length: i64 = data[pos + 1]
                    if length + 2 > end - pos or (
                        op == _SHORT_BINUNICODE and has_high_byte(data, pos + 2, pos + 2 + length)
                    ):
                        break
                    if _SNIFF[data[pos + 2]] and length > 5 and op != _LONG1 and self.suspicious(pos + 2, length):
                        break
                    kind = PUSHES[op]
                    stack[sp] = ((base + pos) << 5) | kind
                    sp += 1
                    pos += length + 2
                elif shape == MEMOIZE:
                    if sp <= self.fence or self.memo.count >= self.max_memo:
                        break
                    self.memo.put(self.memo.count, stack[sp - 1])
                    pos += 1
                elif MARK <= shape and shape <= TUPLE:
                    self.pos = pos
                    self.sp = sp
                    self.gather(op, shape)
                    sp = self.sp
                    pos += 1
                else:
                    break
                ops += 1
            self.ops += ops
            self.pos = pos
            self.sp = sp
            if pos <= limit and self.step(data[pos]):
                return

    def step(self, op: i64) -> bool:
        """One opcode with every check; True after STOP."""
        if self.sp + 4 > self.room:
            self.grow()
        if self.base + self.pos > self.frame_end:
            self.frame_end = ENDLESS
        self.ops += 1
        if self.ops > self.max_ops:
            raise Exhausted("opcodes")
        shape: i64 = SHAPE[op]
        start: i64 = self.base + self.pos
        if shape == ATOM:
            self.need(1 + i64_of(SIZE[op]))
            self.push(start, PUSHES[op])
            self.skip(1 + i64_of(SIZE[op]))
        elif shape == GET:
            self.need(1 + i64_of(SIZE[op]))
            self.get(self.number(self.pos + 1, SIZE[op]))
            self.skip(1 + i64_of(SIZE[op]))
        elif shape == PUT:
            self.need(1 + i64_of(SIZE[op]))
            self.put(self.number(self.pos + 1, SIZE[op]))
            self.skip(1 + i64_of(SIZE[op]))
        elif shape == MEMOIZE:
            self.put(self.memo.count)
            self.skip(1)
        elif shape in (COUNTED1, COUNTED4, COUNTED8):
            self.counted(op, start)
        elif MARK <= shape and shape <= TUPLE:
            self.gather(op, shape)
            self.skip(1)
        elif shape == LINE:
            self.line_op(op, start)
        elif shape == INVALID:
            raise Break(f"invalid opcode 0x{op:02x}")
        else:
            return self.rare(op, start)
        return False

    def skip(self, count: i64) -> None:
        """Go on behind an opcode of `count` bytes, and notice when it straddles the end of a frame."""
        start = self.base + self.pos
        if start < self.frame_end and start + count > self.frame_end:
            self.straddle(start)
        self.pos += count
        if self.pos > self.end:
            self.seek(self.base + self.pos)

    def gather(self, op: i64, shape: i64) -> None:
        """The one-byte opcodes that make and fill containers."""
        if shape == MARK:
            self.mark()
        elif shape == TUPLE:
            self.make_tuple(op)
        elif shape == FILL:
            self.fill(op, self.base + self.pos)
        else:
            self.empty(PUSHES[op])

    def straddle(self, start: i64) -> None:
        """The pure-Python reader refuses an argument that is cut by a frame, unless it begins there."""
        width: i64 = SIZE[self.data[self.pos]]
        if self.frame_end != start + 1 and self.frame_end != start + 1 + width:
            self.quirk("frame", start)
        self.frame_end = ENDLESS

    def make_tuple(self, op: i64) -> None:
        """TUPLE, TUPLE1, TUPLE2, TUPLE3."""
        if op == _TUPLE:
            bottom = self.pop_mark()
        else:
            bottom = self.sp - (op - _TUPLE1 + 1)
            if bottom < self.fence:
                raise Break("the stack underflows")
        at = self.collect(bottom, self.sp - bottom)
        self.note_repeats(at, bottom, self.sp - bottom)
        self.sp = bottom
        self.push(at, TUP)

    def empty(self, kind: i64) -> None:
        """EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE."""
        self.push(self.node(0, 0) if kind == TUP else self.node(-1, 0), kind)

    def fill(self, op: i64, start: i64) -> None:
        """APPEND(S), SETITEM(S), ADDITEMS: the chunk of new items is linked to the container's node."""
        if op == _APPEND:
            bottom = self.sp - 1
        elif op == _SETITEM:
            bottom = self.sp - 2
        else:
            bottom = self.pop_mark()
        if bottom > self.sp or bottom <= self.fence:
            raise Break("the stack underflows")
        count = self.sp - bottom
        if count == 0:
            if self.stack[bottom - 1] & 31 != PUSHES[op]:
                # The Python reader looks for the method before it sees that there is nothing to add.
                self.quirk("nothing added", start)
            return
        if (op == _SETITEMS) and count & 1:
            raise Break("SETITEMS has a key without a value")
        target = self.stack[bottom - 1]
        kind = target & 31
        wanted: i64 = PUSHES[op]
        if kind != wanted:
            if kind < BYTEARRAY or kind in (TUP, FROZEN):
                raise Break(f"{NAME[op]} on something that holds no items")
            self.sink.filled(target, (self.collect(bottom, count) << 5) | TUP, op, start)
            self.sp = bottom
            return
        at = target >> 5
        if not self.fresh(at):
            at = self.node(-1, -1)
            self.stack[bottom - 1] = (at << 5) | kind
        chunk = self.collect(bottom, count)
        self.note_repeats(at, bottom, count)
        link = self.ring[at & self.mask]
        self.ring[self.head & self.mask] = link
        self.head += 1
        self.ring[at & self.mask] = chunk
        self.ring[(at + 1) & self.mask] += count
        self.sp = bottom

    def counted(self, op: i64, start: i64) -> None:
        """Strings, bytes and long integers with a length in front."""
        width: i64 = SIZE[op]
        self.need(1 + width)
        length = self.number(self.pos + 1, width)
        if (op in (_LONG4, _BINSTRING)) and length > 0x7FFFFFFF:
            raise Break(f"{NAME[op]} has a negative length")
        if length > self.size - start - 1 - width:
            raise Break(f"{NAME[op]} claims {length} bytes and {self.size - start - 1 - width} are left")
        kind: i64 = PUSHES[op]
        handle = (start << 5) | kind
        first = self.pos + 1 + width
        if length > 5 and kind != INT and self.suspicious(first, length):
            self.sink.constant(handle, start + 1 + width, length)
        if kind == STR and op != _BINSTRING and op != _SHORT_BINSTRING and first + length <= self.end:
            self.check_utf8(self.data[first : first + length])
        self.stack[self.sp] = handle
        self.sp += 1
        self.skip(1 + width + length)

    def check_utf8(self, text: bytes) -> None:
        """Both readers refuse text that is not UTF-8 (lone surrogates aside)."""
        try:
            text.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Break("a string is not UTF-8") from None

    def line_op(self, op: i64, start: i64) -> None:
        """Opcodes whose argument is text up to a newline."""
        line = self.line(start + 1)
        after = self.line_end
        if op in (_GLOBAL, _INST):
            name = self.line(after)
            after = self.line_end
            self.text_global(op, start, line, name)
        elif op == 0x50:  # PERSID
            if not line.isascii():
                raise Break("a persistent id is not ASCII")
            identifier = (start << 5) | STR
            self.sink.persistent(identifier, start)
            self.push(self.node(identifier, 0), PERSISTENT)
        elif op == 0x67 or op == 0x70:  # GET, PUT
            self.accept(literals.check_index(line), "memo index", start)
            if op == 0x67:
                self.get(clamp(literals.index(line)))
            else:
                self.put(clamp(literals.index(line)))
        else:
            self.text_atom(op, start, line)
        self.skip(after - start)

    def text_atom(self, op: i64, start: i64, line: bytes) -> None:
        """INT, LONG, FLOAT, STRING, UNICODE."""
        if op == 0x49:
            verdict = literals.check_int(line)
        elif op == 0x4C:
            verdict = literals.check_long(line)
        elif op == 0x46:
            verdict = literals.check_float(line)
        elif op == 0x53:
            verdict = literals.check_string(line) if len(line) < LINE_KEPT else literals.BOTH
        else:
            verdict = literals.check_unicode(line) if len(line) < LINE_KEPT else literals.BOTH
        self.accept(verdict, NAME[op], start)
        kind: i64 = PUSHES[op]
        handle = (start << 5) | (BOOL if op == 0x49 and (line == b"00" or line == b"01") else kind)
        if kind == STR and len(line) > 8:
            self.sink.constant(handle, start + 1, len(line))
        self.stack[self.sp] = handle
        self.sp += 1

    def accept(self, verdict: int, what: str, start: i64) -> None:
        """Break where neither reader goes on; note a quirk where one does."""
        if verdict == literals.NEITHER:
            raise Break(f"{what} has an argument that no reader accepts")
        if verdict == literals.ONLY_PYTHON:
            self.c_stops(start)
        if verdict != literals.BOTH:
            self.quirk("text number", start)

    def text_global(self, op: i64, start: i64, module: bytes, name: bytes) -> None:
        """GLOBAL and INST."""
        try:
            text = (
                module.decode("ascii" if op == _INST else "utf-8"),
                name.decode("ascii" if op == _INST else "utf-8"),
            )
        except UnicodeDecodeError:
            raise Break("a global has a name that is not text") from None
        if not module or not name:
            self.quirk("empty name", start)
            self.c_stops(start)
        if op == _INST:
            # The Python reader imports first and looks for the mark afterwards.
            target = (self.enter(text, op, start) << 5) | GLOBAL
            bottom = self.pop_mark()
            arguments = (self.collect(bottom, self.sp - bottom) << 5) | TUP
            self.sp = bottom
            self.call(target, arguments, op, start)
            return
        self.push(self.enter(text, op, start), GLOBAL)

    def enter(self, name: tuple[str, str], op: i64, start: i64) -> i64:
        """The number of an imported name; the sink hears of the first import only."""
        known = self.import_numbers.get(name)
        if known is not None:
            return known
        number = len(self.imports)
        if number >= self.max_imports:
            raise Exhausted("imports")
        self.imports.append(name)
        self.import_numbers[name] = number
        self.sink.imported(number, op, start)
        return number

    def call(self, target: i64, arguments: i64, op: i64, start: i64) -> None:
        """Push the result of a call. The sink hears of it unless it has settled this callable."""
        kind = target & 31
        if kind < GLOBAL:
            raise Break(f"{NAME[op]} on something that cannot be called")
        at = self.node(target, arguments)
        key = (target >> 5) * 256 + op
        if kind == GLOBAL and key in self.settled:
            self.counts[key] = self.counts[key] + 1
        elif self.sink.called(target, arguments, op, start) and kind == GLOBAL:
            self.settled.add(key)
            self.counts[key] = 0
        self.push(at, CALL)

    def rare(self, op: i64, start: i64) -> bool:
        """Every other opcode; True after STOP."""
        name = NAME[op]
        size: i64 = SIZE[op]
        self.need(1 + size)
        if name == "STOP":
            self.pop()
            if self.mark_count or self.sp:
                self.quirk("stack left over", start)
            self.skip(1)
            return True
        if name == "REDUCE" or name == "NEWOBJ" or name == "NEWOBJ_EX" or name == "OBJ":
            self.invoke(name, op, start)
        elif name == "BUILD":
            self.build(start)
            return False
        elif name == "STACK_GLOBAL":
            self.stack_global(op, start)
        elif name == "PROTO":
            self.proto(start)
        elif name == "FRAME":
            self.frame(start)
            return False
        elif name == "BINPERSID":
            identifier = self.pop()
            self.sink.persistent(identifier, start)
            self.push(self.node(identifier, 0), PERSISTENT)
        elif name == "EXT1" or name == "EXT2" or name == "EXT4":
            code = self.number(self.pos + 1, size)
            if code == 0 or code > 0x7FFFFFFF:
                raise Break(f"{name} has code {code}")
            self.push(self.enter(("copyreg", f"extension {code}"), op, start), GLOBAL)
        else:
            self.stack_op(name)
        self.skip(1 + size)
        return False

    def stack_op(self, name: str) -> None:
        """POP, POP_MARK, DUP, LIST, DICT, FROZENSET, NEXT_BUFFER, READONLY_BUFFER."""
        if name == "POP":
            if self.mark_count and self.marks[self.mark_count - 1] == self.sp:
                self.pop_mark()
            else:
                self.pop()
        elif name == "POP_MARK":
            self.sp = self.pop_mark()
        elif name == "DUP":
            top = self.pop()
            self.stack[self.sp] = top
            self.stack[self.sp + 1] = top
            self.sp += 2
        elif name == "NEXT_BUFFER":
            self.push(0, BUFFER)
        elif name == "READONLY_BUFFER":
            top = self.pop()
            self.stack[self.sp] = top
            self.sp += 1
        else:
            bottom = self.pop_mark()
            count = self.sp - bottom
            if name == "DICT" and count & 1:
                raise Break("DICT has a key without a value")
            chunk = self.collect(bottom, count)
            self.sp = bottom
            if name == "FROZENSET":
                self.push(chunk, FROZEN)
                return
            self.ring[self.head & self.mask] = -1
            self.head += 1
            self.push(self.node(chunk, count), LIST if name == "LIST" else DICT)

    def invoke(self, name: str, op: i64, start: i64) -> None:
        """REDUCE, NEWOBJ, NEWOBJ_EX, OBJ."""
        if name == "OBJ":
            bottom = self.pop_mark()
            if self.sp - bottom < 1:
                raise Break("OBJ has no class")
            arguments = (self.collect(bottom + 1, self.sp - bottom - 1) << 5) | TUP
            target = self.stack[bottom]
            self.sp = bottom
            self.call(target, arguments, op, start)
            return
        keywords: i64 = 0
        if name == "NEWOBJ_EX":
            keywords = self.pop()
            keywords_kind = keywords & 31
            if keywords_kind != DICT and keywords_kind < GLOBAL:
                raise Break("NEWOBJ_EX has no dict of keyword arguments")
        arguments = self.pop()
        kind = arguments & 31
        if kind < STR:
            raise Break(f"{name} has no tuple of arguments")
        if kind < GLOBAL and kind != TUP:
            # func(*arguments) takes any iterable in the Python reader.
            self.quirk("arguments are no tuple", start)
            self.c_stops(start)
        target = self.pop()
        if keywords:
            packed = self.node(2, 2)
            self.ring[self.head & self.mask] = arguments
            self.ring[(self.head + 1) & self.mask] = keywords
            self.head += 2
            arguments = (packed << 5) | TUP
        self.call(target, arguments, op, start)

    def build(self, start: i64) -> None:
        """BUILD; the sink may know of raw bytes that a loader reads right here (joblib)."""
        state = self.pop()
        if self.sp <= self.fence:
            raise Break("the stack underflows")
        target = self.stack[self.sp - 1]
        self.skip(1)
        if target & 31 < LIST:
            # Fails in both readers unless the state is empty; then nothing happens.
            return
        after = self.base + self.pos
        onward: i64 = self.sink.built(target, state, start, after)
        if onward != after:
            self.frame_end = ENDLESS
            self.seek(onward)

    def stack_global(self, op: i64, start: i64) -> None:
        """STACK_GLOBAL with its two operands resolved."""
        name = self.pop()
        module = self.pop()
        for operand in (module, name):
            kind = operand & 31
            if kind < GLOBAL and kind != STR:
                raise Break("STACK_GLOBAL needs two strings")
        if module & 31 == STR and name & 31 == STR:
            self.push(self.enter((self.text(module), self.text(name)), op, start), GLOBAL)
            return
        self.sink.unresolved(module, name, op, start)
        self.push(self.node((start << 5) | NONE, 0), CALL)

    def proto(self, start: i64) -> None:
        """PROTO: protocols above 5 are refused by both readers."""
        version: i64 = self.data[self.pos + 1]
        if version > 5:
            raise Break(f"protocol {version} does not exist")
        if self.protocol >= 0:
            self.quirk("protocol stated twice", start)
        elif self.ops > 1:
            self.quirk("protocol stated late", start)
        self.protocol = version

    def frame(self, start: i64) -> None:
        """FRAME: the C reader wants the bytes to be there, the Python one wants frames not to overlap."""
        length = self.number(self.pos + 1, 8)
        ends_well = self.frame_end in (start + 1, start + 9)
        if self.frame_end != ENDLESS and start < self.frame_end and not ends_well:
            self.quirk("frame", start)
        self.frame_end = ENDLESS
        self.skip(9)
        if length > self.size - start - 9:
            self.quirk("frame", start)
            self.c_stops(start)
        else:
            self.frame_end = start + 9 + length
