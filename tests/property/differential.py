"""Runs the machine against CPython's two unpicklers over generated and mutated streams.

Usage: differential.py CASES SEED. Prints one JSON line for each disagreement, then a summary line.
The real unpicklers import nothing: `find_class` hands out inert stubs. Memory is limited, because the
C unpickler allocates a memo as long as the largest index that a stream names.
"""

from __future__ import annotations

import _pickle
import io
import json
import pickle
import random
import resource
import struct
import sys
from collections import Counter

from weighbridge.formats.pickle import opcodes
from weighbridge.formats.pickle.trace import Brief, trace
from weighbridge.schema import Limits

GRAMMAR_ERRORS = (
    "truncated",
    "underflow",
    "invalid load key",
    "could not find MARK",
    "Memo value not found",
    "Ran out of input",
    "odd number",
    "unsupported pickle protocol",
    "must be quoted",
    "negative byte count",
    "could not convert string to float",
)
LIMITS = Limits()


class Stub:
    """Stands for whatever a stream imports; accepts every use."""

    def __new__(cls, *_args, **_kwargs):
        return object.__new__(cls)

    def __init__(self, *_args, **_kwargs):
        pass

    def __call__(self, *_args, **_kwargs):
        return Stub()

    def __setitem__(self, _key, _value):
        pass

    def __setstate__(self, _state):
        pass

    def append(self, _item):
        pass

    def extend(self, _items):
        pass

    add = append


def recorder(base):
    class Recorder(base):
        def __init__(self, file):
            super().__init__(file, encoding="latin-1")
            self.seen = []

        def find_class(self, module, name):
            self.seen.append((module, name))
            return Stub

        def persistent_load(self, _pid):
            return Stub()

    return Recorder


C = recorder(_pickle.Unpickler)
PYTHON = recorder(pickle._Unpickler)


def real(kind, data):
    unpickler = kind(io.BufferedReader(io.BytesIO(data)))
    try:
        unpickler.load()
    except MemoryError:
        return unpickler.seen, "memory"
    except Exception as error:  # any failure is the datum
        return unpickler.seen, f"{type(error).__name__}: {error}"
    return unpickler.seen, ""


def ordered(names):
    return list(dict.fromkeys(names))


SEEDS = [
    pickle.dumps(value, protocol)
    for protocol in range(6)
    for value in (
        {"a": [1, 2.5, "x" * 40, (3, b"q" * 40)], "b": print, 2**70: None},
        [Counter("abc"), {1, 2}, frozenset([3]), complex(1, 2), bytearray(b"xyz"), True],
        [{"k": [["deep"]]}] * 3 + ["é" * 9, -5, 70000, 2**31],
    )
]
TEXTS = [
    b"0x10",
    b"010",
    b"1_0",
    b" 7",
    b"7 ",
    b"1\x00x",
    b"\x00",
    b"\x00x",
    b" \x00",
    b"00",
    b"01",
    b"-3",
    b"",
    b"12",
    b"1e5",
    b" 1.5",
    b"nan",
    b"'a'",
    b"'\\x41'",
    b'"b',
    b"os",
    b"system",
    b"a.b",
    b"\xff",
    b"\\u0041",
    b"\\u00",
    b"99999999999999999999",
    b"+5",
    b"5L",
    b"0x1FL",
]


def argument(rng, code):
    name, shape, size = opcodes.NAME[code], opcodes.SHAPE[code], opcodes.SIZE[code]
    if shape == opcodes.LINE:
        lines = 2 if name in {"GLOBAL", "INST"} else 1
        if name in {"GET", "PUT"}:
            return rng.choice([b"0", b"1", b"2", b" 1", b"-1", b"7"]) + b"\n"
        return b"".join(rng.choice(TEXTS) + b"\n" for _ in range(lines))
    if shape in {opcodes.COUNTED1, opcodes.COUNTED4, opcodes.COUNTED8}:
        body = rng.choice(TEXTS)
        claimed = len(body) if rng.random() < 0.97 else rng.choice([0, 3, 255, 2**31 % 256**size, 256**size - 1])
        return claimed.to_bytes(size, "little") + body
    if name == "FRAME":
        return struct.pack("<Q", rng.choice([0, 4, 9, 30, 2**40]))
    if name in {"BINGET", "BINPUT", "LONG_BINGET", "LONG_BINPUT"}:
        return rng.choice([0, 1, 2, 3]).to_bytes(size, "little")
    if name == "PROTO":
        return bytes([rng.choice([0, 2, 4, 5, 6])])
    return rng.randbytes(size)


VALID = [
    code
    for code in range(256)
    if opcodes.SHAPE[code] != opcodes.INVALID and "BUFFER" not in opcodes.NAME[code] and "EXT" not in opcodes.NAME[code]
]
PUSHING = [code for code in VALID if opcodes.PUSHES[code] and opcodes.SHAPE[code] not in {opcodes.FILL, opcodes.RARE}]


def generated(rng):
    parts = [b"\x80\x04"] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 25)):
        code = rng.choice(PUSHING if rng.random() < 0.6 else VALID)
        parts.append(bytes([code]) + argument(rng, code))
    if rng.random() < 0.9:
        parts.append(b".")
    return b"".join(parts)


def mutated(rng):
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(data) + 1)
        chance = rng.random()
        if chance < 0.4 and at < len(data):
            data[at] = rng.randrange(256)
        elif chance < 0.7:
            code = rng.choice(VALID)
            data[at:at] = bytes([code]) + argument(rng, code)
        else:
            del data[at : at + rng.randint(1, 9)]
    return bytes(data)


def complaints(data):
    """Sentences about what the machine got wrong for one stream."""
    ours = trace(lambda offset, length: data[offset : offset + length], len(data), 0, LIMITS, Brief(joblib=False))
    names = [(item.name.module, item.name.name) for item in ours.imports]
    c_seen, c_error = real(C, data)
    python_seen, python_error = real(PYTHON, data)
    if c_error == "memory" or python_error == "memory":
        return
    c_names = ordered(c_seen)
    if "frame" in ours.quirks:
        # Reading from a file, the C reader drops what is left of a frame that cuts a line: two readings
        # of one stream by one reader. The quirk is a finding; there is nothing to compare.
        return
    if names[: len(c_names)] != c_names:
        yield f"missed an import of the C reader: {c_names} {names}"
    python_names = ordered(python_seen)
    if not c_error and (not ours.finished or names != c_names):
        yield f"the C reader finished, ours: {ours.broken} {names}"
    if not python_error and not ours.finished:
        yield f"the Python reader finished, ours: {ours.broken}"
    if not set(python_names) <= set(names):
        yield f"missed an import of the Python reader: {python_names} {names}"
    if c_error and ours.c_broken_at < 0 and any(text in c_error for text in GRAMMAR_ERRORS):
        yield f"the C reader stopped, ours did not: {c_error}"
    if "state is not a dictionary" in c_error:
        return  # whether a class takes such a state is for the class to say; the stream cannot tell
    differ = bool(c_error) != bool(python_error) or c_names != python_names
    if differ and ours.finished and not ours.quirks and ours.c_broken_at < 0:
        yield f"readers disagree and no quirk is noted: C {c_error!r}, Python {python_error!r}"


def main():
    cases, seed = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    rng = random.Random(seed)
    wrong = 0
    for _ in range(cases):
        data = generated(rng) if rng.random() < 0.5 else mutated(rng)
        found = list(complaints(data))
        wrong += bool(found)
        for text in found:
            print(json.dumps({"stream": data.hex(), "complaint": text}))
    print(json.dumps({"cases": cases, "wrong": wrong}))


if __name__ == "__main__":
    main()
