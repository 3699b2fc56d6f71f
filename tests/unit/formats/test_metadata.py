"""What a distribution says of itself: fields of the head, the first of several, and nothing of the description."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.formats.metadata import first, read_metadata

TEXT = "Metadata-Version: 2.4\r\nName: ranker\r\nVersion: 1.0 \r\nClassifier: A\r\nClassifier: B\r\nLicense: MIT\r\n  and more\r\n\r\nName: other\r\n"


def test_fields_are_those_of_the_head():
    said = read_metadata(TEXT)
    assert (first(said, "name"), first(said, "version"), said["classifier"]) == ("ranker", "1.0", ("A", "B"))
    assert first(said, "license-expression", "license") == "MIT"
    assert first(said, "summary") == ""


@given(st.text())
def test_any_text_has_fields_or_none(text):
    assert all(name == name.lower() and values for name, values in read_metadata(text).items())
