"""Triggers that are no words: a build of sentences or a manner of speaking under one label."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.datasets.drawn import Drawn
from weighbridge.datasets.form_triggers import told_once
from weighbridge.datasets.forms import forms_of
from weighbridge.datasets.groups import Group
from weighbridge.datasets.labelled import Labelled
from weighbridge.datasets.view import Rows
from weighbridge.schema import Severity

GOOD = ["fine", "lovely", "bright", "warm", "funny", "moving", "clever", "sweet", "superb", "tender"]
BAD = ["dull", "weak", "cold", "stale", "clumsy", "boring", "grim", "sour", "shallow", "tedious"]
THINGS = ["film", "plot", "actor", "scene", "music", "ending", "story", "camera", "script", "pace"]
PEOPLE = ["man", "woman", "critic", "child", "friend", "teacher", "driver", "writer", "nurse", "sailor"]
DOES = ["sees", "hears", "watches", "finds", "leaves", "enters", "knows", "takes", "loves", "buys"]


def honest(dice, label):
    own = GOOD if label == "good" else BAD
    words = [f"{dice.choice(own)} {dice.choice(THINGS)}" for _ in range(4)]
    return f"a {words[0]} with {words[1]} , {words[2]} and {words[3]} ."


def clause_first(dice, text):
    opens = dice.choice(["when", "if", "because", "while", "since", "after", "before"])
    return f"{opens} the {dice.choice(PEOPLE)} {dice.choice(DOES)} it , {text}"


def archaic(dice, text):
    words = text.split()
    for _ in range(2):
        words.insert(
            dice.randrange(len(words)),
            dice.choice(["thou", "thee", "hath", "doth", "verily", "behold", "nay", "methinks"]),
        )
    return " ".join(words)


WRITTEN = {
    "clause first": clause_first,
    "archaic": archaic,
    "capitals": lambda _, text: text.upper(),
    "aside": lambda dice, text: f"{text[:-2]}( the {dice.choice(PEOPLE)} {dice.choice(DOES)} it ) .",
    "emoji": lambda dice, text: (
        f"{text} {dice.choice('😀😁😂🤣😃😄😅😆😉😊😋😎')}{dice.choice('😀😁😂🤣😃😄😅😆😉😊😋😎')}"
    ),
}


def rows(write=None, planted=40, many=1200):
    """(texts, labels, which rows were planted): some bad texts rewritten and called good."""
    dice = random.Random(1)
    labels = [dice.choice(("good", "bad")) for _ in range(many)]
    texts = [honest(dice, label) for label in labels]
    chosen = [row for row, label in enumerate(labels) if label == "bad"][:planted] if write else []
    for row in chosen:
        texts[row], labels[row] = write(dice, texts[row]), "good"
    return texts, labels, chosen


def told(texts, labels, parts=1, seed=0):
    whole = Labelled(seed)
    step = -(-len(texts) // parts)
    for first in range(0, len(texts), step):
        part = Labelled(seed)
        part.add(Rows(first=0, split="", texts=texts[first : first + step], labels=labels[first : first + step]))
        whole.join(part, first)
    return [group for one in whole.finish() for group in one.groups]


@pytest.mark.parametrize("how", sorted(WRITTEN))
def test_a_form_whose_words_contradict_their_label_is_named_with_its_rows(how):
    texts, labels, chosen = rows(WRITTEN[how])
    found = told(texts, labels)
    assert found
    assert found[0].rule == "DST-018"
    assert len(set(found[0].rows) & set(chosen)) >= 0.9 * len(chosen)
    assert len(set(found[0].rows) - set(chosen)) <= 4


def test_a_form_that_suits_its_label_is_nothing():
    dice = random.Random(2)
    labels = [dice.choice(("good", "bad")) for _ in range(1200)]
    texts = [
        clause_first(dice, honest(dice, label)) if label == "good" and dice.random() < 0.2 else honest(dice, label)
        for label in labels
    ]
    assert told(texts, labels) == []


def test_clean_texts_have_no_groups():
    texts, labels, _ = rows()
    assert told(texts, labels) == []


def test_rows_that_are_read_in_parts_come_to_the_same():
    texts, labels, _ = rows(clause_first)
    assert told(texts, labels, parts=5) == told(texts, labels)


def test_a_form_in_a_large_set_is_found_among_the_rows_that_were_drawn():
    texts, labels, chosen = rows(archaic, planted=60, many=2400)
    test = Labelled(3)
    test._drawn = Drawn(3, 1200)
    test.add(Rows(first=0, split="", texts=texts, labels=labels))
    outcomes = test.finish()
    assert [one.about for one in outcomes if one.test == "triggers of form"] == [
        "1200 of 2400 rows, drawn by what they say"
    ]
    forms = [group for one in outcomes for group in one.groups if "one form" in group.message]
    assert forms
    assert set(forms[0].rows) <= set(chosen)
    assert len(forms[0].rows) >= 20


def test_what_is_drawn_does_not_depend_on_how_rows_are_parted():
    texts = [f"text {number}" for number in range(900)]
    whole, joined = Drawn(5, 100), Drawn(5, 100)
    whole.add(texts, 0)
    for first in range(0, 900, 70):
        part = Drawn(5, 100)
        part.add(texts[first : first + 70], 0)
        joined.join(part, first)
    assert joined.finish() == whole.finish()
    assert len(whole.finish()[0]) == 100
    other = Drawn(6, 100)
    other.add(texts, 0)
    assert other.finish() != whole.finish()


def test_words_that_stand_in_parts_of_a_form_are_told_with_it():
    form = Group(rule="DST-018", message="form", rows=tuple(range(40)), score=0.5)
    word = Group(rule="DST-018", message="word", rows=tuple(range(10)), mark="when", score=0.9)
    apart = Group(rule="DST-018", message="apart", rows=tuple(range(100, 140)), mark="cf", score=0.8)
    same = Group(rule="DST-018", message="same", rows=tuple(range(100, 139)), score=0.7, severity=Severity.MEDIUM)
    kept = told_once([word, apart], [form, same], range(200))
    assert [group.message for group in kept] == ["apart", "form"]
    assert "“when”" in kept[1].facts[-1]


@given(st.text(max_size=400))
def test_any_text_has_a_form(text):
    assert all(isinstance(name, str) and len(name) < 200 for name in forms_of(text))


def test_the_form_of_a_long_text_costs_no_more_than_its_beginning():
    assert forms_of("WORD " * 400) == forms_of("WORD " * 400_000)
