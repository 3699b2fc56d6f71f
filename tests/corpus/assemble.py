"""Small assembler for pickle streams, so that samples say what they are."""

from __future__ import annotations

import pickle
import struct

MARKER = "fired"
COMMAND = f"touch {MARKER}"
CODE = f"open({MARKER!r}, 'w').close()"
EXPRESSION = f"__import__('os').system({COMMAND!r})"


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return (self.function, self.arguments) if self.state is None else (self.function, self.arguments, self.state)


def short(text: str) -> bytes:
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + struct.pack("<I", len(data)) + data


def value(thing) -> bytes:
    """Any plain value as opcodes, without PROTO and STOP. Raw bytes objects of type Raw are taken as they are."""
    if isinstance(thing, Raw):
        return thing.code
    if isinstance(thing, str):
        return short(thing)
    if isinstance(thing, tuple):
        return b"(" + b"".join(map(value, thing)) + b"t"
    if isinstance(thing, list):
        return b"](" + b"".join(map(value, thing)) + b"e"
    if isinstance(thing, dict):
        return b"}(" + b"".join(value(k) + value(v) for k, v in thing.items()) + b"u"
    body = pickle.dumps(thing, 2)
    return body[2:-1]


class Raw:
    """Opcodes that push one value."""

    def __init__(self, code: bytes):
        self.code = code


def name(module: str, attribute: str) -> Raw:
    """GLOBAL."""
    return Raw(b"c" + module.encode() + b"\n" + attribute.encode() + b"\n")


def stack_name(module: str, attribute: str) -> Raw:
    """STACK_GLOBAL."""
    return Raw(short(module) + short(attribute) + b"\x93")


def call(function, *arguments) -> Raw:
    """REDUCE."""
    function = name(*function.rsplit(".", 1)) if isinstance(function, str) else function
    return Raw(value(function) + value(tuple(arguments)) + b"R")


def stream(*parts, protocol: int | None = 4) -> bytes:
    """A whole pickle of the last part; the parts before are popped."""
    head = b"" if protocol is None else b"\x80" + bytes([protocol])
    return head + b"0".join(value(part) for part in parts) + b"."


def dotted(module: str, path: str, *arguments) -> bytes:
    """A call through a protocol 4 attribute chain."""
    return stream(call(stack_name(module, path), *arguments))
