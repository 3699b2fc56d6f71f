"""Random system calls with random arguments from inside the sandbox: the host answers all of them, and stays what it was.

Usage: python -m tests.fuzz.syscalls CASES SEED   (a case is a child that calls for most of a second, or until it crashes)
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections import Counter

from tests.corpus.payloads import Does
from weighbridge.sandbox import Bounds, Sandbox
from weighbridge.sandbox.abi import machine

# What ends or breaks the caller itself at once: memory, signals, and calls that write where they are told.
_OWN = frozenset(
    [
        "exit",
        "exit_group",
        "rt_sigreturn",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigpending",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "sigaltstack",
        "pause",
        "nanosleep",
        "clock_nanosleep",
        "wait4",
        "waitid",
        "ppoll",
        "poll",
        "select",
        "pselect6",
        "futex",
        "read",
        "readv",
        "pread64",
        "preadv",
        "writev",
        "mmap",
        "munmap",
        "mprotect",
        "mremap",
        "madvise",
        "msync",
        "mincore",
        "brk",
        "getrandom",
        "getrusage",
        "sysinfo",
        "times",
        "uname",
        "time",
        "gettimeofday",
        "clock_gettime",
        "clock_getres",
        "getcpu",
        "getresuid",
        "getresgid",
        "getgroups",
        "getcwd",
        "prlimit64",
        "getrlimit",
        "rseq",
        "set_tid_address",
        "set_robust_list",
        "process_vm_readv",
        "process_vm_writev",
        "preadv2",
        "pwritev2",
        "pwritev",
        "sendfile",
        "sched_getaffinity",
        "arch_prctl",
    ]
)
_CODE = """
import ctypes, random, time
chance, libc = random.Random(SEED), ctypes.CDLL(None)
held = [ctypes.create_string_buffer(chance.randbytes(300)) for _ in range(6)]
held += [ctypes.create_string_buffer(text) for text in (b"/etc/passwd", b"/usr/lib/../../etc", b"HOME/kept")]
numbers = NUMBERS
end = time.time() + 0.8
while time.time() < end:
    values = [
        chance.choice([0, 1, 3, 4, -1, -100, chance.randrange(4096), chance.randrange(1 << 64) - (1 << 63), ctypes.addressof(chance.choice(held))])
        for _ in range(6)
    ]
    libc.syscall(ctypes.c_long(chance.choice(numbers)), *[ctypes.c_long(one) for one in values])
"""


def main() -> None:
    cases, seed = int(sys.argv[1]), int(sys.argv[2])
    numbers = [number for name, number in machine().numbers.items() if name not in _OWN]
    bounds = Bounds(seconds=4, processor=3, memory=1 << 29, output=1 << 20)
    ends: Counter[str] = Counter()
    different: set[str] = set()
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        kept, path = os.path.join(folder, "kept"), os.path.join(folder, "m.pkl")
        with open(kept, "w") as file:
            file.write("x")
        for number in range(cases):
            code = _CODE.replace("SEED", str(seed + number)).replace("NUMBERS", repr(numbers)).replace("HOME", folder)
            with open(path, "wb") as file:
                file.write(pickle.dumps(Does(code), 2))
            found = sandbox.load(path, "pickle", bounds=bounds, observe=bool(number % 2))
            ends[f"signal {found.signal}" if found.signal else found.limit or "ended"] += 1
            different |= {one.call for one in found.attempts}
            if not sandbox.alive or sorted(os.listdir(folder)) != ["kept", "m.pkl"] or os.path.getsize(kept) != 1:
                raise SystemExit(f"case {number} reached out of the sandbox")
    told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    print(f"{cases} children: {told}; {len(different)} different calls were answered; nothing outside was touched")


if __name__ == "__main__":
    main()
