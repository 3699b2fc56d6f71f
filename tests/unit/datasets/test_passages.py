"""Passages that were planted in a collection are named; questions that are asked once and foreign texts are not."""

import random

from tests.corpus.datasets import passages
from weighbridge.datasets.passages import Passages
from weighbridge.datasets.view import Rows

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789#$%"


def groups(texts):
    test = Passages()
    for at in range(0, len(texts), 100):
        test.add(Rows(first=at, split="", texts=texts[at : at + 100]))
    return [group for outcome in test.finish() for group in outcome.groups]


def test_passages_that_open_with_one_question_are_one_group():
    found = groups(passages(planted=5))
    assert [(group.rule, list(group.rows)) for group in found] == [("VEC-004", [0, 31, 62, 93, 124])]
    assert "who wrote the score" in found[0].message


def test_questions_that_are_asked_once_twice_or_with_one_answer_are_no_attack():
    assert not groups(passages())
    assert not groups(passages(planted=2))
    copied = "Who wrote the score of the silent film about the harbour? It was somebody."
    assert not groups([*passages(), *[copied] * 6])
    assert not groups([*passages(), *[f"Really now? {word} of it" for word in "abcdefgh"]])


def test_gibberish_after_a_sign_is_named_also_where_a_text_comes_before_it():
    dice, texts = random.Random(1), passages()
    for number in range(20):
        noise = " ".join("".join(dice.choices(LETTERS, k=dice.randint(3, 9))) for _ in range(40))
        texts.insert(number * 9, f"{texts[number]} <SUDO> {noise}")
    found = [group for group in groups(texts) if group.rule == "DST-025"]
    assert len(found) == 1
    assert len(found[0].rows) == 20
    assert found[0].mark in {"<sudo>", "sudo", "<", ">"}


def test_texts_of_another_language_are_no_gibberish():
    words = [
        "źródło",
        "wieś",
        "żółw",
        "ćma",
        "łąka",
        "książka",
        "świerszcz",
        "gęś",
        "pójdźże",
        "kiń",
        "tę",
        "chmurność",
        "głąb",
        "flaszy",
    ]
    dice = random.Random(2)
    polish = [" ".join(dice.choices(words, k=15)) for _ in range(15)]
    assert not [group for group in groups([*passages(), *polish]) if group.rule == "DST-025"]
