"""Knows which system calls a loader may make, as classic BPF: everything else is denied or asked about.

The arch word is looked at before anything else, in every filter. Filters see numbers and registers, never memory: what
depends on a path goes to the supervisor. Sources: seccomp(2), seccomp_unotify(2), `include/uapi/linux/bpf_common.h`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from weighbridge.sandbox.abi import X32_BIT, X86_64

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.sandbox.abi import Machine

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _MASK = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
KILL: Final = 0x80000000
ERRNO: Final = 0x00050000
ASK: Final = 0x7FC00000
ALLOW: Final = 0x7FFF0000
EPERM, ENOSYS, ENOTTY, EACCES = 1, 38, 25, 13
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_MOST: Final = 4096

# Nothing here names a path, reaches another process or makes a new one.
_ALLOWED: Final = [
    "read",
    "futex",
    "mmap",
    "pread64",
    "munmap",
    "lseek",
    "fstat",
    "madvise",
    "brk",
    "write",
    "close",
    "poll",
    "mprotect",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "readv",
    "writev",
    "pwrite64",
    "preadv",
    "pwritev",
    "select",
    "sched_yield",
    "mremap",
    "msync",
    "mincore",
    "dup",
    "dup2",
    "dup3",
    "nanosleep",
    "getpid",
    "exit",
    "uname",
    "fsync",
    "fdatasync",
    "ftruncate",
    "getcwd",
    "pipe",
    "pipe2",
    "wait4",
    "waitid",
    "rt_sigtimedwait",
    "rt_sigpending",
    "rt_sigsuspend",
    "gettimeofday",
    "getrlimit",
    "getrusage",
    "sysinfo",
    "times",
    "getuid",
    "getgid",
    "geteuid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getppid",
    "getpgrp",
    "getpgid",
    "getsid",
    "sigaltstack",
    "gettid",
    "time",
    "sched_getaffinity",
    "getcpu",
    "getdents64",
    "set_tid_address",
    "restart_syscall",
    "fadvise64",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "exit_group",
    "set_robust_list",
    "ppoll",
    "pselect6",
    "getrandom",
    "membarrier",
    "rseq",
    "umask",
    "readahead",
]
# glibc falls back to older calls, whose arguments are in registers; memory policy is not worth a question.
_UNKNOWN: Final = ("clone3", "statx", "openat2", "mbind", "set_mempolicy", "get_mempolicy", "faccessat2")
SLEEPS: Final = ("nanosleep", "clock_nanosleep")
_THREAD: Final = 0x00010000
_EXECUTABLE: Final = 4
_SHARED_ANONYMOUS: Final = 0x21
_TCGETS, _FIOCLEX, _FIONCLEX, _FIONBIO, _FIONREAD = 0x5401, 0x5451, 0x5450, 0x5421, 0x541B
_FCNTL: Final = (0, 1, 2, 3, 4, 1030)
_PRCTL: Final = (15, 16, 0x53564D41)
_O_PATH: Final = 0o10000000


class _Program:
    """Instructions in order; a block is skipped by the length that it has."""

    def __init__(self) -> None:
        self.code: list[bytes] = []

    def add(self, *instructions: bytes) -> None:
        self.code += instructions

    def when(self, number: int, body: list[bytes]) -> None:
        """Run `body`, which ends in a return, for one system call; the number stays loaded for the others."""
        self.add(_jump(_EQUAL, number, 0, len(body)), *body)

    def joined(self) -> bytes:
        assert len(self.code) <= _MOST
        return b"".join(self.code)


def _do(code: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, 0, 0, value & 0xFFFFFFFF)


def _jump(code: int, value: int, yes: int, no: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value & 0xFFFFFFFF)


def _argument(index: int, *, high: bool = False) -> bytes:
    return _do(_LOAD, _ARGUMENTS + 8 * index + (4 if high else 0))


def _one_of(index: int, values: Iterable[int], yes: int, no: int) -> list[bytes]:
    """Return `yes` where the low half of an argument is one of the values; commands of these calls are 32-bit."""
    listed = list(values)
    body = [_argument(index)]
    body += [_jump(_EQUAL, value, len(listed) - place, 0) for place, value in enumerate(listed)]
    return [*body, _do(_RETURN, no), _do(_RETURN, yes)]


def _zero(index: int, otherwise: int) -> list[bytes]:
    """Go on where all 64 bits of an argument are zero; both halves are looked at."""
    return [
        _argument(index), _jump(_EQUAL, 0, 1, 0), _do(_RETURN, otherwise),
        _argument(index, high=True), _jump(_EQUAL, 0, 1, 0), _do(_RETURN, otherwise),
    ]  # fmt: skip


def _prologue(machine: Machine) -> list[bytes]:
    code = [_do(_LOAD, _ARCH), _jump(_EQUAL, machine.audit, 1, 0), _do(_RETURN, KILL), _do(_LOAD, _NUMBER)]
    if machine.name == X86_64:
        code += [_jump(_AT_LEAST, X32_BIT, 0, 1), _do(_RETURN, KILL)]
    return code


def main_filter(machine: Machine, own: int, channel: int, *, sleeps: bool, denial: int = ASK) -> bytes:
    """The filter that asks about every call it does not know. `own` is the process id that may be signalled.

    On the descriptor `channel` one message may be sent, which carries the listener away; `last_filter` ends that.
    With `sleeps`, sleeping is asked about too. `denial` is ERRNO | errno where nobody is there to be asked.
    """
    made = _Program()
    made.add(*_prologue(machine))
    numbers = machine.numbers
    special: dict[str, list[bytes]] = {
        "mmap": [
            _argument(3), _do(_MASK, _SHARED_ANONYMOUS), _jump(_EQUAL, _SHARED_ANONYMOUS, 2, 0),
            _argument(2), _jump(_ANY_BIT, _EXECUTABLE, 0, 1), _do(_RETURN, denial), _do(_RETURN, ALLOW),
        ],
        "mprotect": [_argument(2), _jump(_ANY_BIT, _EXECUTABLE, 0, 1), _do(_RETURN, denial), _do(_RETURN, ALLOW)],
        "ioctl": [
            _argument(1), _jump(_EQUAL, _TCGETS, 0, 1), _do(_RETURN, ERRNO | ENOTTY),
            *_one_of(1, (_FIOCLEX, _FIONCLEX, _FIONBIO, _FIONREAD), ALLOW, denial),
        ],
        "fcntl": _one_of(1, _FCNTL, ALLOW, denial),
        "prctl": _one_of(0, _PRCTL, ALLOW, denial),
        "prlimit64": [*_zero(0, denial), *_zero(2, denial), _do(_RETURN, ALLOW)],
        "tgkill": _one_of(0, (own,), ALLOW, denial),
        "sendmsg": _one_of(0, (channel,), ALLOW, denial),
        "seccomp": [_do(_RETURN, ALLOW)],
    }  # fmt: skip
    # The read descriptor of an anonymous shared mapping is no descriptor: the flags alone decide.
    for name in _ALLOWED:
        if name in numbers and name not in special and not (sleeps and name in SLEEPS):
            made.when(numbers[name], [_do(_RETURN, ALLOW)])
    for name, body in special.items():
        made.when(numbers[name], body)
    for name in _UNKNOWN:
        if name in numbers:
            made.when(numbers[name], [_do(_RETURN, ERRNO | ENOSYS)])
    for name, index in (("openat", 2), ("open", 1)):
        if name in numbers:
            made.when(
                numbers[name],
                [_argument(index), _jump(_ANY_BIT, _O_PATH, 0, 1), _do(_RETURN, ERRNO | EACCES), _do(_RETURN, denial)],
            )
    made.add(_do(_RETURN, denial))
    return made.joined()


def last_filter(machine: Machine, channel: int) -> bytes:
    """The filter that takes back what was needed to hand the listener over."""
    made = _Program()
    made.add(*_prologue(machine))
    made.when(machine.numbers["sendmsg"], _one_of(0, (channel,), ERRNO | EPERM, ALLOW))
    made.when(machine.numbers["seccomp"], [_do(_RETURN, ERRNO | EPERM)])
    made.add(_do(_RETURN, ALLOW))
    return made.joined()
