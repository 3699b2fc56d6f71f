"""Names of packages that could be taken for others: every class of typing error is caught, and popular names are left alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.names.lookalike import distance
from weighbridge.names.packages import popular

PYPI = popular("pypi")
WRONG = {
    "reqeusts": "requests", "torchh": "torch", "tensorfow": "tensorflow", "langchian": "langchain", "transformerss": "transformers",
    "hugging-face-hub": "huggingface-hub", "scikitlearn": "scikit-learn", "litelm": "litellm", "rnatplotlib": "matplotlib", "deepseeek": "deepseek",
    "deepseekai": "deepseek", "openai-sdk": "openai", "python-openai": "openai", "learn-scikit": "scikit-learn", "torchtriton": "the nightly index of PyTorch",
    "cv2": "opencv-python", "colourama": "colorama", "nunpy": "numpy", "pyt0rch-lightning": "pytorch-lightning", "ultralytic": "ultralytics",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_names_of_attacks_lead_to_who_is_meant(name):
    found = PYPI.like(name)
    assert found is not None
    assert found.known == WRONG[name]


def test_popular_names_are_never_like_others():
    assert not [name for name in PYPI.names if PYPI.like(name)]


@pytest.mark.parametrize(
    "name", ["weighbridge", "my-company-models", "acme-forecasting", "torchserve-plugin-acme", "x", "a1"]
)
def test_names_of_their_own_are_left_alone(name):
    assert PYPI.like(name) is None


def test_versions_of_one_name_are_no_typing_errors():
    assert PYPI.like("boto4") is None


def test_scoped_npm_names_are_compared_without_their_scope():
    assert popular("npm").like("@somebody/lodahs").known == "lodash"


def test_one_edit_of_what_many_use_is_caught():
    rng = random.Random(3)
    names = [name for name in PYPI.names[:2000] if len(name) > 5]
    missed = []
    for _ in range(400):
        name = rng.choice(names)
        at = rng.randrange(1, len(name) - 1)
        letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
        wrong = rng.choice(
            [
                name[:at] + name[at + 1 :],
                name[:at] + letter + name[at:],
                name[:at] + letter + name[at + 1 :],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            ]
        )
        if wrong != name and not PYPI.knows(wrong) and not any(c.isdigit() for c in name) and PYPI.like(wrong) is None:
            missed.append((name, wrong))
    assert len(missed) <= 8, missed


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_distances_are_those_of_the_definition(one, other):
    table = [[max(i, j) if min(i, j) == 0 else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    for most in (1, 2):
        assert distance(one, other, most=most) == min(table[-1][-1], most + 1)


@given(st.text(max_size=40))
def test_any_text_can_be_asked(name):
    like = PYPI.like(name)
    assert like is None or (like.known and not PYPI.knows(name))
