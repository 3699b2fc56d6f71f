"""Headers of native files: told apart by what they say, not by what they are called, and never trusted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.packages import elf, pe
from weighbridge.formats.native import read_native
from weighbridge.schema import MalformedInput
from weighbridge.source import BytesBlob


def read(data):
    return read_native(BytesBlob(data))


def test_programs_and_libraries_are_told_apart():
    assert [read(make(program=program)).program for make in (elf, pe) for program in (True, False)] == [True, False] * 2


def test_modules_are_those_that_are_exported():
    assert read(elf(exports=("PyInit__core", "other"))).modules == ("_core",)


def test_code_that_is_noise_is_packed_and_code_that_is_code_is_not():
    noise = random.Random(1).randbytes(1 << 16)
    assert read(pe(program=True, code=noise)).packed == (".text",)
    assert read(pe(program=True, code=b"\x55\x48\x89\xe5\x90\xc3" * 5000)).packed == ()


def test_the_python_that_runs_this_is_a_program():
    import sys

    with open(sys.executable, "rb") as file:
        assert read(file.read()).program


@pytest.mark.parametrize("data", [b"\x7fELF", b"MZ", b"MZ" + bytes(62), b"\xcf\xfa\xed\xfe", b""])
def test_headers_that_break_off_are_refused(data):
    with pytest.raises(MalformedInput):
        read(data)


@given(st.sampled_from([elf(exports=("PyInit_a",)), pe(), b"\xcf\xfa\xed\xfe" + bytes(60), b"\xca\xfe\xba\xbe" + bytes(60)]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))  # fmt: skip
def test_lies_in_headers_end_in_facts_or_in_words(data, changes):
    broken = bytearray(data)
    for at, value in changes:
        if at < len(broken):
            broken[at] = value
    try:
        found = read(bytes(broken))
    except MalformedInput as refusal:
        assert str(refusal)
    else:
        assert found.kind in {"elf", "pe", "mach-o"}
        assert all(isinstance(name, str) for name in (*found.modules, *found.imports, *found.packed))
