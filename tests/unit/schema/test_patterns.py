"""Patterns that wait for their first use are patterns all the same."""

from __future__ import annotations

import copy
import importlib
import pkgutil
import re

import pytest

import weighbridge.detect
from weighbridge.schema import patterns
from weighbridge.schema.patterns import lazy


def test_a_pattern_answers_as_if_it_were_compiled():
    made, known = lazy("a(b+)", re.IGNORECASE), re.compile("a(b+)", re.IGNORECASE)
    text = "xABbab"
    assert made.search(text)[1] == known.search(text)[1]
    assert made.findall(text) == known.findall(text)
    assert made.sub("-", text) == known.sub("-", text)
    assert made.pattern == known.pattern


def test_bytes_are_searched_too():
    assert lazy(rb"\d+").search(b"a12")[0] == b"12"


def test_what_is_no_pattern_says_so_when_it_is_used():
    made = lazy("(")
    with pytest.raises(re.error):
        made.search("a")


def test_a_copy_needs_no_compiling():
    assert copy.copy(lazy("a")).search("ba")


def test_every_pattern_of_the_detectors_compiles():
    count = 0
    for module in pkgutil.walk_packages(weighbridge.detect.__path__, "weighbridge.detect."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, patterns._Lazy):
                assert re.compile(value._source, value._flags).pattern == value.pattern
                count += 1
    assert count > 100
