"""Versions are ordered as their ecosystems order them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.dependencies.versions import key, satisfies, within
from weighbridge.schema import MalformedInput

SEMVER = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "2.0.0"]  # fmt: skip
PEP440 = ["1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0b1", "1.0rc1", "1.0", "1.0.post456", "1.1.dev1", "1!0.1"]


@pytest.mark.parametrize(("ecosystem", "versions"), [("npm", SEMVER), ("pypi", PEP440)])
def test_the_order_is_that_of_the_specification(ecosystem, versions):
    keys = [key(ecosystem, version) for version in versions]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("ecosystem", ["npm", "pypi"])
def test_what_is_no_version_is_said_to_be_none(ecosystem):
    with pytest.raises(MalformedInput):
        key(ecosystem, "not a version")


@pytest.mark.parametrize(
    ("version", "introduced", "fixed", "last", "inside"),
    [
        ("1.0", "0", "1.1", "", True),
        ("1.1", "0", "1.1", "", False),
        ("1.1rc1", "0", "1.1", "", True),
        ("1.1", "1.0", "", "1.1", True),
        ("1.2", "1.0", "", "1.1", False),
        ("0.9", "1.0", "", "", False),
        ("3.0", "1.0", "", "", True),
    ],
)
def test_ranges_end_before_the_fix_or_with_the_last(version, introduced, fixed, last, inside):
    assert within("pypi", version, introduced, fixed, last) is inside


@pytest.mark.parametrize(
    ("ecosystem", "version", "wanted", "fits"),
    [
        ("pypi", "1.5", ">=1,<2", True),
        ("pypi", "2.0", ">=1,<2", False),
        ("pypi", "2.0", "^1.5", None),
        ("npm", "1.9.0", "^1.2.3", True),
        ("npm", "2.0.0", "^1.2.3", False),
        ("npm", "0.3.0", "^0.2.3", False),
        ("npm", "1.2.9", "~1.2.3", True),
        ("npm", "1.3.0", "~1.2.3", False),
        ("npm", "1.5.0", ">=1.0.0 <2.0.0", True),
        ("npm", "1.2.3", "1.2.3", True),
        ("npm", "1.2.3", "latest", None),
        ("conda", "1.0", ">=2", None),
    ],
)
def test_constraints_hold_or_are_not_judged(ecosystem, version, wanted, fits):
    assert satisfies(ecosystem, version, wanted) is fits


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["npm", "pypi", "conda"]))
def test_any_text_is_judged_or_left_alone(version, wanted, ecosystem):
    assert satisfies(ecosystem, version, wanted) in {True, False, None}
