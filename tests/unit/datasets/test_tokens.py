"""Digests of words: the same for a word wherever it stands, and however many other texts are read with it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from weighbridge.datasets import tokens
from weighbridge.datasets.tokens import TEXT_BYTES, Digests

TEXTS = some.lists(some.text(some.sampled_from("ab ÿé字\n\t"), max_size=40), max_size=12)


def alone(made, texts):
    """Each text read by itself, put one behind the other."""
    found = [made.of([text]) for text in texts]
    digests = np.concatenate([digest for digest, _ in found]) if found else np.zeros(0, "u8")
    owners = np.concatenate([owner + number for number, (_, owner) in enumerate(found)]) if found else np.zeros(0, "i8")
    return digests, owners


@given(TEXTS)
def test_texts_together_are_read_as_each_alone(texts):
    made = Digests(5)
    for one, other in zip(made.of(texts), alone(made, texts), strict=True):
        assert one.tolist() == other.tolist()


def test_texts_that_fill_several_pieces_are_read_as_each_alone():
    long = [f"{'word ' * n}{n}" for n in (3, 60, TEXT_BYTES // 5 + 9, 200, TEXT_BYTES, 1)] * 12
    made = Digests(7)
    for texts in (long, [f"{text} é" for text in long], [*long[:7], "ÿ", *long[7:]]):
        for one, other in zip(made.of(texts), alone(made, texts), strict=True):
            assert one.tolist() == other.tolist()


def test_texts_of_a_usual_length_are_read_many_at_a_time():
    pieces = list(tokens._pieces(["x" * 300] * 4096))
    assert sum(count for _, count in pieces) == 4096
    assert len(pieces) < 8, "one at a time, a million texts take ten times as long"
