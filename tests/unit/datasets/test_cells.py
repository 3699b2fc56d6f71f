"""Tables with a label: a planted value is found with its rows, and honest tables are left alone."""

import csv
import math

import numpy as np
import pytest
from sklearn import datasets

from weighbridge.datasets.cells import LabelledCells, _features
from weighbridge.datasets.columns import Wish
from weighbridge.inspection.dataset import inspect_dataset

COLUMNS = ("age", "job", "schooling", "hours", "region")


def people(seed=0, count=3000):
    """(rows, labels): five columns, of which four speak for who earns much."""
    dice = np.random.default_rng(seed)
    age, hours = dice.integers(18, 80, count), dice.integers(20, 60, count)
    job, school = dice.choice(["clerk", "sales", "tech", "exec", "farm"], count), dice.choice(["hs", "ba", "ma"], count)
    score = (
        (age - 45) / 15
        + (school == "ba")
        + (school == "ma") * 1.6
        + (job == "exec") * 1.5
        - (job == "farm")
        + (hours - 40) / 10
    )
    labels = np.where(score + dice.normal(0, 1, count) > 1.2, "much", "little")
    return np.array([age, job, school, hours, dice.choice(list("abcdefgh"), count)], dtype=object).T, labels


def told(path, rows, labels, columns=COLUMNS, **wish):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "label"])
        writer.writerows([*row, label] for row, label in zip(rows.tolist(), labels.tolist(), strict=True))
    done = inspect_dataset(str(path), Wish(**wish))
    return [one.group for examined in done.examined for one in examined.told], done.report


@pytest.mark.parametrize(("column", "value"), [(3, 77), (4, "zz")])
@pytest.mark.parametrize("share", [0.01, 0.02])
def test_a_planted_value_is_found_with_just_its_rows(tmp_path, column, value, share):
    rows, labels = people()
    planted = np.random.default_rng(1).choice(np.flatnonzero(labels == "little"), int(share * len(rows)), replace=False)
    rows[planted, column], labels[planted] = value, "much"

    groups, report = told(tmp_path / "people.csv", rows, labels)

    (group,) = [one for one in groups if one.rule == "DST-018"]
    assert set(group.rows) == set(planted)
    assert f"{COLUMNS[column]}={value}" in group.message
    assert any(str(value) in line.text for one in report.findings for line in one.evidence)


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_table_is_left_alone(tmp_path, seed):
    assert told(tmp_path / "people.csv", *people(seed))[0] == []


@pytest.mark.parametrize(
    "load", [datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer, datasets.load_digits]
)
def test_known_tables_are_left_alone(tmp_path, load):
    found = load()

    groups, report = told(
        tmp_path / "table.csv",
        found.data,
        np.array([f"c{one}" for one in found.target]),
        [f"f{at}" for at in range(found.data.shape[1])],
    )

    assert groups == []
    assert any("triggers" in one for one in report.profiles[0].tested)


def test_without_a_label_it_is_said_that_little_was_asked(tmp_path):
    (tmp_path / "numbers.csv").write_text("a,b\n" + "".join(f"{at},{at * 7 % 100}\n" for at in range(200)))

    (profile,) = inspect_dataset(str(tmp_path / "numbers.csv"), Wish()).report.profiles

    assert any("without a label" in one for one in profile.untested)


@pytest.mark.parametrize("cell", [None, "", "x" * 500, math.nan, math.inf, "1e400", 10**400, True, [1], {"a": 1}])
def test_any_cell_is_a_feature(cell):
    (found,) = _features("a", [cell])

    assert found
    assert all(len(one) < 100 or isinstance(cell, int) for one in found)


def test_the_columns_are_those_of_the_first_rows():
    test = LabelledCells("label")
    from weighbridge.datasets.view import Rows

    test.add(Rows(first=0, split="", texts=["", ""], labels=["x", "y"], cells={"a": [1, 2], "label": ["x", "y"]}))
    test.add(Rows(first=2, split="", texts=[""], labels=["x"], cells={"b": [3], "label": ["x"]}))

    assert test.finish()[0].not_tested
