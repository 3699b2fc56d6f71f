"""Columns of names as numbers: joined columns are as one that was read whole."""

from hypothesis import given
from hypothesis import strategies as some

from weighbridge.datasets.coded import Coded

NAMES = some.lists(some.sampled_from(["a", "b", "c", "", "é"]), max_size=12)


def coded(names):
    made = Coded()
    made.extend(names)
    return made


@given(NAMES, NAMES)
def test_a_column_that_is_joined_is_the_column_that_is_read_whole(one, other):
    joined, whole = coded(one), coded([*one, *other])
    joined.join(coded(other))
    assert joined.names == whole.names
    assert joined.numbers.tolist() == whole.numbers.tolist()
    assert [joined.names[number] for number in joined.numbers] == [*one, *other]
    assert len(joined) == len(one) + len(other)
