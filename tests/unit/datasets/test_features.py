"""What texts consist of: features that several texts hold are numbered anew, and which rows hold them."""

from collections import Counter

import numpy
from hypothesis import given
from hypothesis import strategies as some

from weighbridge.datasets.features import Features, rows_with

TEXTS = some.lists(
    some.lists(some.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl", "mn", "öp", "q-r", "字典"]), max_size=8).map(
        " ".join
    ),
    max_size=30,
)


def sets(ids, starts, names):
    return [{names[one] for one in ids[starts[at] : starts[at + 1]]} for at in range(len(starts) - 1)]


def read(texts):
    made = Features()
    made.add(texts)
    return made


@given(TEXTS)
def test_what_one_text_alone_holds_is_left_out_and_the_rest_stays(texts):
    made = read(texts)
    ids, starts = made.arrays()
    whole = sets(ids.copy(), starts, made.names)
    counted = Counter(name for row in whole for name in row)
    lengths = made.lengths().tolist()
    assert sets(*made.repeated()) == [{name for name in row if counted[name] > 1} for row in whole]
    assert lengths == [len(row) for row in whole], "how long a text is does not change"


@given(TEXTS)
def test_the_rows_that_hold_a_feature_come_in_order(texts):
    made = read(texts)
    ids, starts = made.arrays()
    wanted = numpy.unique(ids)[::2]
    found = rows_with(ids, starts, wanted)
    for feature in wanted.tolist():
        expected = [at for at in range(len(texts)) if feature in ids[starts[at] : starts[at + 1]]]
        assert found[feature].tolist() == expected


def test_words_that_are_read_again_keep_their_number():
    made = read(["one two", "two one", "two three"])
    ids, starts = made.arrays()
    assert sets(ids, starts, made.names) == [{"one", "two"}, {"one", "two"}, {"two", "three"}]
