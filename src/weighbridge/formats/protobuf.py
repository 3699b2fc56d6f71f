"""Knows the protobuf wire format: fields with their numbers and places, nothing decoded that is not asked for.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.window import Window

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
_VARINT_BYTES: Final = 10
_GROUPS: Final = 64


class Field(Struct, frozen=True):
    """One field: its number and wire type, its value where it is a number, and where its bytes lie."""

    number: int
    wire: int
    value: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of a length-delimited field."""
        return self.end - self.start

    @property
    def signed(self) -> int:
        """The value as a signed 64-bit number."""
        return self.value - (1 << 64) if self.value >= 1 << 63 else self.value


def fields(window: Window, start: int, end: int) -> Iterator[Field]:
    """The fields between two positions. Raises MalformedInput where the wire format is broken."""
    at, depth = start, 0
    while at < end:
        window.step()
        tag, at = varint(window, at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0 or number > 536870911:
            raise MalformedInput(f"field number {number}", offset=at)
        if wire == VARINT:
            begin = at
            value, at = varint(window, at, end)
            yield Field(number, wire, value, begin, at)
        elif wire in {FIXED64, FIXED32}:
            width = 8 if wire == FIXED64 else 4
            if width > end - at:
                raise MalformedInput("a number is cut", offset=at)
            yield Field(number, wire, window.uint(at, width), at, at + width)
            at += width
        elif wire == LENGTH:
            length, at = varint(window, at, end)
            if length > end - at:
                raise MalformedInput(f"field {number} claims {length} bytes and {end - at} are left", offset=at)
            yield Field(number, wire, length, at, at + length)
            at += length
        elif wire == GROUP and depth < _GROUPS:
            depth += 1
        elif wire == END_GROUP and depth:
            depth -= 1
        else:
            raise MalformedInput(f"wire type {wire}", offset=at)


def varint(window: Window, at: int, end: int) -> tuple[int, int]:
    """(value, position behind it) of a base-128 number of at most ten bytes."""
    value = shift = 0
    while at < end and shift < 7 * _VARINT_BYTES:
        byte = window.uint(at, 1)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise MalformedInput("a number does not end", offset=at)


def text(window: Window, field: Field, *, most: int = 1 << 16) -> str:
    """The text of a length-delimited field; empty for any other."""
    return window.text(field.start, field.size, most=most) if field.wire == LENGTH else ""


def integers(window: Window, field: Field) -> Iterator[int]:
    """The numbers of a repeated varint field, packed or not, signed."""
    if field.wire == VARINT:
        yield field.signed
        return
    at = field.start
    while field.wire == LENGTH and at < field.end:
        window.step()
        value, at = varint(window, at, field.end)
        yield value - (1 << 64) if value >= 1 << 63 else value


def pair(window: Window, field: Field) -> tuple[str, str]:
    """A map entry or StringStringEntry: fields 1 and 2 as text."""
    key = value = ""
    for part in fields(window, field.start, field.end):
        if part.number == 1:
            key = text(window, part)
        elif part.number == 2:
            value = text(window, part)
    return key, value


def as_float(field: Field) -> float:
    """The value of a fixed field as a float."""
    size = 4 if field.wire == FIXED32 else 8
    number: float = struct.unpack("<f" if size == 4 else "<d", field.value.to_bytes(size, "little"))[0]
    return number
