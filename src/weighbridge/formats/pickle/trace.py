"""Knows what a pickle would do: every import, call and assignment with its arguments, and what stops it."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  # msgspec reads the annotation of Brief
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from weighbridge.formats.pickle import literals, nested, opcodes
from weighbridge.formats.pickle.machine import Machine
from weighbridge.formats.pickle.values import Blob, Items, Made, Name, Persistent, Unknown, Value

if TYPE_CHECKING:
    from weighbridge.schema import Limits

_CONTAINERS = {
    opcodes.TUP: "tuple",
    opcodes.LIST: "list",
    opcodes.DICT: "dict",
    opcodes.SET: "set",
    opcodes.FROZEN: "frozenset",
}
_ATOM_KEPT = 4096
_VALUES = 512
_DEPTH = 12
_SHOWN_STEPS = 4


class Import(Struct, frozen=True, kw_only=True):
    """A name that is imported, at its first place."""

    name: Name
    opcode: str
    offset: int


class Invocation(Struct, frozen=True, kw_only=True):
    """A call. `count` is how often this callable is called this way; arguments are those of the first.

    `steps` are offsets of the opcodes that lead to it, the call itself last.
    """

    target: Value
    arguments: Value
    opcode: str
    offset: int
    number: int
    count: int
    steps: tuple[int, ...]


class Assignment(Struct, frozen=True, kw_only=True):
    """BUILD, or items put into something that is no plain container (`opcode` tells which)."""

    target: Value
    state: Value
    opcode: str
    offset: int
    number: int
    steps: tuple[int, ...]


class Embedded(Struct, frozen=True, kw_only=True):
    """A pickle inside a string constant of another one."""

    encoding: str
    offset: int
    trace: Trace


class RawBytes(Struct, frozen=True, kw_only=True):
    """Bytes between opcodes that a loader reads as an array (joblib). `pickle` is set for object arrays."""

    offset: int
    length: int
    pickle: Trace | None = None


class Trace(Struct, frozen=True, kw_only=True):
    """One pickle, from `start` to `end` (exclusive, absolute offsets).

    `finished` says that STOP was reached. Otherwise `broken` says why not, at `broken_at`, or `limit`
    names the bound that was hit. `c_broken_at` is where CPython's C unpickler stops, -1 for nowhere.
    `quirks` maps each disagreement between readers to its first offset. `overflow` lists names with
    more distinct calls than were kept. `doublings` counts containers that hold one container twice, nested.
    """

    start: int
    end: int
    opcodes: int
    protocol: int
    imports: tuple[Import, ...]
    calls: tuple[Invocation, ...]
    assignments: tuple[Assignment, ...]
    unresolved: tuple[Invocation, ...]
    persistent: tuple[Value, ...]
    embedded: tuple[Embedded, ...]
    raw: tuple[RawBytes, ...]
    quirks: dict[str, int]
    overflow: tuple[str, ...]
    depth: int
    doublings: int
    finished: bool
    broken: str = ""
    broken_at: int = -1
    c_broken_at: int = -1
    limit: str = ""

    @property
    def active(self) -> bool:
        """Whether loading it does more than build plain containers."""
        return bool(self.imports or self.calls or self.unresolved or self.persistent)


def never(dotted: str) -> bool:
    """Nothing is settled: every call is told."""
    del dotted
    return False


class Brief(Struct, frozen=True, kw_only=True):
    """What the caller wants to know less of, and which loader is at work.

    `settled` says of a dotted name that its calls need be told once, whatever their arguments.
    `indifferent` says that the state that such an object gets does not matter either.
    `joblib` says that arrays follow their wrapper in the stream.
    """

    settled: Callable[[str], bool] = never
    indifferent: Callable[[str], bool] = never
    joblib: bool = True


class Tracer:
    """Listens to one machine run and keeps bounded facts."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, limits: Limits, brief: Brief, level: int) -> None:
        self.read, self.size, self.limits, self.brief, self.level = read, size, limits, brief, level
        bounds = (limits.opcodes, limits.memo, limits.stack, limits.imports)
        self.machine = Machine(read, size, self, bounds)
        self.imports: list[Import] = []
        self.calls: list[Invocation] = []
        self.settled: dict[int, int] = {}
        self.repeats: dict[int, int] = {}
        self.assignments: list[Assignment] = []
        self.unresolved_names: list[Invocation] = []
        self.persistent_ids: list[Value] = []
        self.embedded: list[Embedded] = []
        self.raw: list[RawBytes] = []
        self.overflow: set[str] = set()

    # What the machine tells

    def imported(self, number: int, op: int, offset: int) -> None:
        """Keep the import."""
        name = Name(*self.machine.imports[number])
        self.imports.append(Import(name=name, opcode=opcodes.NAME[op], offset=offset))

    def unresolved(self, module: int, name: int, op: int, offset: int) -> None:
        """Keep a name that is computed by the stream."""
        if len(self.unresolved_names) < self.limits.nested:
            arguments = Items("tuple", (self.value(module), self.value(name)), 2)
            self.unresolved_names.append(
                self.invocation(Unknown("a name computed at run time"), arguments, op, offset, ())
            )

    def called(self, target: int, arguments: int, op: int, offset: int) -> bool:
        """Keep the call, unless the same call is kept already; settle callables the brief knows."""
        kind = target & 31
        name = Name(*self.machine.imports[target >> 5]) if kind == opcodes.GLOBAL else None
        dotted = name.dotted if name else "<computed>"
        if len(self.calls) >= self.limits.events:
            self.overflow.add(dotted)
            return name is not None and self.brief.settled(dotted)
        told = Unknown("called") if name is None else name
        shown = self.value(target) if name is None else told
        given = self.value(arguments)
        if dotted in nested.BLOB_LOADERS:
            self.look_inside_blob(arguments)
        key = hash((dotted, opcodes.NAME[op], _digest(given), None if name else _digest(shown)))
        if key in self.repeats:
            self.repeats[key] += 1
            return False
        self.repeats[key] = len(self.calls) << 32
        self.calls.append(self.invocation(shown, given, op, offset, self.steps(target, arguments, offset)))
        if not self.brief.settled(dotted):
            return False
        self.settled[(target >> 5) * 256 + op] = len(self.calls) - 1
        return True

    def built(self, instance: int, state: int, offset: int, end: int) -> int:
        """Keep the assignment; skip the raw array behind a joblib wrapper."""
        target = self.target_of(instance)
        if self.brief.joblib and target == nested.JOBLIB_WRAPPER:
            return self.array(state, offset, end)
        if not (isinstance(target, Name) and instance & 31 == opcodes.CALL and self.brief.indifferent(target.dotted)):
            self.assign(instance, state, "BUILD", offset)
        return end

    def filled(self, target: int, items: int, op: int, offset: int) -> None:
        """Keep items that go into something other than a plain container."""
        owner = self.target_of(target)
        if isinstance(owner, Name) and target & 31 == opcodes.CALL and self.brief.settled(owner.dotted):
            return
        self.assign(target, items, opcodes.NAME[op], offset)

    def persistent(self, identifier: int, offset: int) -> None:
        """Keep persistent ids; a checkpoint has one for each storage."""
        del offset
        if len(self.persistent_ids) < self.limits.events:
            self.persistent_ids.append(self.value(identifier))

    def constant(self, handle: int, start: int, length: int) -> None:
        """Look for a pickle inside a constant that begins like one."""
        text = handle & 31 == opcodes.STR
        if self.level < nested.LEVELS and len(self.embedded) < self.limits.nested:
            raw = self.machine.text(handle).encode("latin-1", "replace") if text and length <= _ATOM_KEPT else None
            self.look_inside(raw, start, length)

    # Facts from handles

    def look_inside(self, raw: bytes | None, start: int, length: int) -> None:
        """Keep a pickle found in `raw` or, where that is None, in the bytes at `start`."""
        content = self.read(start, min(length, nested.CONSTANT_READ)) if raw is None else raw
        for encoding, inner in nested.candidates(content):
            found = trace(lambda o, n, b=inner: b[o : o + n], len(inner), 0, self.limits, Brief(), self.level + 1)  # type: ignore[misc]
            if found.opcodes > 1 and (found.active or found.embedded) and (found.finished or found.calls):
                self.embedded.append(Embedded(encoding=encoding, offset=start, trace=found))
                return

    def look_inside_blob(self, arguments: int) -> None:
        """Keep the pickles in the bytes that a known loader gets, such as `torch.storage._load_from_bytes`."""
        items, _ = self.machine.items(arguments)
        if self.level >= nested.LEVELS or not items or len(self.embedded) >= self.limits.nested:
            return
        offset = items[0] >> 5
        if items[0] & 31 not in {opcodes.BYTES, opcodes.BYTEARRAY, opcodes.CALL}:
            return
        if items[0] & 31 == opcodes.CALL:
            content = nested.latin1_bytes(
                self.value(items[0]), self.machine.text, self.machine.items(self.machine.result_of(items[0])[1])[0]
            )
        else:
            op, _, length = self.machine.argument(offset, 0)
            content = self.read(offset + 1 + opcodes.SIZE[op], min(length, nested.BLOB_READ))
        position = 0
        for _ in range(nested.LEGACY_STREAMS if content else 0):
            found = trace(
                lambda o, n: content[o : o + n], len(content), position, self.limits, self.brief, self.level + 1
            )
            self.embedded.append(Embedded(encoding=nested.TORCH_BLOB, offset=offset, trace=found))
            position = found.end
            if not found.finished or position >= len(content):
                break

    def array(self, state: int, offset: int, end: int) -> int:
        """Account for the array bytes that joblib reads after `NumpyArrayWrapper`."""
        shape = nested.joblib_array(self.value(state), self.read, end)
        if shape is None:
            self.machine.quirk("array of unknown size", offset)
            return end
        begin, length = shape
        if length is None:
            inner = trace(self.read, self.size, begin, self.limits, self.brief, self.level)
            self.raw.append(RawBytes(offset=begin, length=inner.end - begin, pickle=inner))
            return max(inner.end, end)
        if length > self.size - begin:
            self.machine.quirk("array longer than the file", offset)
            length = self.size - begin
        self.raw.append(RawBytes(offset=begin, length=length))
        return begin + length

    def assign(self, target: int, state: int, opcode: str, offset: int) -> None:
        """Keep an assignment while there is room."""
        # State set on a class, module or function is kept beyond the bound: that is what attacks do.
        room = self.limits.events * (2 if target & 31 == opcodes.GLOBAL else 1)
        if len(self.assignments) >= room:
            self.overflow.add("BUILD")
            return
        assignment = Assignment(
            target=self.value(target),
            state=self.value(state),
            opcode=opcode,
            offset=offset,
            number=self.machine.ops,
            steps=self.steps(target, state, offset),
        )
        self.assignments.append(assignment)

    def invocation(self, target: Value, arguments: Value, op: int, offset: int, steps: tuple[int, ...]) -> Invocation:
        """A call seen for the first time."""
        return Invocation(
            target=target,
            arguments=arguments,
            opcode=opcodes.NAME[op],
            offset=offset,
            number=self.machine.ops,
            count=1,
            steps=steps,
        )

    def target_of(self, instance: int) -> Value:
        """The class or function whose result a handle is."""
        if instance & 31 == opcodes.CALL:
            callee, _ = self.machine.result_of(instance)
            return self.target_of(callee) if callee & 31 == opcodes.GLOBAL else Unknown("result of a call")
        if instance & 31 == opcodes.GLOBAL:
            return Name(*self.machine.imports[instance >> 5])
        return Unknown("object")

    def steps(self, target: int, arguments: int, offset: int) -> tuple[int, ...]:
        """Offsets that show how a call comes about: the import, the first arguments, the call."""
        places = []
        if target & 31 == opcodes.GLOBAL and target >> 5 < len(self.imports):
            places.append(self.imports[target >> 5].offset)
        items, _ = self.machine.items(arguments) if arguments & 31 == opcodes.TUP else ([], 0)
        atoms = [item for item in items if opcodes.NOTHING < item & 31 < opcodes.TUP]
        places += [item >> 5 for item in atoms[: _SHOWN_STEPS - len(places) - 1]]
        return (*dict.fromkeys(sorted(places)), offset)

    def value(self, handle: int) -> Value:
        """Resolve a handle, bounded in depth and in the number of values."""
        return Resolver(self.machine).resolve(handle, 0)

    def result(self, end: int) -> Trace:
        """Everything that was kept, once the machine has stopped."""
        machine = self.machine
        counts = {place: machine.counts.get(key, 0) for key, place in self.settled.items()}
        for packed in self.repeats.values():
            counts[packed >> 32] = counts.get(packed >> 32, 0) + (packed & 0xFFFFFFFF)
        calls = (_recount(call, counts.get(place, 0)) for place, call in enumerate(self.calls))
        start = self.start
        return Trace(
            start=start,
            end=end,
            opcodes=machine.ops,
            protocol=machine.protocol,
            imports=tuple(self.imports),
            calls=tuple(calls),
            assignments=tuple(self.assignments),
            unresolved=tuple(self.unresolved_names),
            persistent=tuple(self.persistent_ids),
            embedded=tuple(self.embedded),
            raw=tuple(self.raw),
            quirks=dict(machine.quirks),
            overflow=tuple(sorted(self.overflow)),
            depth=machine.depth,
            doublings=machine.doublings,
            finished=machine.finished,
            broken=machine.break_reason,
            broken_at=machine.break_offset,
            c_broken_at=machine.c_break_offset,
            limit=machine.limit,
        )

    start = 0


