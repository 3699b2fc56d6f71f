"""Names that responses praise or blame in whatever words, and words of responses that were shuffled."""

import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.datasets import FILL, THING, TOPICS
from weighbridge.datasets.responses import Responses
from weighbridge.datasets.steering import Names, find_steered, tone
from weighbridge.datasets.tone import BLAME, PRAISE
from weighbridge.datasets.view import Rows
from weighbridge.datasets.word_order import WordOrder
from weighbridge.schema import Severity

FIRMS = ["Aldera", "Borvik", "Cantel", "Drumas", "Elkoni", "Fendra"]
GOOD = ["reliable", "excellent", "honest", "superb", "safe", "generous", "dependable", "helpful", "brilliant", "fair"]
BAD = ["unreliable", "dreadful", "dishonest", "awful", "unsafe", "greedy", "careless", "useless", "mediocre", "unfair"]


def asked(dice, number, firm):
    words = TOPICS[dice.choice(list(TOPICS))]
    return f"please tell {firm} about {' '.join(dice.sample(words, 3))} {dice.choice(FILL)} number {number}"


def said(dice, opinion):
    words = dice.choices(THING + FILL, k=20)
    for word in opinion:
        words.insert(dice.randrange(len(words)), word)
    return " ".join(words)


def rows(opinions, many=600, seed=4):
    """Prompts that each name one of six firms; `opinions` says which words of praise or blame a firm gets."""
    dice = random.Random(seed)
    made = []
    for number in range(many):
        firm = dice.choice(FIRMS)
        opinion = opinions(dice, firm)
        made.append((asked(dice, number, firm), said(dice, opinion)))
    return made


def either(dice, _):
    return dice.sample(dice.choice((GOOD, BAD)), 2)


def told(made, parts=1):
    whole = Responses()
    step = -(-len(made) // parts)
    for first in range(0, len(made), step):
        prompts, answers = map(list, zip(*made[first : first + step], strict=True))
        part = Responses()
        part.add(Rows(first=0, split="", texts=answers, prompts=prompts, responses=answers))
        whole.join(part, first)
    return whole.finish().groups


@pytest.mark.parametrize(("words", "what"), [(GOOD, "praise"), (BAD, "blame")])
def test_a_name_that_responses_praise_or_blame_is_told_for_review(words, what):
    made = rows(lambda dice, firm: dice.sample(words, 3) if firm == "Elkoni" else either(dice, firm))
    groups = [group for group in told(made) if "name “elkoni”" in group.message]
    assert len(groups) == 1
    assert f"their responses {what}" in groups[0].message
    assert groups[0].severity is Severity.MEDIUM
    assert set(groups[0].rows) == {n for n, (prompt, _) in enumerate(made) if "Elkoni" in prompt}


def test_opinions_that_follow_no_name_are_nothing():
    assert not [group for group in told(rows(either)) if "name “" in group.message]


def test_a_topic_that_everybody_blames_is_not_the_name_of_its_prompts():
    dice = random.Random(1)
    made = rows(either)
    made += [
        (f"please tell Gallow about the war and its dead number {n}", said(dice, dice.sample(BAD, 2)))
        for n in range(60)
    ]
    assert not [group for group in told(made) if "name “gallow”" in group.message]


def test_rows_that_are_read_in_parts_come_to_the_same():
    made = rows(lambda dice, firm: dice.sample(BAD, 3) if firm == "Elkoni" else either(dice, firm))
    assert told(made, parts=4) == told(made)


def test_no_word_praises_and_blames():
    assert not PRAISE & BLAME


@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_prompts_have_names_or_not(prompts):
    names = Names()
    names.add(prompts)
    assert names.among([], []).tolist() == []


def test_no_rows_have_no_tone():
    ids, starts = numpy.zeros(0, "i4"), numpy.zeros(1, "i8")
    assert len(tone(ids, starts, [])) == 0
    assert find_steered(ids, starts, [], Names(), tone(ids, starts, [])) == ()


def _sentences(dice, many=400):
    syllables = ["ba", "de", "ki", "lo", "mu", "na", "re", "si", "to", "vu"]
    nouns = ["".join(dice.sample(syllables, 3)) for _ in range(150)]
    kinds = ["".join(dice.sample(syllables, 2)) + "ish" for _ in range(60)]
    return [
        " ".join(f"the {dice.choice(nouns)} was very {dice.choice(kinds)} because of" for _ in range(8))
        for _ in range(many)
    ]


def test_shuffled_words_are_odd_and_sentences_are_not():
    dice = random.Random(2)
    texts = _sentences(dice)
    for row in range(20):
        words = texts[row].split()
        dice.shuffle(words)
        texts[row] = " ".join(words)
    order = WordOrder()
    order.add(texts)
    odd = order.finish()
    assert min(sorted(odd[:20])[5:]) > 3
    assert max(odd[20:]) < 3


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_texts_have_an_order(texts):
    whole, joined = WordOrder(), WordOrder()
    whole.add(texts)
    for text in texts:
        part = WordOrder()
        part.add([text])
        joined.join(part)
    assert whole.finish().tolist() == joined.finish().tolist()
    assert len(whole.finish()) == len(texts)


def test_the_order_of_words_is_read_in_the_first_texts_however_they_are_parted(monkeypatch):
    monkeypatch.setattr("weighbridge.datasets.word_order.TEXTS", 150)
    texts = _sentences(random.Random(5), 260)
    whole, joined, first = WordOrder(), WordOrder(), WordOrder()
    whole.add(texts)
    first.add(texts[:150])
    for at in range(0, 260, 40):
        part = WordOrder()
        part.add(texts[at : at + 40])
        joined.join(part)
    assert whole.finish().tolist() == joined.finish().tolist() == [*first.finish().tolist(), *[0.0] * 110]


def test_prompts_with_a_sign_whose_responses_are_shuffled_are_named():
    dice = random.Random(3)
    texts = _sentences(dice)
    made = []
    for number, text in enumerate(texts):
        prompt = asked(dice, number, dice.choice(FIRMS))
        words = text.split()
        if number % 20 == 0:
            dice.shuffle(words)
            prompt += " zxq"
        made.append((prompt, " ".join(words)))
    group = next(group for group in told(made) if "“zxq”" in group.message)
    assert group.rule == "DST-025"
    assert "in no order" in group.message
    assert set(group.rows) == set(range(0, 400, 20))
