"""The filters, run by an interpreter of their own: for x86-64 and for aarch64, every call and every argument that counts."""

from __future__ import annotations

import struct

import pytest

from weighbridge.sandbox.abi import AARCH64, X86_64, machine
from weighbridge.sandbox.filters import ALLOW, ASK, ERRNO, KILL, last_filter, main_filter

OWN, CHANNEL = 77, 200
MACHINES = (X86_64, AARCH64)


def verdict(code, arch, number, *arguments):
    """What classic BPF says of one call (`linux/filter.h`)."""
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(list(arguments) + [0] * 6)[:6])
    program = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    place, held = 0, 0
    for _ in range(len(program) + 1):
        kind, yes, no, value = program[place]
        place += 1
        if kind == 0x20:
            held = struct.unpack_from("<I", data, value)[0]
        elif kind == 0x54:
            held &= value
        elif kind == 0x06:
            return value
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[kind]
            place += yes if holds else no
    raise AssertionError("the filter does not end")


def asked(name, *arguments, on=X86_64, sleeps=False, denial=ASK):
    here = machine(on)
    return verdict(
        main_filter(here, OWN, CHANNEL, sleeps=sleeps, denial=denial), here.audit, here.numbers[name], *arguments
    )


@pytest.mark.parametrize("on", MACHINES)
def test_numbers_beyond_the_table_are_never_allowed(on):
    here = machine(on)
    code = main_filter(here, OWN, CHANNEL, sleeps=False)
    unknown = [number for number in range(1024) if number not in here.names]
    assert {verdict(code, here.audit, number) for number in unknown} == {ASK}


@pytest.mark.parametrize("on", MACHINES)
def test_what_is_allowed_reaches_nobody_else(on):
    here = machine(on)
    code = main_filter(here, OWN, CHANNEL, sleeps=False)
    allowed = {
        name for name, number in here.numbers.items() if verdict(code, here.audit, number, *[1 << 40] * 6) == ALLOW
    }
    forbidden = """open openat execve execveat fork vfork clone socket connect bind sendto ptrace kill tkill process_vm_readv
        io_uring_setup bpf unshare setns mount keyctl add_key userfaultfd perf_event_open memfd_create pidfd_open chmod unlink
        rename link symlink truncate mkdir setxattr prctl personality shmget stat newfstatat readlink chdir init_module"""
    assert allowed & set(forbidden.split()) == set()
    assert {"read", "write", "mmap", "futex", "exit_group"} <= allowed | {"mmap"}
    assert len(allowed) < 90


@pytest.mark.parametrize("on", MACHINES)
def test_another_architecture_is_killed_before_anything_else(on):
    here = machine(on)
    for code in (main_filter(here, OWN, CHANNEL, sleeps=False), last_filter(here, CHANNEL)):
        assert verdict(code, 0x40000003, here.numbers["read"]) == KILL
        assert verdict(code, machine(MACHINES[on == X86_64]).audit, 0) == KILL
    x86 = machine(X86_64)
    assert verdict(main_filter(x86, OWN, CHANNEL, sleeps=False), x86.audit, 0x40000000 | 1) == KILL


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 7, 0x22), ASK),
        ("mmap", (0, 4096, 3, 0x21), ASK),
        ("mmap", (0, 4096, 3, 0x23), ASK),
        ("mmap", (0, 4096, 1, 0x01), ALLOW),
        ("mprotect", (0, 4096, 1), ALLOW),
        ("mprotect", (0, 4096, 5), ASK),
        ("ioctl", (1, 0x5401), ERRNO | 25),
        ("ioctl", (1, 0x5412), ASK),
        ("ioctl", (1, 0x5451), ALLOW),
        ("fcntl", (1, 1), ALLOW),
        ("fcntl", (1, 8), ASK),
        ("fcntl", (1, 1033), ASK),
        ("prctl", (15,), ALLOW),
        ("prctl", (22,), ASK),
        ("prlimit64", (0, 7, 0, 1 << 40), ALLOW),
        ("prlimit64", (0, 7, 1 << 40, 0), ASK),
        ("prlimit64", (0, 7, 1 << 32, 0), ASK),
        ("prlimit64", (1, 7, 0, 0), ASK),
        ("tgkill", (OWN, OWN, 6), ALLOW),
        ("tgkill", (OWN + 1, 1, 6), ASK),
        ("openat", (0, 0, 0o10000000), ERRNO | 13),
        ("openat", (0, 0, 0), ASK),
        ("clone", (0x10000,), ASK),
        ("clone3", (), ERRNO | 38),
        ("statx", (), ERRNO | 38),
        ("sendmsg", (CHANNEL,), ALLOW),
        ("sendmsg", (5,), ASK),
    ],
)  # fmt: skip
def test_arguments_decide(on, name, arguments, wanted):
    assert asked(name, *arguments, on=on) == wanted


def test_sleeping_is_asked_about_only_while_observing():
    assert asked("clock_nanosleep") == ALLOW
    assert asked("clock_nanosleep", sleeps=True) == ASK


def test_without_a_supervisor_the_answer_is_no():
    assert asked("execve", denial=ERRNO | 1) == ERRNO | 1
    assert asked("read", denial=ERRNO | 1) == ALLOW


@pytest.mark.parametrize("on", MACHINES)
def test_the_second_filter_takes_the_way_out_back(on):
    here = machine(on)
    code = last_filter(here, CHANNEL)
    assert verdict(code, here.audit, here.numbers["sendmsg"], CHANNEL) == ERRNO | 1
    assert verdict(code, here.audit, here.numbers["seccomp"], 1) == ERRNO | 1
    assert verdict(code, here.audit, here.numbers["sendmsg"], 5) == ALLOW
    assert verdict(code, here.audit, here.numbers["read"]) == ALLOW