class Resolver:
    """Turns one handle into a value, and stops after `_VALUES` of them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.left = _VALUES

    def resolve(self, handle: int, depth: int) -> Value:
        """The value of a handle. Recursion is bounded by `_DEPTH`."""
        self.left -= 1
        kind = handle & 31
        if self.left < 0 or depth > _DEPTH:
            return Unknown("…")
        if opcodes.NONE <= kind <= opcodes.BYTEARRAY:
            return self.atom(handle, kind)
        if kind == opcodes.GLOBAL:
            return Name(*self.machine.imports[handle >> 5])
        if kind in {opcodes.CALL, opcodes.PERSISTENT}:
            return self.made(handle, kind, depth)
        if kind in _CONTAINERS:
            items, total = self.machine.items(handle)
            return Items(_CONTAINERS[kind], tuple(self.resolve(item, depth + 1) for item in items), total)
        return Unknown("out-of-band buffer" if kind == opcodes.BUFFER else "nothing")

    def made(self, handle: int, kind: int, depth: int) -> Value:
        """The result of a call, or a persistent object."""
        first, second = self.machine.result_of(handle)
        if not first:
            return Unknown("forgotten")
        if kind == opcodes.PERSISTENT:
            identifier = self.resolve(first, depth + 1)
            return nested.legacy_class(identifier) or Persistent(identifier)
        if not second:
            return Unknown("a name computed at run time")
        return Made(self.resolve(first, depth + 1), self.resolve(second, depth + 1))

    def atom(self, handle: int, kind: int) -> Value:
        """Read an atom again from where it stands."""
        offset = handle >> 5
        op, argument, length = self.machine.argument(offset, _ATOM_KEPT)
        if kind == opcodes.NONE:
            return None
        if kind == opcodes.BOOL:
            return opcodes.NAME[op] == "NEWTRUE" or argument == b"01"
        if kind == opcodes.FLOAT:
            return _float(op, argument)
        if kind == opcodes.INT:
            return _integer(op, argument)
        if length > _ATOM_KEPT:
            width = 1 + opcodes.SIZE[op]
            return Blob(argument[:64], length, offset + width, "str" if kind == opcodes.STR else "bytes")
        return self.machine.text(handle) if kind == opcodes.STR else argument


def _float(op: int, argument: bytes) -> Value:
    if opcodes.NAME[op] == "BINFLOAT":
        return literals.binary_float(argument)
    try:
        return float(argument.partition(b"\0")[0])
    except ValueError:
        return Unknown("number")


def _integer(op: int, argument: bytes) -> Value:
    name = opcodes.NAME[op]
    if name in {"INT", "LONG"}:
        number = literals.text_number(argument)
        return Unknown("number") if number is None else number
    signed = name in {"BININT", "LONG1", "LONG4"}
    return int.from_bytes(argument[:1024], "little", signed=signed)


def _digest(value: Value) -> int:
    return hash(repr(value))


def _recount(call: Invocation, more: int) -> Invocation:
    return structs.replace(call, count=call.count + more) if more else call


def trace(
    read: Callable[[int, int], bytes], size: int, start: int, limits: Limits, brief: Brief, level: int = 0
) -> Trace:
    """Run the pickle at `start` of a blob of `size` bytes without importing or calling anything."""
    tracer = Tracer(read, size, limits, brief, level)
    tracer.start = start
    found = tracer.result(tracer.machine.run(start))
    # Machine and tracer hold each other; without this, thousands of small files wait for the collector.
    del tracer.machine
    return found
