"""Knows what a serving process does: programs, addresses, libraries and files it writes; learned for a while, then locked.

Two ways to look, and what each cannot see. From inside, audit hooks of Python (PEP 578) see `subprocess`, `os.exec`,
`socket.connect`, `open` for writing and `ctypes.dlopen` at the moment they happen, and nothing that native code does by
itself. From outside, `/proc` sees children, open connections, open files and mapped libraries of the process however they
came about, and nothing that begins and ends between two looks.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MOST: Final = 10_000
_DESCRIPTORS: Final = 65_536
_LARGEST: Final = 16 << 20
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]\Z")
_LIBRARY: Final = re.compile(r"\.so(?:\.[\d.]+)?\Z")
_ESTABLISHED, _SYN_SENT, _CLOSE_WAIT = "01", "02", "08"
_WRITES: Final = os.O_WRONLY | os.O_RDWR
_NOT_FILES: Final = ("/dev/", "/proc/", "/sys/", "pipe:", "anon_inode:", "socket:", "/memfd:")


class Act(Struct, frozen=True, order=True):
    """One thing that a process did: `program`, `address`, `library` or `file`, and which."""

    kind: str
    what: str


class Profile:
    """What is usual for a process. While it is learned nothing is new; `locked`, everything unknown is."""

    def __init__(self, known: Iterable[Act] = (), *, locked: bool = False) -> None:
        self.known = set(known)
        self.locked = locked
        self.lost = 0

    def new(self, acts: Iterable[Act]) -> list[Act]:
        """What was not known; from now on it is."""
        found = []
        for act in acts:
            if act in self.known:
                continue
            if len(self.known) >= _MOST:
                self.lost += 1
            else:
                self.known.add(act)
            if self.locked:
                found.append(act)
        return found

    def dump(self) -> bytes:
        """As a file."""
        table = {"locked": self.locked, "known": [[one.kind, one.what] for one in sorted(self.known)]}
        return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def load(data: bytes, name: str) -> Profile:
    """From a file. Raises UsageError."""
    try:
        table = msgspec.json.decode(data)
        return Profile((Act(str(kind), str(what)) for kind, what in table["known"]), locked=bool(table["locked"]))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{name}: not a profile: {error}", hint="weighbridge monitor process --learn writes one"
        ) from error


def acts_of(pid: int) -> list[Act]:
    """What a process and its descendants do at this moment, from /proc. Raises SourceError where it cannot be looked at."""
    if not os.path.isdir("/proc/self"):
        raise SourceError("this system has no /proc", hint="use weighbridge.monitor.process.watch inside the process")
    found: set[Act] = set()
    children = _descendants(pid)
    for one in children:
        if one != pid and (program := _link(f"/proc/{one}/exe")):
            found.add(Act("program", program))
    for one in children:
        found.update(_open_things(one, required=one == pid))
    return sorted(found)


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read(4096).rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found, left = [pid], [pid]
    while left and len(found) < _MOST:
        mine = parents.get(left.pop(), [])
        found += mine
        left += mine
    return found


def _open_things(pid: int, *, required: bool) -> Iterator[Act]:
    inodes = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")[:_DESCRIPTORS]
    except OSError as error:
        if required:
            raise SourceError(
                f"process {pid}: {(error.strerror or str(error)).lower()}", hint="run the monitor as the same user"
            ) from error
        return
    for name in names:
        target = _link(f"/proc/{pid}/fd/{name}")
        match = _SOCKET.match(target)
        if match:
            inodes.add(match[1])
        elif target and not target.startswith(_NOT_FILES) and _writes(pid, name):
            yield Act("file", folded(target.removesuffix(" (deleted)")))
    for kind in ("tcp", "tcp6"):
        for inode, address in _connections(pid, kind):
            if inode in inodes:
                yield Act("address", address)
    for path in _mapped(pid):
        yield Act("library", path)


def _writes(pid: int, descriptor: str) -> bool:
    try:
        with open(f"/proc/{pid}/fdinfo/{descriptor}", "rb") as file:
            match = re.search(rb"^flags:\s*([0-7]+)", file.read(4096), re.MULTILINE)
    except OSError:
        return False
    return bool(match and int(match[1], 8) & _WRITES)


def _connections(pid: int, kind: str) -> Iterator[tuple[str, str]]:
    """(inode, address) of connections that the process made or took, not of sockets that wait."""
    try:
        with open(f"/proc/{pid}/net/{kind}", encoding="ascii") as file:
            rows = file.read(_LARGEST).splitlines()[1:]
    except OSError:
        return
    served = {row.split()[1].rpartition(":")[2] for row in rows if row.split()[3] == "0A"}
    for row in rows:
        cells = row.split()
        # A connection to a port that is listened on here came from outside: it is a request, not a destination.
        if cells[3] in {_ESTABLISHED, _SYN_SENT, _CLOSE_WAIT} and cells[1].rpartition(":")[2] not in served:
            yield cells[9], _address(cells[2])


def _address(text: str) -> str:
    """`0100007F:1F90` as 127.0.0.1:8080: each word of four bytes is in the order of the machine."""
    host, _, port = text.partition(":")
    raw = b"".join(
        bytes.fromhex(host[place : place + 8])[:: -1 if sys.byteorder == "little" else 1]
        for place in range(0, len(host), 8)
    )
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    name = socket.inet_ntop(family, raw).removeprefix("::ffff:")
    return f"{name}:{int(port, 16)}"


def _mapped(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            rows = file.read(_LARGEST).splitlines()
    except OSError:
        return []
    paths = {row.split(None, 5)[5] for row in rows if len(row.split(None, 5)) == 6 and "x" in row.split(None, 2)[1]}
    return sorted(path for path in paths if _LIBRARY.search(path.removesuffix(" (deleted)")))


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


_NUMBERS: Final = re.compile(r"\d{2,}|[0-9a-f]{8,}|(?<=tmp)[\w-]{6,}")


def folded(path: str) -> str:
    """A path without what differs from run to run: numbers and the random part of temporary names."""
    return _NUMBERS.sub("*", path)


def watch(profile: Profile, told: Callable[[Act], None]) -> Callable[[], None]:
    """Look from inside this process with an audit hook; `told` is called with what is new. The result ends it.

    An audit hook cannot be removed; after the end it does nothing.
    """
    alive = [True]
    inside = [False]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not alive[0] or event not in _EVENTS or inside[0]:
            return
        inside[0] = True  # what telling does is not told
        try:
            act = _EVENTS[event](arguments)
            for new in profile.new([act]) if act else ():
                told(new)
        finally:
            inside[0] = False

    sys.addaudithook(hook)

    def end() -> None:
        alive[0] = False

    return end


def _program(arguments: tuple[Any, ...]) -> Act:
    return Act(
        "program",
        os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else str(arguments[0]),
    )


def _connected(arguments: tuple[Any, ...]) -> Act:
    address = arguments[1]
    if isinstance(address, tuple) and len(address) >= 2:
        return Act("address", f"{address[0]}:{address[1]}")
    return Act("address", os.fsdecode(address) if isinstance(address, str | bytes) else str(address))


def _opened(arguments: tuple[Any, ...]) -> Act | None:
    path, mode, flags = arguments
    if not isinstance(path, str | bytes):
        return None
    writes = (
        any(sign in mode for sign in "wax+")
        if isinstance(mode, str)
        else bool(isinstance(flags, int) and flags & _WRITES)
    )
    return Act("file", folded(os.path.abspath(os.fsdecode(path)))) if writes else None


def _library(arguments: tuple[Any, ...]) -> Act:
    return Act("library", str(arguments[0]))


_EVENTS: Final[dict[str, Callable[[tuple[Any, ...]], Act | None]]] = {
    "subprocess.Popen": _program, "os.exec": _program, "os.posix_spawn": _program, "os.system": _program,
    "socket.connect": _connected, "open": _opened, "ctypes.dlopen": _library,
}  # fmt: skip
