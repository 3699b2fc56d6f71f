"""Knows the calls that lock a process in: seccomp, Landlock, capabilities, namespaces. Everything goes through libc's `syscall`.

Sources: seccomp(2), landlock(7), capabilities(7), prctl(2), `include/uapi/linux/{landlock,seccomp}.h`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from weighbridge.sandbox.abi import machine

if TYPE_CHECKING:
    from collections.abc import Iterable

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_PR_SET_CHILD_SUBREAPER: Final = 36
_LAST_CAPABILITY: Final = 63
_CAPABILITY_VERSION: Final = 0x20080522
_SET_MODE_FILTER, _NEW_LISTENER, _KILLABLE = 1, 8, 32
NEW_USER, NEW_PID, NEW_NET, NEW_IPC, NEW_UTS = 0x10000000, 0x20000000, 0x40000000, 0x08000000, 0x04000000
_FS_READ: Final = 4 | 8
_FS_FILE: Final = 4


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """One system call by its name. Raises OSError."""
    number = machine().numbers[name]
    found = int(_libc().syscall(ctypes.c_long(number), *map(_word, arguments)))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return found


def _word(value: object) -> object:
    """Integers as whole words: variadic calls would pass 32 bits of them."""
    return ctypes.c_long(value) if isinstance(value, int) else value


def prctl(option: int, value: int = 0, third: int = 0) -> None:
    """`prctl`. Raises OSError."""
    call("prctl", option, value, third, 0, 0)


def die_with_parent() -> None:
    """The kernel kills this process when its parent dies."""
    prctl(PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Children of dead children become children of this process."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drop_capabilities() -> None:
    """Give every capability away for good, also those that a program could bring."""
    for one in range(_LAST_CAPABILITY):
        try:
            prctl(PR_CAPBSET_DROP, one)
        except OSError:
            # Beyond the last one that the kernel knows, or none to drop: an ordinary user has no bounding set to change.
            break
    prctl(PR_CAP_AMBIENT, 4)
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    call("capset", header, b"\0" * 24)


def capabilities() -> int:
    """The effective capabilities of this process, as bits."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    call("capget", header, data)
    low, _, _, high, _, _ = struct.unpack("<6I", data.raw)
    return int(low | high << 32)


def no_new_privileges() -> None:
    """Programs that are started get no rights that this process has not."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def install_filter(code: bytes, *, listener: bool) -> int:
    """Put a seccomp filter on top of those in force; the listener's descriptor where one is asked for. Raises OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    if not listener:
        return call("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(program))
    try:
        # Linux 5.19: a signal does not interrupt a call that the supervisor is already answering.
        return call("seccomp", _SET_MODE_FILTER, _NEW_LISTENER | _KILLABLE, ctypes.byref(program))
    except OSError:
        return call("seccomp", _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))


def landlock_version() -> int:
    """The edition of Landlock that this kernel speaks; 0 for none."""
    try:
        return call("landlock_create_ruleset", None, 0, 1)
    except (OSError, KeyError):
        return 0


def landlock(readable: Iterable[str]) -> int:
    """Allow reading below some folders and files, and nothing else that Landlock knows; the edition, 0 for none.

    Raises OSError where a rule cannot be made: a ruleset with a hole is none.
    """
    version = landlock_version()
    if not version:
        return 0
    rights = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        rights |= (1 << bit) if version >= since else 0
    network = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0
    attributes = struct.pack("<QQQ", rights, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path)
        call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("<Qi", _FS_READ if os.path.isdir(path) else _FS_FILE, place)
        call("landlock_add_rule", ruleset, 1, rule, 0)
    finally:
        os.close(place)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError where that is not allowed."""
    call("unshare", flags)


def isolate_namespaces() -> tuple[str, ...]:
    """New network, IPC and host-name namespaces, inside a new user namespace for ordinary users; which ones came about."""
    user, group = os.geteuid(), os.getegid()
    for first in (0, NEW_USER) if user == 0 else (NEW_USER,):
        try:
            unshare(first | NEW_NET | NEW_IPC | NEW_UTS)
        except OSError:
            continue
        if first:
            _map(user, group)
        return (*(("user",) if first else ()), "net", "ipc", "uts")
    return ()


def _map(user: int, group: int) -> None:
    """This user and group alone exist in the new namespace, under their own numbers."""
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError:
        # Without a map everything belongs to nobody inside, which is isolation enough.
        return
