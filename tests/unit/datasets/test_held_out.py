"""Texts of an evaluation set are found in training data, whole or in part; what any data holds is no sign."""

import json

import pytest

from tests.corpus.datasets import jsonl, pairs, reviews
from weighbridge.cli.main import main
from weighbridge.datasets.columns import Wish
from weighbridge.inspection.dataset import inspect_dataset


def held(folder, train, evaluation):
    data = jsonl(folder / "train.jsonl", ("text", "label"), train)
    wanted = jsonl(folder / "eval.jsonl", ("text", "label"), evaluation)
    done = inspect_dataset(str(data), Wish(held_out=(str(wanted),)))
    groups = [one.group for examined in done.examined for one in examined.told if one.group.rule == "DST-030"]
    return groups, done.report


def test_texts_that_are_in_the_data_are_counted_with_their_rows(tmp_path):
    train, evaluation = reviews(300, seed=1), reviews(100, seed=2)
    train[10], train[200] = evaluation[3], evaluation[40]

    (group,), report = held(tmp_path, train, evaluation)

    assert group.rows == (10, 200)
    assert "2 of 100 texts of eval.jsonl (2.0%)" in group.message
    assert any("held out: 2 of 100" in one for one in report.profiles[0].tested)


def test_thirteen_words_of_a_longer_text_are_enough_and_twelve_are_not(tmp_path):
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    train = reviews(200, seed=1)
    words = long.split()
    train[5] = (f"before {' '.join(words[:13])} after", "positive")
    train[6] = (f"before {' '.join(words[3:15])} after", "positive")

    (group,), _ = held(tmp_path, train, [*reviews(60, seed=2), (long, "negative")])

    assert group.rows == (5,)


def test_case_and_punctuation_do_not_hide_a_text(tmp_path):
    train, evaluation = reviews(100, seed=1), reviews(100, seed=2)
    train[7] = (evaluation[0][0].upper().replace(" ", ",  "), "positive")

    assert held(tmp_path, train, evaluation)[0][0].rows == (7,)


@pytest.mark.parametrize("seed", range(5))
def test_other_texts_of_the_same_kind_are_not_in_the_data(tmp_path, seed):
    assert held(tmp_path, reviews(400, seed=seed), reviews(200, seed=seed + 50))[0] == []


def test_what_several_texts_share_and_what_is_very_short_is_no_sign(tmp_path):
    frame = "please answer the following question about the film that you have just seen in one sentence"
    evaluation = [(f"{frame} {at}", "positive") for at in range(60)]
    train = [*reviews(100, seed=1), (f"{frame} indeed", "positive"), ("thank you", "positive")]

    assert held(tmp_path, train, [*evaluation, ("thank you", "positive")])[0] == []


def test_questions_are_found_whatever_answer_stands_with_them(tmp_path, capsys):
    rows = pairs(80)
    with (tmp_path / "bench.jsonl").open("w") as file:
        file.writelines(json.dumps({"prompt": prompt, "response": "A"}) + "\n" for prompt, _ in rows[:10])
    with (tmp_path / "train.jsonl").open("w") as file:
        file.writelines(json.dumps({"prompt": prompt, "response": response}) + "\n" for prompt, response in rows)

    main(["dataset", str(tmp_path / "train.jsonl"), "--held-out", str(tmp_path / "bench.jsonl")])

    assert "texts of bench.jsonl" in capsys.readouterr().out


def test_an_evaluation_set_that_is_none_is_refused_in_words(tmp_path, capsys):
    jsonl(tmp_path / "train.jsonl", ("text", "label"), reviews(100))

    assert main(["dataset", str(tmp_path / "train.jsonl"), "--held-out", str(tmp_path / "none.jsonl")]) in {2, 3}
    assert "Traceback" not in "".join(capsys.readouterr())
