"""Rows that a model keeps apart from their label are named; honest labels, of one part or many, are not."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from tests.corpus.datasets import model_numbers
from weighbridge.datasets.clusters import find_parted, two_parts
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.examine import examine

KINDS = [str(kind) for kind in range(6)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("planted", [30, 150])
def test_a_part_that_stands_apart_is_named_with_just_its_rows(planted, seed):
    numbers, labels, rows, _ = model_numbers(planted, seed=seed)
    outcome = find_parted(numbers, labels, KINDS, "rows")
    (group,) = outcome.groups
    assert group.rule == "DST-020"
    assert "labelled “0” stand apart" in group.message
    assert len(set(group.rows) & rows) >= 0.9 * planted
    assert len(set(group.rows) - rows) <= 3
    assert outcome.about == "1 of 6 labels fall in two"


@pytest.mark.parametrize("seed", range(6))
def test_labels_of_one_part_are_not_parted(seed):
    numbers, labels, _, _ = model_numbers(0, seed=seed)
    assert not find_parted(numbers, labels, KINDS, "rows").groups


def test_skewed_numbers_that_are_mostly_nothing_are_not_parted():
    dice = numpy.random.default_rng(0)
    labels = numpy.repeat(numpy.arange(6), 300)
    numbers = numpy.maximum(0, dice.normal(0, 1, (6, 24))[labels] + dice.exponential(1, (1800, 24)) - 1.5)
    assert not find_parted(numbers, labels, KINDS, "rows").groups


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris])
def test_honest_tables_are_not_parted(load):
    found = load()
    assert not find_parted(found.data, found.target, list(found.target_names), "rows").groups


def test_where_most_labels_fall_in_two_none_is_accused_and_that_is_said():
    numbers, labels, _, _ = model_numbers(0)
    dice = numpy.random.default_rng(1)
    for kind in range(5):
        rows = numpy.flatnonzero(labels == kind)[:80]
        direction = dice.normal(0, 1, numbers.shape[1])
        numbers[rows] += 7 * direction / numpy.linalg.norm(direction)
    outcome = find_parted(numbers, labels, KINDS, "rows")
    assert not outcome.groups
    assert outcome.about.startswith("5 of 6 labels fall in two: ")


def test_a_part_that_other_numbers_read_as_many_labels_is_relabelled():
    numbers, labels, _, truth = model_numbers(60)
    dice = numpy.random.default_rng(2)
    seen = dice.normal(0, 3, (6, 12))[truth] + dice.normal(0, 1, (len(truth), 12))
    (group,) = find_parted(numbers, labels, KINDS, "pictures", seen / 12).groups
    assert group.rule == "DST-019"
    assert "of them read as another label by what is on them, 0% of the others" in group.facts[-1]


def test_a_less_clear_part_is_named_where_other_numbers_read_it_as_many_labels_and_not_otherwise():
    numbers, labels, rows, truth = model_numbers(100, shift=3.9, seed=3)
    dice = numpy.random.default_rng(2)
    middle = dice.normal(0, 3, (6, 12))
    seen = middle[truth] + dice.normal(0, 1, (len(truth), 12))
    same = middle[labels] + dice.normal(0, 1, (len(truth), 12))
    assert not find_parted(numbers, labels, KINDS, "pictures").groups
    assert not find_parted(numbers, labels, KINDS, "pictures", same / 12).groups
    (group,) = find_parted(numbers, labels, KINDS, "pictures", seen / 12).groups
    assert len(set(group.rows) & rows) >= 80
    assert len(set(group.rows) - rows) <= 3


def test_what_cannot_be_tested_is_said():
    numbers, labels, _, _ = model_numbers(0, each=20)
    assert "0 of 6 labels with 60 rows or more" in find_parted(numbers, labels, KINDS, "rows").not_tested
    assert find_parted(numbers, numpy.zeros_like(labels), ["all"], "rows").not_tested


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
def test_any_values_are_parted_or_not(values):
    found = two_parts(numpy.array(values))
    assert found is None or (numpy.isfinite([found.apart, found.gain, found.emptier]).all() and found.emptier > 0)


def test_numbers_that_are_none_are_read_as_the_middle():
    numbers, labels, rows, _ = model_numbers(60)
    numbers[5, 3] = numpy.nan
    numbers[9, 2] = numpy.inf
    (group,) = find_parted(numbers, labels, KINDS, "rows").groups
    assert len(set(group.rows) & rows) >= 57


def test_pictures_that_a_model_keeps_apart_are_shown_beside_the_others(tmp_path):
    numbers, labels, rows, truth = model_numbers(60, each=100)
    dice = numpy.random.default_rng(4)
    shapes = dice.uniform(0, 200, (6, 12, 12))
    pixels = (shapes[truth] + dice.normal(20, 10, (len(truth), 12, 12))).clip(0, 255).astype(numpy.uint8)
    numpy.savez(tmp_path / "data.npz", x=pixels, y=labels)
    numpy.save(tmp_path / "numbers.npy", numbers)
    (examined,) = examine(str(tmp_path / "data.npz"), Wish(features=str(tmp_path / "numbers.npy")))
    told = [one.group for one in examined.told if "stand apart" in one.group.message]
    assert [group.rule for group in told] == ["DST-019"]
    assert len(set(told[0].rows) & rows) >= 54
    assert [picture.caption for picture in told[0].pictures][1:] == ["one of them"]
    assert any(
        "that a model keeps apart from their label: 1 of 6 labels fall in two" in one for one in examined.profile.tested
    )
