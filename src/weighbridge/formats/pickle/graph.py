"""Knows a whole pickle as an inert object graph: every container in full, calls and classes as what they would be.

The machine (`machine.py`) judges; this reads values, for those who need them all: tensors to compare, weights to convert.
Nothing is imported or called. Source: CPython `Modules/_pickle.c`, PEP 307, 3154.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.pickle import literals
from weighbridge.formats.pickle.opcodes import ATOM, COUNTED1, COUNTED4, COUNTED8, LINE, NAME, SHAPE, SIZE
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.source import Blob

_MARK: Final = object()
_MOST: Final = 4_000_000
_COUNTS: Final = {COUNTED1: "<B", COUNTED4: "<I", COUNTED8: "<Q"}
_MISSING: Final = object()
_WINDOW: Final = 1 << 20
_CONSTANT: Final = 256 << 20
_LINE: Final = 1 << 20


class Named:
    """An imported name. Its `dotted` form is all there is of it."""

    __slots__ = ("dotted",)

    def __init__(self, dotted: str) -> None:
        self.dotted = dotted


class Object:
    """What a call or class would give: `target` is what is called, `state` what BUILD hands over, `items` what is filled in."""

    __slots__ = ("arguments", "items", "state", "target")

    def __init__(self, target: Any, arguments: Any) -> None:
        self.target, self.arguments = target, arguments
        self.state: Any = None
        self.items: list[tuple[Any, Any]] = []

    @property
    def called(self) -> str:
        """The name that is called; empty where it is no plain name."""
        return self.target.dotted if isinstance(self.target, Named) else ""


class External:
    """Something that a persistent id names."""

    __slots__ = ("identifier",)

    def __init__(self, identifier: Any) -> None:
        self.identifier = identifier


class Pairs(list[tuple[Any, Any]]):
    """A dict as it was filled: keys need not be hashable here, and a repeated key is not lost."""


def read_graph(
    data: bytes | Blob, start: int = 0, *, most: int = _MOST, raw: Callable[[Object, int], int] | None = None
) -> tuple[Any, int]:
    """The object of one pickle stream and where the stream ends.

    A blob is read by windows. `raw` is asked after each BUILD where the stream goes on, for the arrays that joblib
    writes in between. Raises MalformedInput for what no unpickler reads, LimitExceeded after `most` opcodes or for a
    constant above 256 MiB.
    """
    reader = _Reader(data, start) if isinstance(data, bytes) else _Reader(b"", start, data)
    reader.raw = raw
    try:
        return reader.run(most), reader.place
    except (IndexError, struct.error, ValueError, OverflowError, UnicodeDecodeError) as error:
        raise MalformedInput(f"the pickle is broken at byte {reader.place}", offset=reader.place) from error


class _Reader:
    """`data` is the window, which begins at byte `base` of the stream; `at` counts from there."""

    def __init__(self, data: bytes, start: int, blob: Blob | None = None) -> None:
        self.data, self.at, self.base, self.blob = data, start, 0, blob
        if blob is not None:
            self.base, self.at = start, 0
        self.raw: Callable[[Object, int], int] | None = None
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, most: int) -> Any:
        for _ in range(most):
            if self.at >= len(self.data):
                self.refill(1)
            op = self.data[self.at]
            self.at += 1
            name = NAME[op]
            if name == "STOP":
                return self.stack.pop()
            shape = SHAPE[op]
            if shape in _COUNTS:
                self.stack.append(self.counted(name, _COUNTS[shape]))
            elif shape == LINE:
                self.line(name)
            elif shape == ATOM:
                self.stack.append(_atom(name, self.take(SIZE[op])))
            else:
                step = _STEPS.get(name)
                if step is None:
                    raise MalformedInput(f"the opcode {name} is not read here", offset=self.place - 1)
                step(self)
        raise LimitExceeded(f"more than {most} opcodes", limit="opcodes")

    @property
    def place(self) -> int:
        """Where the reader is, in the stream."""
        return self.base + self.at

    def refill(self, count: int) -> None:
        """Move the window so that it begins here and holds `count` bytes, as far as there are any."""
        if self.blob is not None:
            self.base, self.at = self.place, 0
            self.data = self.blob.read(self.base, max(_WINDOW, count))

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            if count > _CONSTANT:
                raise LimitExceeded(f"a constant of {count} bytes", limit="constant")
            self.refill(count)
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise IndexError
        self.at += count
        return piece

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def counted(self, name: str, form: str) -> Any:
        raw = self.take(self.number(form))
        if name.startswith("LONG"):
            return int.from_bytes(raw, "little", signed=True)
        if "UNICODE" in name:
            return raw.decode("utf-8", "surrogatepass")
        return raw.decode("latin-1") if "STRING" in name else raw

    def text(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            self.refill(_LINE)
            end = self.data.index(b"\n", self.at)
        raw, self.at = self.data[self.at : end], end + 1
        return raw

    def line(self, name: str) -> None:
        raw = self.text()
        if name in {"GLOBAL", "INST"}:
            named = Named(f"{raw.decode()}.{self.text().decode()}")
            self.stack.append(Object(named, tuple(self.to_mark())) if name == "INST" else named)
        elif name == "PUT":
            self.memo[int(raw)] = self.stack[-1]
        elif name == "GET":
            self.stack.append(self.recall(int(raw)))
        elif name == "PERSID":
            self.stack.append(External(raw.decode("latin-1")))
        elif name == "UNICODE":
            self.stack.append(raw.decode("raw-unicode-escape"))
        elif name == "STRING":
            self.stack.append(literals.escaped(raw))
        else:
            self.stack.append(float(raw) if name == "FLOAT" else literals.text_number(raw))

    def recall(self, number: int) -> Any:
        value = self.memo.get(number, _MISSING)
        if value is _MISSING:
            raise MalformedInput(f"memo {number} is read and was never written", offset=self.place)
        return value

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def fill(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        found = list(zip(pairs[::2], pairs[1::2], strict=True))
        if isinstance(target, Pairs):
            target.extend(found)
        elif isinstance(target, Object):
            target.items.extend(found)
        else:
            raise MalformedInput("items are set on what holds none", offset=self.place)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list) and not isinstance(target, Pairs):
            target.extend(items)
        elif isinstance(target, Object):
            target.items.extend((None, item) for item in items)
        else:
            raise MalformedInput("items are appended to what holds none", offset=self.place)

    def tuple_of(self, count: int) -> None:
        found = tuple(self.stack[len(self.stack) - count :])
        if len(found) < count:
            raise IndexError
        del self.stack[len(self.stack) - count :]
        self.stack.append(found)

    def call(self, count: int) -> None:
        parts = [self.stack.pop() for _ in range(count)][::-1]
        self.stack.append(Object(parts[0], parts[1] if count == 2 else (parts[1], parts[2])))

    def build(self) -> None:
        state = self.stack.pop()
        built = self.stack[-1]
        if isinstance(built, Object):
            built.state = state
            if self.raw is not None:
                self.go_to(self.raw(built, self.place))

    def go_to(self, place: int) -> None:
        """Go on at another place of the stream."""
        self.at += place - self.place
        if not 0 <= self.at <= len(self.data):
            self.base, self.at, self.data = place, 0, b""

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Named(f"{module}.{name}"))

    def binary_persistent(self) -> None:
        self.stack.append(External(self.stack.pop()))


def _atom(name: str, raw: bytes) -> Any:
    if name == "NONE":
        return None
    if name in {"NEWTRUE", "NEWFALSE"}:
        return name == "NEWTRUE"
    if name == "BINFLOAT":
        return literals.binary_float(raw)
    return int.from_bytes(raw, "little", signed=name == "BININT")


def _dict(reader: _Reader) -> None:
    found = reader.to_mark()
    reader.stack.append(Pairs(zip(found[::2], found[1::2], strict=True)))


def _setitem(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    reader.fill([key, value])


def _append(reader: _Reader) -> None:
    reader.extend([reader.stack.pop()])


def _memoize(reader: _Reader) -> None:
    reader.memo[len(reader.memo)] = reader.stack[-1]


def _put(form: str) -> Callable[[_Reader], None]:
    def step(reader: _Reader) -> None:
        reader.memo[reader.number(form)] = reader.stack[-1]

    return step


def _get(form: str) -> Callable[[_Reader], None]:
    return lambda reader: reader.stack.append(reader.recall(reader.number(form)))


def _object(reader: _Reader) -> None:
    target, *arguments = reader.to_mark()
    reader.stack.append(Object(target, tuple(arguments)))


_STEPS: Final[dict[str, Callable[[_Reader], object]]] = {
    "PROTO": lambda reader: reader.take(1),
    "FRAME": lambda reader: reader.take(8),
    "MARK": lambda reader: reader.stack.append(_MARK),
    "POP": lambda reader: reader.stack.pop(),
    "POP_MARK": lambda reader: reader.to_mark(),
    "DUP": lambda reader: reader.stack.append(reader.stack[-1]),
    "BINGET": _get("<B"),
    "LONG_BINGET": _get("<I"),
    "BINPUT": _put("<B"),
    "LONG_BINPUT": _put("<I"),
    "MEMOIZE": _memoize,
    "EMPTY_DICT": lambda reader: reader.stack.append(Pairs()),
    "EMPTY_LIST": lambda reader: reader.stack.append([]),
    "EMPTY_SET": lambda reader: reader.stack.append([]),
    "EMPTY_TUPLE": lambda reader: reader.stack.append(()),
    "LIST": lambda reader: reader.stack.append(reader.to_mark()),
    "DICT": _dict,
    "FROZENSET": lambda reader: reader.stack.append(tuple(reader.to_mark())),
    "TUPLE": lambda reader: reader.stack.append(tuple(reader.to_mark())),
    "TUPLE1": lambda reader: reader.tuple_of(1),
    "TUPLE2": lambda reader: reader.tuple_of(2),
    "TUPLE3": lambda reader: reader.tuple_of(3),
    "APPEND": _append,
    "APPENDS": lambda reader: reader.extend(reader.to_mark()),
    "ADDITEMS": lambda reader: reader.extend(reader.to_mark()),
    "SETITEM": _setitem,
    "SETITEMS": lambda reader: reader.fill(reader.to_mark()),
    "REDUCE": lambda reader: reader.call(2),
    "NEWOBJ": lambda reader: reader.call(2),
    "NEWOBJ_EX": lambda reader: reader.call(3),
    "OBJ": _object,
    "BUILD": _Reader.build,
    "STACK_GLOBAL": _Reader.stack_global,
    "BINPERSID": _Reader.binary_persistent,
}
