"""A short run of the mutation fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

from tests.fuzz.mutate import run


def test_mutated_files_are_inspected_without_a_fault_of_ours():
    internal, slow = run(1500, 7)
    assert internal == []
    assert slow == []
