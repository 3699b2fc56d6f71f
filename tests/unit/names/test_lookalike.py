"""Names that could be taken for others: caught, and real names left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.names import REAL, squats
from weighbridge.names import Own
from weighbridge.names.lookalike import Names, distance, shipped, skeleton

KNOWN = shipped()


@pytest.mark.parametrize("half", [0, 1], ids=["tuned", "held out"])
def test_disguises_of_known_owners_are_caught(half):
    found = squats()[half::2]
    missed = [(kind, wrong, owner) for kind, wrong, owner in found if KNOWN.owner(wrong) is None]
    assert len(squats()) >= 300
    assert len(missed) <= 0.05 * len(found), missed[:10]


@pytest.mark.parametrize("half", [0, 1], ids=["tuned", "held out"])
def test_real_owners_are_left_alone(half):
    found = [name for name in REAL if not KNOWN.knows(name)][half::2]
    flagged = [(name, KNOWN.owner(name)) for name in found if KNOWN.owner(name)]
    assert len(flagged) <= 0.01 * len(found), flagged


def test_known_owners_are_left_alone_in_any_case():
    assert [name for name in ("meta-llama", "Meta-Llama", "OPENAI", "TheBloke", "bartowski") if KNOWN.owner(name)] == []


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("rneta-llama", "meta-llama"), ("meta-Ilama", "meta-llama"), ("llama-meta", "meta-llama"), ("metallama", "meta-llama"),
        ("mistra1ai", "mistralai"), ("openai-official", "openai"), ("gooogle", "google"), ("faceb00k", "facebook"), ("deepseak-ai", "deepseek-ai"),
    ],
)  # fmt: skip
def test_what_is_alike_is_named(name, known):
    assert KNOWN.owner(name).known == known


def test_a_known_model_under_another_owner():
    assert KNOWN.model("somebody", "Llama-3.1-8B-Instruct").known == "meta-llama/Llama-3.1-8B-Instruct"
    assert KNOWN.model("meta-llama", "Llama-3.1-8B-Instruct") is None
    assert KNOWN.model("unsloth", "Llama-3.1-8B-Instruct") is None
    assert KNOWN.model("somebody", "my-own-model") is None


def test_an_organisation_adds_its_own():
    names = Names(["acme-research"])
    assert names.owner("acrne-research").known == "acme-research"
    assert shipped(Own(known=("acme-research: bolt",))).knows("acme-research")


@given(st.text(max_size=30))
def test_any_text_is_judged(text):
    KNOWN.owner(text)
    assert skeleton(skeleton(text)) is not None


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_thedistance_is_symmetric_and_zero_for_equals(one, other):
    assert distance(one, other, most=9) == distance(other, one, most=9)
    assert (distance(one, other, most=9) == 0) == (one == other)
