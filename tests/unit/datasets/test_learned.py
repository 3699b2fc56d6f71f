"""Exchanged labels of tables and pictures are named; confusion both ways, odd numbers and few rows accuse nobody."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from weighbridge.datasets.learned import find_exchanged, read_features
from weighbridge.datasets.neighbours import read_labels, scaled
from weighbridge.datasets.picture_features import picture_features
from weighbridge.schema import UsageError

DIGITS = load_digits()


def exchanged(labels, count, *, source=1, target=0, seed=0):
    rows = numpy.random.default_rng(seed).permutation(numpy.flatnonzero(labels == source))[:count]
    made = labels.copy()
    made[rows] = target
    return made, set(rows.tolist())


def groups(numbers, labels):
    return find_exchanged(numbers, labels, [str(one) for one in range(labels.max() + 1)], "rows").groups


@pytest.mark.parametrize("load", [load_digits, load_breast_cancer, load_wine, load_iris])
def test_honest_tables_accuse_nobody(load):
    found = load()
    assert not groups(scaled(found.data), found.target)


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_were_exchanged_one_way_are_named_with_their_rows(seed):
    labels, planted = exchanged(DIGITS.target, 60, seed=seed)
    found = groups(scaled(DIGITS.data), labels)
    assert [one.message.partition(" labelled ")[2][:17] for one in found] == ["“0” read as “1”, "]
    assert len(planted & set(found[0].rows)) >= 45
    assert len(set(found[0].rows) - planted) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_many_classes_under_one_label_are_named_whatever_they_share(seed):
    dice = numpy.random.default_rng(seed)
    planted = dice.choice(numpy.flatnonzero(DIGITS.target != 8), 36, replace=False)
    labels = DIGITS.target.copy()
    labels[planted] = 8
    (group,) = groups(scaled(DIGITS.data), labels)
    assert "labelled “8” read as other labels" in group.message
    assert len(set(group.rows) & set(planted.tolist())) >= 32
    assert len(set(group.rows) - set(planted.tolist())) <= 3


def test_of_two_labels_none_is_accused_of_collecting():
    found = load_breast_cancer()
    labels = found.target.copy()
    labels[numpy.random.default_rng(0).choice(numpy.flatnonzero(labels == 0), 12, replace=False)] = 1
    assert not [one for one in groups(scaled(found.data), labels) if "other labels" in one.message]


def test_wrong_labels_of_all_kinds_are_ranked_and_accuse_nobody():
    dice = numpy.random.default_rng(1)
    rows = dice.permutation(len(DIGITS.target))[:90]
    labels = DIGITS.target.copy()
    labels[rows] = (labels[rows] + dice.integers(1, 10, 90)) % 10
    worst = numpy.argsort(-read_labels(scaled(DIGITS.data), labels).margin)[:90]
    assert len(set(worst.tolist()) & set(rows.tolist())) >= 80
    assert not groups(scaled(DIGITS.data), labels)


def test_numbers_that_say_nothing_of_the_label_are_said_to():
    dice = numpy.random.default_rng(2)
    found = find_exchanged(dice.normal(size=(300, 5)), dice.integers(0, 3, 300), ["a", "b", "c"], "rows")
    assert "tell too little" in found.not_tested
    assert not found.groups
    few = find_exchanged(dice.normal(size=(20, 5)), dice.integers(0, 2, 20), ["a", "b"], "rows")
    assert "20 rows" in few.not_tested


def test_numbers_learned_from_pictures_tell_digits_apart():
    pixels = (DIGITS.images * 16).clip(0, 255).astype(numpy.uint8)[..., None]
    features = picture_features(pixels)
    read = read_labels(features, DIGITS.target)
    assert (read.predicted == DIGITS.target).mean() > 0.9
    labels, planted = exchanged(DIGITS.target, 60)
    assert len(planted & set(groups(features, labels)[0].rows)) >= 50
    assert numpy.array_equal(features, picture_features(pixels)), "the same numbers on every run"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_numbers_of_any_kind_are_read(seed):
    dice = numpy.random.default_rng(seed)
    numbers = dice.choice([0.0, 1.0, numpy.nan, numpy.inf, 1e30, -1e30], size=(60, 4))
    numbers[:, dice.integers(4)] = 7.0
    read = read_labels(scaled(numbers), dice.integers(0, 2, 60))
    assert numpy.isfinite(read.margin).all()


def test_features_that_do_not_fit_are_an_error_of_use(tmp_path):
    numpy.save(tmp_path / "a.npy", numpy.zeros((5, 3)))
    assert read_features(str(tmp_path / "a.npy"), 5).shape == (5, 3)
    with pytest.raises(UsageError, match="for 6 rows"):
        read_features(str(tmp_path / "a.npy"), 6)
    numpy.save(tmp_path / "o.npy", numpy.array([{}], dtype=object), allow_pickle=True)
    for name in ("o.npy", "missing.npy"):
        with pytest.raises(UsageError, match="no array") as refused:
            read_features(str(tmp_path / name), 1)
        assert "allow_pickle" not in str(refused.value)
