"""Writes src/weighbridge/sandbox/syscalls.txt from the kernel's headers: name, number on x86-64, number on aarch64.

Needs linux-libc-dev. aarch64 takes the generic table; the names that only 32-bit machines have are left out.
"""

import re
import sys
from pathlib import Path

X86 = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
GENERIC = "/usr/include/asm-generic/unistd.h"
ALIASES = {"3264_fstatat": "newfstatat", "3264_fstat": "fstat"}


def numbers(path, prefix):
    found = {}
    for line in Path(path).read_text().splitlines():
        match = re.match(rf"#define __NR(?:{prefix})?_?(\w+)\s+(\d+)", line)
        if match and match[1] not in {"syscalls", "arch_specific_syscall"}:
            found.setdefault(ALIASES.get(match[1], match[1].removeprefix("3264_")), int(match[2]))
    return found


def main():
    x86, arm = numbers(X86, ""), numbers(GENERIC, "3264")
    # What only 32-bit machines have is in the generic header too. It also names fstatat and fstat otherwise.
    arm |= {"newfstatat": 79, "fstat": 80}
    rows = sorted(x86, key=lambda name: (x86[name], name))
    with open("src/weighbridge/sandbox/syscalls.txt", "w") as out:
        out.writelines(f"{name} {x86[name]} {arm.get(name, -1)}\n" for name in rows)
    print(f"{len(rows)} names", file=sys.stderr)


main()
