"""Knows how the host answers the calls that a locked child may not make by itself, and writes down what was tried.

No answer lets a call go on whose meaning depends on memory that another thread can change: files are opened and looked
at here, by the path that was read, and the descriptor or the bytes are handed in. Source: seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from weighbridge.sandbox.abi import Machine, pack_stat
from weighbridge.sandbox.attempt import Attempt, Kind
from weighbridge.sandbox.filters import SLEEPS
from weighbridge.sandbox.memory import Memory, dns_question, family_name, readable, socket_address

if TYPE_CHECKING:
    from weighbridge.sandbox.protocol import Bounds

_RECEIVE, _SEND, _VALID, _ADD = 0xC0502100, 0xC0182101, 0x40082102, 0xC0182103
_CONTINUE: Final = 1
_AND_SEND: Final = 2
_ATTEMPTS: Final = 1000
_PATHS: Final = {
    "openat": 1, "open": 0, "execve": 0, "execveat": 1, "mkdir": 0, "mkdirat": 1, "unlink": 0, "unlinkat": 1, "rename": 0,
    "renameat": 1, "renameat2": 1, "link": 0, "linkat": 1, "symlink": 1, "symlinkat": 2, "chmod": 0, "fchmodat": 1, "chown": 0,
    "lchown": 0, "fchownat": 1, "truncate": 0, "mount": 1, "umount2": 0, "chdir": 0, "chroot": 0, "pivot_root": 0, "creat": 0,
    "rmdir": 0, "mknod": 0, "mknodat": 1, "utimensat": 1, "utime": 0, "utimes": 0, "futimesat": 1, "setxattr": 0,
    "lsetxattr": 0, "removexattr": 0, "swapon": 0, "acct": 0, "uselib": 0, "inotify_add_watch": 1, "name_to_handle_at": 1,
    "open_tree": 1, "statfs": 0, "getxattr": 0, "listxattr": 0,
}  # fmt: skip
_WRITES: Final = frozenset(
    [
        "mkdir",
        "mkdirat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "chmod",
        "fchmod",
        "fchmodat",
        "chown",
        "fchown",
        "lchown",
        "fchownat",
        "truncate",
        "creat",
        "rmdir",
        "mknod",
        "mknodat",
        "utimensat",
        "utime",
        "utimes",
        "futimesat",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "removexattr",
        "lremovexattr",
        "fremovexattr",
        "fallocate",
    ]
)
_PROCESSES: Final = frozenset(
    [
        "kill",
        "tkill",
        "tgkill",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
        "prlimit64",
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
        "setpriority",
        "kcmp",
        "process_madvise",
        "process_mrelease",
        "move_pages",
        "migrate_pages",
        "ioprio_set",
        "setpgid",
        "setsid",
        "clone",
        "fork",
        "vfork",
    ]
)
_SOCKETS: Final = frozenset(
    [
        "socket",
        "connect",
        "bind",
        "listen",
        "accept",
        "accept4",
        "sendto",
        "sendmsg",
        "sendmmsg",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "setsockopt",
        "getsockopt",
        "getsockname",
        "getpeername",
        "shutdown",
        "socketpair",
    ]
)
_LOOKS: Final = {"newfstatat": (0, 1, 2), "stat": (-1, 0, 1), "lstat": (-1, 0, 1)}
_MAY: Final = {"access": (-1, 0, 1), "faccessat": (0, 1, 2)}
_LINKS: Final = {"readlink": (-1, 0, 1, 2), "readlinkat": (0, 1, 2, 3)}
_QUIET: Final = frozenset({"setsockopt", "getsockopt", "getsockname", "getpeername", "shutdown", "listen"})
_ACCESS_MODE, _CREATE, _TRUNCATE, _DIRECTORY, _EMPTY_PATH = 3, 0o100, 0o1000, os.O_DIRECTORY, 0x1000
_THREAD: Final = 0x00010000
# Namespaces, and a child that is its maker's brother.
_APART: Final = 0x7E020000 | 0x8000
_HERE: Final = -100
_EXECUTABLE: Final = 4
_ANONYMOUS: Final = 0x20


class _Call:
    """One call that waits for an answer."""

    __slots__ = ("arguments", "id", "memory", "name", "pid")

    def __init__(self, identifier: int, pid: int, name: str, arguments: tuple[int, ...], memory: Memory) -> None:
        self.id, self.pid, self.name, self.arguments, self.memory = identifier, pid, name, arguments, memory


class Supervisor:
    """Answers one child and everything that it starts. With `observe`, lies to see more."""

    def __init__(
        self, listener: int, machine: Machine, roots: tuple[str, ...], bounds: Bounds, *, observe: bool
    ) -> None:
        self.listener, self.machine, self.roots, self.observe = listener, machine, roots, observe
        self.threads = bounds.threads
        self.forks = self.allowed = bounds.processes if observe else 0
        self.tried: dict[tuple[Kind, str, str, str], int] = {}
        self.hidden = 0

    def close(self) -> None:
        """Let go of the listener: calls that are still to come fail."""
        os.close(self.listener)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was tried, in order, each once."""
        return tuple(
            Attempt(kind=kind, call=call, what=what, outcome=outcome, count=count)
            for (kind, call, what, outcome), count in self.tried.items()
        )

    def note(self, kind: Kind, call: str, what: str, outcome: str) -> None:
        """Write an attempt down, up to a bound on different ones."""
        key = (kind, call, what[:1024], outcome)
        if key in self.tried or len(self.tried) < _ATTEMPTS:
            self.tried[key] = self.tried.get(key, 0) + 1
        else:
            self.hidden += 1

    def answer(self) -> None:
        """Answer the next call that waits."""
        buffer = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, buffer, True)  # the buffer is written to
        except OSError:
            # The caller died before it was heard.
            return
        identifier, pid, _, number, _, _ = struct.unpack_from("<QIIiIQ", buffer)
        arguments = struct.unpack_from("<6Q", buffer, 32)
        name = self.machine.names.get(number, f"system call {number}")
        try:
            memory = Memory(pid)
        except OSError:
            self._reply(identifier, -errno.EPERM)
            return
        try:
            # The number of a process that died may belong to another one by now.
            if self._alive(identifier):
                call = _Call(identifier, pid, name, arguments, memory)
                told = self._decided(call)
                if told is not None:
                    self._reply(identifier, *told)
        except OSError:
            self._reply(identifier, -errno.EPERM)
        finally:
            memory.close()

    def _alive(self, identifier: int) -> bool:
        try:
            fcntl.ioctl(self.listener, _VALID, struct.pack("<Q", identifier))
        except OSError:
            return False
        return True

    def _reply(self, identifier: int, error: int, value: int = 0, flags: int = 0) -> None:
        try:
            fcntl.ioctl(self.listener, _SEND, struct.pack("<QqiI", identifier, value, error, flags))
        except OSError:
            # It was killed while it waited.
            return

    def _decided(self, call: _Call) -> tuple[int, ...] | None:
        """(error, value, flags) of an answer; None where it is given already."""
        name = call.name
        if name in {"openat", "open", "creat"}:
            return self._opened(call)
        if name in _LOOKS:
            return self._looked_at(call)
        if name in _MAY:
            return self._asked(call)
        if name in _LINKS:
            return self._link(call)
        if name in {"clone", "fork", "vfork"}:
            return self._cloned(call)
        if name in {"mmap", "mprotect"}:
            return self._mapped(call)
        if name in _SOCKETS:
            return self._talked(call)
        if name in SLEEPS:
            return self._slept(call)
        self._denied(call)
        return (-errno.EPERM,)

    # Files

    def _path(self, call: _Call, folder: int, place: int) -> str:
        """The path at one argument, from the folder at another (-1 for none), made absolute; a descriptor by its own name."""
        text = call.memory.text(call.arguments[place])
        if os.path.isabs(text):
            return text
        where = call.arguments[folder] & 0xFFFFFFFF
        if folder < 0 or where == _HERE & 0xFFFFFFFF:
            return os.path.join("/", text)
        try:
            base = os.readlink(f"/proc/{call.pid}/fd/{where}")
        except OSError:
            return os.path.join("/nowhere", text)
        return os.path.join(base, text) if text else base

    def _inside(self, path: str) -> str:
        """The real path where it is one that a loader may read, else empty."""
        real = os.path.realpath(path)
        return real if any(real == root or real.startswith(root + "/") for root in self.roots) else ""

    def _above(self, path: str) -> bool:
        """Whether a folder leads to one that may be read: it may be looked at, not listed."""
        plain = os.path.normpath(path).rstrip("/") + "/"
        return any(root.startswith(plain) for root in self.roots)

    def _opened(self, call: _Call) -> tuple[int, ...] | None:
        at = call.name == "openat"
        flags = call.arguments[2 if at else 1] if call.name != "creat" else _CREATE | 1
        path = self._path(call, 0 if at else -1, 1 if at else 0)
        if flags & (_ACCESS_MODE | _CREATE | _TRUNCATE):
            self.note(Kind.WRITE, call.name, path, "denied")
            return (-errno.EACCES,)
        real = self._inside(path)
        if not real:
            self.note(Kind.READ, call.name, path, "denied")
            return (-errno.EACCES,)
        try:
            opened = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | (flags & _DIRECTORY))
        except OSError as error:
            return (-(error.errno or errno.EACCES),)
        try:
            return self._handed_in(call, opened, cloexec=bool(flags & os.O_CLOEXEC))
        finally:
            os.close(opened)

    def _handed_in(self, call: _Call, descriptor: int, *, cloexec: bool) -> tuple[int, ...] | None:
        """Put a descriptor into the caller, and its number into the answer, at once."""
        flags = os.O_CLOEXEC if cloexec else 0
        try:
            fcntl.ioctl(self.listener, _ADD, struct.pack("<QIIII", call.id, _AND_SEND, descriptor, 0, flags))
        except OSError as error:
            return (-(error.errno or errno.EMFILE),)
        return None

    def _looked_at(self, call: _Call) -> tuple[int, ...]:
        folder, place, target = _LOOKS[call.name]
        # The path may change between two looks: whether it is empty decides nothing but which descriptor of its own is meant.
        behind = folder >= 0 and call.arguments[3] & _EMPTY_PATH and not call.memory.text(call.arguments[place], 1)
        if behind:
            found: os.stat_result | None = os.stat(f"/proc/{call.pid}/fd/{call.arguments[0] & 0xFFFFFFFF}")
        else:
            found = self._stat(call.name, self._path(call, folder, place))
        if found is None:
            return (-errno.ENOENT,)
        return (
            (0,) if call.memory.write(call.arguments[target], pack_stat(self.machine.name, found)) else (-errno.EFAULT,)
        )

    def _stat(self, call: str, path: str) -> os.stat_result | None:
        real = self._inside(path)
        if not real and self._above(path):
            real = os.path.realpath(path)
        if not real:
            self.note(Kind.READ, call, path, "denied")
            return None
        try:
            return os.stat(real, follow_symlinks=False)
        except OSError:
            return None

    def _asked(self, call: _Call) -> tuple[int, ...]:
        folder, place, mode = _MAY[call.name]
        path = self._path(call, folder, place)
        real = self._inside(path)
        if not real:
            self.note(Kind.READ, call.name, path, "denied")
            return (-errno.ENOENT,)
        wanted = call.arguments[mode] & 7
        return (0,) if os.path.exists(real) and not wanted & os.W_OK else (-errno.EACCES,)

    def _link(self, call: _Call) -> tuple[int, ...]:
        folder, place, target, size = _LINKS[call.name]
        path = self._path(call, folder, place)
        if not self._inside(os.path.dirname(path)):
            self.note(Kind.READ, call.name, path, "denied")
            return (-errno.ENOENT,)
        try:
            found = os.fsencode(os.readlink(path))[: call.arguments[size]]
        except OSError as error:
            return (-(error.errno or errno.EINVAL),)
        return (0, len(found)) if call.memory.write(call.arguments[target], found) else (-errno.EFAULT,)

    # Threads, processes, memory

    def _cloned(self, call: _Call) -> tuple[int, ...]:
        """Threads up to a bound. While observing, processes too, so that what they would run is seen; from registers alone."""
        special = call.name == "clone" and call.arguments[0] & _APART
        if call.name == "clone" and call.arguments[0] & _THREAD and not special:
            if self.threads > 0:
                self.threads -= 1
                return (0, 0, _CONTINUE)
            self.note(Kind.LIMIT, "clone", "more threads than the bound", "denied")
            return (-errno.EAGAIN,)
        if self.forks > 0 and not special:
            self.forks -= 1
            self.note(Kind.PROCESS, call.name, "a new process", "let begin, to see what it runs")
            return (0, 0, _CONTINUE)
        self.note(Kind.PROCESS, call.name, "a process in other namespaces" if special else "a new process", "denied")
        if not special:
            self.note(Kind.LIMIT, call.name, f"more processes than {self.allowed}", "denied")
        return (-errno.EPERM,)

    def _mapped(self, call: _Call) -> tuple[int, ...]:
        """Executable memory: from library files only. This is hardening and no boundary: no new rights come of it."""
        if call.name == "mmap" and not call.arguments[3] & _ANONYMOUS:
            path = os.readlink(f"/proc/{call.pid}/fd/{call.arguments[4] & 0xFFFFFFFF}")
            if self._inside(path):
                return (0, 0, _CONTINUE)
        if call.arguments[2] & _EXECUTABLE:
            self.note(Kind.KERNEL, call.name, "executable memory that is no library", "denied")
        else:
            self.note(Kind.KERNEL, call.name, "shared memory without a file", "denied")
        return (-errno.EPERM,)

    def _slept(self, call: _Call) -> tuple[int, ...]:
        """Time passes at once while observing, so that what waits for it is seen."""
        clocked = call.name == "clock_nanosleep"
        request = call.memory.read(call.arguments[2 if clocked else 0], 16)
        whole, parts = struct.unpack("<qq", request) if len(request) == 16 else (0, 0)
        seconds = whole + parts / 1e9
        if clocked and call.arguments[1] & 1:
            # A deadline, and not a duration.
            seconds -= time.clock_gettime(min(call.arguments[0], 7))
        if seconds >= 1:
            self.note(Kind.LIMIT, call.name, f"{seconds:.0f} s of sleep", "passed over")
        return (0,)

    # The network

    def _talked(self, call: _Call) -> tuple[int, ...] | None:
        """Every socket is a pair whose far end nobody listens to; not a byte leaves this process tree."""
        name, arguments = call.name, call.arguments
        what, value = self._said(call)
        if not self.observe:
            if name not in _QUIET or what:
                self.note(Kind.NETWORK, name, what, "denied")
            return (-errno.EPERM,)
        outcome = "answered by nobody"
        told: tuple[int, ...]
        if name == "socket" and arguments[0] in {1, 2, 10}:
            self.note(Kind.NETWORK, name, what, outcome)
            return self._pretended(call)
        if name in {"connect", "bind"} and what.startswith("unix:"):
            outcome, told = "refused", (-errno.ECONNREFUSED,)
        elif name in {"connect", "bind", "listen", "setsockopt", "shutdown"}:
            told = (0,)
        elif name in {"sendto", "sendmsg"}:
            told = (0, value)
        elif name == "sendmmsg":
            outcome, told = "unreachable", (-errno.ENETUNREACH,)
        elif name in {"recvfrom", "recvmsg", "recvmmsg", "accept", "accept4"}:
            outcome, told = "refused", (-errno.ECONNREFUSED,)
        else:
            outcome, told = "denied", (-errno.EPERM,)
        if name not in _QUIET:
            self.note(Kind.NETWORK, name, what, outcome)
        return told

    def _pretended(self, call: _Call) -> tuple[int, ...] | None:
        kind = call.arguments[1] & 0xF
        near, far = socket.socketpair(socket.AF_UNIX, kind if kind in {1, 2} else 1)
        try:
            return self._handed_in(call, near.fileno(), cloexec=bool(call.arguments[1] & os.O_CLOEXEC))
        finally:
            near.close()
            # Whoever waits for an answer learns at once that none comes.
            far.close()

    def _said(self, call: _Call) -> tuple[str, int]:
        """What a network call is about, and how many bytes it would send."""
        name, arguments, memory = call.name, call.arguments, call.memory
        if name in {"socket", "socketpair"}:
            return family_name(arguments[0]), 0
        if name in {"connect", "bind"}:
            return socket_address(memory.read(arguments[1], min(arguments[2] & 0xFFFF, 128))), 0
        if name == "sendto":
            target = socket_address(memory.read(arguments[4], min(arguments[5] & 0xFFFF, 128))) if arguments[4] else ""
            data = memory.read(arguments[1], min(arguments[2], 2048))
            return _sentence(target, data), min(arguments[2], 1 << 30)
        if name in {"sendmsg", "sendmmsg"}:
            target, data = memory.message(arguments[1])
            return _sentence(target, data), len(data)
        return "", 0

    def _denied(self, call: _Call) -> None:
        """Write down a call that nothing here makes an exception for."""
        name, arguments, memory = call.name, call.arguments, call.memory
        if name in {"execve", "execveat"}:
            at = 0 if name == "execve" else 1
            path = memory.text(arguments[at])
            argv = memory.texts(arguments[at + 1])
            self.note(Kind.PROGRAM, name, " ".join(argv) if argv else path, "denied")
            return
        kind = Kind.WRITE if name in _WRITES else Kind.PROCESS if name in _PROCESSES else Kind.KERNEL
        if name in _PATHS:
            place = _PATHS[name]
            what = self._path(call, place - 1, place)
        else:
            what = _registers(name, arguments)
        self.note(kind, name, what, "denied")


def _sentence(target: str, data: bytes) -> str:
    question = dns_question(data)
    told = f"asks for the name {question}" if question else readable(data)
    return f"{target}: {told}" if target and told else target or told


def _registers(name: str, arguments: tuple[int, ...]) -> str:
    """The first arguments of a call, for those that are told by numbers."""
    if name in {
        "kill",
        "tkill",
        "rt_sigqueueinfo",
        "pidfd_open",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "prlimit64",
    }:
        return f"process {_signed(arguments[1 if name == 'ptrace' else 0])}"
    if name == "tgkill":
        return f"process {_signed(arguments[0])}, thread {_signed(arguments[1])}"
    return ", ".join(f"{one:#x}" for one in arguments[:3])


def _signed(value: int) -> int:
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low
