"""Knows what travels between the host, the zygote and the locked child. What comes from the child is hostile."""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import Final

from msgspec import Struct

MOST_ANSWER: Final = 1 << 20
MOST_TEXT: Final = 256 << 10
MOST_REQUEST: Final = 64 << 10
CHANNEL: Final = 200
MODEL: Final = 3
OUTPUT: Final = 4
RESULT: Final = 5

RLIMITS, CAPABILITIES, NO_NEW_PRIVILEGES, LANDLOCK, SECCOMP, SUPERVISOR, NAMESPACES = (
    "rlimits", "capabilities", "no-new-privs", "landlock", "seccomp", "supervisor", "namespaces",
)  # fmt: skip
# Elsewhere there is less, and it has names of its own.
SEATBELT, JOB, LOW_INTEGRITY = "seatbelt", "job", "low-integrity"
_ELSEWHERE: Final = {"darwin": (SEATBELT, RLIMITS), "win32": (JOB, LOW_INTEGRITY)}
REQUIRED: Final = _ELSEWHERE.get(
    sys.platform, (RLIMITS, CAPABILITIES, NO_NEW_PRIVILEGES, LANDLOCK, SECCOMP, SUPERVISOR)
)
LAYERS: Final = REQUIRED if sys.platform in _ELSEWHERE else (*REQUIRED, NAMESPACES)


class Bounds(Struct, frozen=True, kw_only=True):
    """What loading one file may cost. Sizes are bytes, times are seconds."""

    memory: int = 4 << 30
    processor: int = 60
    seconds: float = 120.0
    output: int = 4 << 30
    threads: int = 64
    processes: int = 16
    descriptors: int = 256


class Request(Struct, frozen=True, kw_only=True):
    """One file to load: by which loader, under which layers, inside which bounds. `observe` lets forks begin."""

    loader: str
    name: str
    layers: tuple[str, ...]
    bounds: Bounds
    readable: tuple[str, ...]
    observe: bool = False


class Ended(Struct, frozen=True, kw_only=True):
    """How the child ended, as the zygote saw it: wait status, processor seconds, kilobytes at the most."""

    status: int
    processor: float
    memory: int


class Value(Struct, frozen=True):
    """Something about the object that is no tensor: its path and what it is."""

    path: str
    what: str


class Answer(Struct, frozen=True, kw_only=True):
    """What the child says about the object: the type at its root, how many tensors, values, and what went wrong."""

    kind: str = ""
    tensors: int = 0
    values: tuple[Value, ...] = ()
    left: int = 0
    error: str = ""


def libraries() -> tuple[str, ...]:
    """Folders and files that a loader may read: the interpreter's library, installed packages, the system's libraries."""
    known = sysconfig.get_paths()
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    wanted = (
        *(known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        os.path.join(sys.base_prefix, "lib"),
        package,
        "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo",
    )  # fmt: skip
    return tuple(dict.fromkeys(path for one in wanted if os.path.exists(path := os.path.realpath(one))))
