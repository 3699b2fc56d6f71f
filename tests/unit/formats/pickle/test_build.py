"""Which build of the machine is under test; the suite runs against both."""

from __future__ import annotations

from weighbridge.formats.pickle import arrays, machine


def test_the_build_says_what_it_is():
    compiled = not machine.__file__.endswith(".py")
    assert arrays.build_kind() == ("compiled" if compiled else "pure")


def test_arrays_hold_machine_numbers_in_both_builds():
    numbers = arrays.zeros64(4)
    numbers[3] = 2**62
    assert list(arrays.doubled(numbers, 4))[3] == 2**62
    assert len(arrays.doubled(numbers, 4)) == 8
