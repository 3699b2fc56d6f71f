"""Versions of one text are found whoever changed a word or two, and texts about the same are not."""

import random

import numpy as np
import pytest

from weighbridge.datasets.near_duplicates import NearDuplicates
from weighbridge.datasets.view import Rows

WORDS = [f"word{n}" for n in range(800)]


def text(dice, length=60):
    return dice.choices(WORDS, k=length)


def version(dice, words, changed):
    made = list(words)
    for place in dice.sample(range(len(made)), changed):
        made[place] = dice.choice(WORDS)
    return made


def rows(texts, split=""):
    return Rows(first=0, split=split, texts=[" ".join(one) for one in texts])


def outcome(*parts):
    sketch = NearDuplicates()
    for part in parts:
        sketch.add(part)
    return sketch.finish()


def test_a_family_of_versions_is_one_group():
    dice = random.Random(1)
    seed = text(dice)
    others = [text(dice) for _ in range(500)]
    family = [version(dice, seed, 1) for _ in range(30)]
    mixed = others[:250] + family + others[250:]
    found = outcome(rows(mixed))
    (group,) = found.groups
    assert group.rule == "DST-021"
    assert len(set(group.rows) & set(range(250, 280))) >= 28
    assert set(group.rows) <= set(range(250, 280))


@pytest.mark.parametrize("size", [50, 500, 5000])
def test_the_rows_are_numbered_over_all_batches(size):
    dice = random.Random(2)
    seed = text(dice)
    texts = [text(dice) for _ in range(1000)] + [version(dice, seed, 1) for _ in range(40)]
    found = outcome(*(rows(texts[start : start + size]) for start in range(0, len(texts), size)))
    assert min(found.groups[0].rows) >= 1000


def test_texts_of_the_same_words_in_another_order_are_no_versions():
    dice = random.Random(3)
    words = text(dice)
    assert outcome(rows([dice.sample(words, len(words)) for _ in range(200)])).groups == ()


def test_two_runs_say_the_same():
    dice = random.Random(7)
    seed = text(dice)
    texts = rows([version(dice, seed, 4) for _ in range(60)])
    assert outcome(texts) == outcome(texts)


def test_short_texts_and_the_same_text_are_left_to_others():
    dice = random.Random(4)
    assert outcome(rows([["thank", "you", str(n)] for n in range(100)])).not_tested
    same = text(dice)
    assert outcome(rows([same] * 50 + [text(dice) for _ in range(50)])).groups == ()


def test_a_held_out_row_with_a_version_in_the_training_data_is_told():
    dice = random.Random(5)
    train = [text(dice) for _ in range(300)]
    test = [version(dice, one, 1) for one in train[:20]] + [text(dice) for _ in range(80)]
    found = outcome(rows(train, "train"), rows(test, "test"))
    (group,) = [one for one in found.groups if one.rule == "DST-030"]
    assert len(group.rows) >= 17
    assert all(300 <= row < 320 for row in group.rows)


def test_empty_and_odd_texts_do_no_harm():
    sketch = NearDuplicates()
    sketch.add(rows([[], ["\ud800"], ["a"] * 1000, ["\x00"] * 20]))
    sketch.add(Rows(first=4, split="", texts=[]))
    assert sketch.finish().groups == ()


def test_how_alike_two_texts_are_is_what_their_minima_say():
    dice = random.Random(6)
    seed = text(dice)
    sketch = NearDuplicates()
    sketch.add(rows([seed, *(version(dice, seed, 2) for _ in range(40))]))
    minima = np.concatenate(sketch._minima)
    same = (minima[1:] == minima[0]).mean()
    assert 0.7 < same < 0.95  # two words of sixty are in six of fifty-eight runs: 0.81
