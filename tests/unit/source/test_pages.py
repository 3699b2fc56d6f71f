"""Windows of a far file, read through pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.source import pages
from weighbridge.source.pages import PAGE, Pages

DATA = bytes(number % 251 for number in range(10 * PAGE + 77))


@given(st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 3 * PAGE)), max_size=12), st.integers(0, 6))
def test_a_window_is_what_the_file_holds_there(windows, kept):
    pages._KEPT, before = kept, pages._KEPT
    try:
        found = Pages(len(DATA), lambda start, stop: DATA[start:stop])
        for offset, length in windows:
            assert found.read(offset, length) == DATA[offset : offset + length]
    finally:
        pages._KEPT = before


def test_a_page_is_fetched_once():
    asked = []
    found = Pages(len(DATA), lambda start, stop: asked.append((start, stop)) or DATA[start:stop])
    for _ in range(3):
        found.read(5, 10)
    assert asked == [(0, PAGE)]


def test_fetches_grow_while_reading_goes_on_and_shrink_after_a_jump():
    asked = []
    found = Pages(1 << 30, lambda start, stop: asked.append(stop - start) or bytes(stop - start))
    for page in range(8):
        found.read(page * PAGE, 1)
    found.read(1 << 29, 1)
    assert asked[:3] == [PAGE, 2 * PAGE, 4 * PAGE]
    assert asked[-1] == PAGE
