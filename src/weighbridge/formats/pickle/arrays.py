"""Knows how to make fixed arrays of machine numbers, native when compiled and `array` when not."""

from __future__ import annotations

from array import array
from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i32, i64, u8

COMPILED: Final = not __file__.endswith(".py")


def wide8(number: u8) -> i64:
    """A byte as a 64-bit number."""
    if COMPILED:
        return i64(number)
    return number  # type: ignore[return-value]  # a plain int will do


def wide32(number: i32) -> i64:
    """A 32-bit number as a 64-bit one."""
    if COMPILED:
        return i64(number)
    return number  # type: ignore[return-value]  # a plain int will do


def narrow8(number: i64) -> u8:
    """A number known to fit in a byte."""
    if COMPILED:
        return u8(number)
    return number  # type: ignore[return-value]


def narrow32(number: i64) -> i32:
    """A number known to fit in 32 bits."""
    if COMPILED:
        return i32(number)
    return number  # type: ignore[return-value]


def zeros64(count: i64) -> vec[i64]:
    """`count` signed 64-bit zeros."""
    if not COMPILED:
        return array("q", bytes(8 * count))  # type: ignore[return-value]  # same indexing, no native type
    zero: i64 = 0
    made = vec[i64](capacity=count)
    at: i64 = 0
    while at < count:
        made = append(made, zero)
        at += 1
    return made


def zeros32(count: i64) -> vec[i32]:
    """`count` signed 32-bit zeros."""
    if not COMPILED:
        return array("i", bytes(4 * count))  # type: ignore[return-value]
    zero: i32 = 0
    made = vec[i32](capacity=count)
    at: i64 = 0
    while at < count:
        made = append(made, zero)
        at += 1
    return made


def zeros8(count: i64) -> vec[u8]:
    """`count` zero bytes."""
    if not COMPILED:
        return bytearray(count)  # type: ignore[return-value]
    zero: u8 = 0
    made = vec[u8](capacity=count)
    at: i64 = 0
    while at < count:
        made = append(made, zero)
        at += 1
    return made


def doubled(old: vec[i64], count: i64) -> vec[i64]:
    """A copy of the first `count` numbers of `old` in an array of twice the size."""
    made = zeros64(2 * count)
    at: i64 = 0
    while at < count:
        made[at] = old[at]
        at += 1
    return made


def has_high_byte(data: bytes, start: i64, end: i64) -> bool:
    """Whether a byte above 0x7F lies in data[start:end]."""
    if not COMPILED:
        return not data[start:end].isascii()
    at = start
    while at < end:
        if data[at] > 0x7F:
            return True
        at += 1
    return False


def i64_of(value: int) -> i64:
    """A byte as a native number."""
    return value


def clamp(value: int) -> i64:
    """A memo index of any size as one that fits; too large and negative ones name no entry."""
    return value if -1 < value < 1 << 62 else -1


def build_kind() -> str:
    """`compiled` or `pure`."""
    return "compiled" if COMPILED else "pure"
