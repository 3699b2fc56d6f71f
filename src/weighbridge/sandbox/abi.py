"""Knows the machines: numbers of system calls, the audit architecture, and the layout of what the kernel writes.

The numbers come from the headers of Linux 6.1 (`scripts/syscalls.py` writes the table); newer calls are not in it, and
are denied like every call that is not named.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

X86_64: Final = "x86_64"
AARCH64: Final = "aarch64"
# 32-bit calls of the x32 machine carry this bit and the architecture of x86-64.
X32_BIT: Final = 0x40000000
_AUDIT: Final = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}


class Machine(Struct, frozen=True, kw_only=True):
    """One architecture: its name, the kernel's word for it, and its system calls."""

    name: str
    audit: int
    numbers: Mapping[str, int]
    names: Mapping[int, str]


@cache
def machine(name: str = "") -> Machine:
    """The architecture of that name, of this machine without one. Raises Unavailable for others."""
    wanted = name or os.uname().machine
    if wanted not in _AUDIT:
        raise Unavailable(f"the sandbox has no system call table for {wanted}", hint="x86_64 and aarch64 have one")
    column = 1 if wanted == X86_64 else 2
    numbers = {}
    with open(os.path.join(os.path.dirname(__file__), "syscalls.txt"), encoding="ascii") as file:
        for line in file:
            row = line.split()
            if int(row[column]) >= 0:
                numbers[row[0]] = int(row[column])
    return Machine(name=wanted, audit=_AUDIT[wanted], numbers=numbers, names={v: k for k, v in numbers.items()})


def pack_stat(kind: str, found: os.stat_result) -> bytes:
    """A `struct stat` as the kernel would write it for this machine (`arch/x86/include/uapi/asm/stat.h`, asm-generic)."""
    blocks = -(-found.st_size // 512)
    times = [part for ns in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns) for part in divmod(ns, 10**9)]
    if kind == X86_64:
        return struct.pack(
            "<QQQIIIIQqqq6q3q",
            found.st_dev, found.st_ino, found.st_nlink, found.st_mode, found.st_uid, found.st_gid, 0, 0,
            found.st_size, 4096, blocks, *times, 0, 0, 0,
        )  # fmt: skip
    return struct.pack(
        "<QQIIIIQQqiiq6qII",
        found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 0,
        found.st_size, 4096, 0, blocks, *times, 0, 0,
    )  # fmt: skip
