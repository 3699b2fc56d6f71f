"""Knows how the arguments of a call are read from the memory of the process that makes it. All of it may lie and change."""

from __future__ import annotations

import ipaddress
import os
import struct
from typing import Final

_PATH: Final = 4096
_ARGUMENTS: Final = 16
_PAGE: Final = 4096
_FAMILIES: Final = {1: "unix", 2: "inet", 10: "inet6", 16: "netlink", 17: "packet", 38: "alg", 40: "vsock"}
_SHOWN: Final = 200


class Memory:
    """The memory of one process, while it waits for an answer. Reads end where the mapping ends."""

    def __init__(self, pid: int) -> None:
        """Raises OSError where the process may not be read."""
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        self.pid = pid

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)

    def read(self, address: int, length: int) -> bytes:
        """Bytes at an address; empty where nothing is mapped."""
        try:
            return os.pread(self._file, length, address) if 0 < address < 1 << 63 else b""
        except OSError:
            return b""

    def write(self, address: int, data: bytes) -> bool:
        """Put an answer where the caller wants it."""
        try:
            return 0 < address < 1 << 63 and os.pwrite(self._file, data, address) == len(data)
        except OSError:
            return False

    def text(self, address: int, most: int = _PATH) -> str:
        """A C string, up to `most` bytes."""
        found = b""
        while len(found) < most and address:
            # Up to the end of the page: the next one need not be there.
            piece = self.read(address + len(found), _PAGE - (address + len(found)) % _PAGE)
            end = piece.find(b"\0")
            if end >= 0:
                found += piece[:end]
                break
            if not piece:
                break
            found += piece
        return os.fsdecode(found[:most])

    def texts(self, address: int) -> list[str]:
        """The first strings of a list of pointers, such as an argument vector."""
        found: list[str] = []
        for number in range(_ARGUMENTS):
            raw = self.read(address + 8 * number, 8)
            if len(raw) < 8 or not any(raw):
                break
            found.append(self.text(struct.unpack("<Q", raw)[0], 1024))
        return found

    def message(self, address: int) -> tuple[str, bytes]:
        """(address, first bytes) of a `struct msghdr`."""
        raw = self.read(address, 32)
        if len(raw) < 32:
            return "", b""
        name, length, vector, count = struct.unpack("<QI4xQQ", raw)
        target = socket_address(self.read(name, min(length, 128))) if name else ""
        first = self.read(vector, 16) if count else b""
        base, size = struct.unpack("<QQ", first) if len(first) == 16 else (0, 0)
        return target, self.read(base, min(size, 2048))


def socket_address(raw: bytes) -> str:
    """`198.51.100.7:80`, `[::1]:80`, `unix:/run/x`, or the family."""
    if len(raw) < 2:
        return ""
    family = struct.unpack("<H", raw[:2])[0]
    if family == 2 and len(raw) >= 8:
        return f"{ipaddress.IPv4Address(raw[4:8])}:{struct.unpack('>H', raw[2:4])[0]}"
    if family == 10 and len(raw) >= 24:
        return f"[{ipaddress.IPv6Address(raw[8:24])}]:{struct.unpack('>H', raw[2:4])[0]}"
    if family == 1:
        name = raw[2:]
        return "unix:" + (
            "@" + name[1:].rstrip(b"\0").decode("utf-8", "replace")
            if name[:1] == b"\0"
            else name.split(b"\0")[0].decode("utf-8", "replace")
        )
    return family_name(family)


def family_name(number: int) -> str:
    """A socket family in words."""
    return _FAMILIES.get(number & 0xFFFFFFFF, f"family {number & 0xFFFFFFFF}")


def dns_question(raw: bytes) -> str:
    """The name that a DNS query asks for; empty where the bytes are none. Source: RFC 1035, section 4.1."""
    at = 12
    parts: list[str] = []
    while at < len(raw) and 0 < raw[at] < 64 and len(parts) < 64:
        label = raw[at + 1 : at + 1 + raw[at]]
        if not label.isascii() or not label.decode("ascii", "replace").isprintable():
            return ""
        parts.append(label.decode("ascii"))
        at += 1 + raw[at]
    return (
        ".".join(parts)
        if parts and at < len(raw) and raw[at] == 0 and raw[2:6] in {b"\x01\x00\x00\x01", b"\x01\x20\x00\x01"}
        else ""
    )


def readable(raw: bytes) -> str:
    """The beginning of data in words."""
    return raw[:_SHOWN].decode("utf-8", "replace")
