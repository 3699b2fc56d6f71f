"""The tuple of readers, from which the table of formats is made."""

from __future__ import annotations

from weighbridge.identify.container import CONTAINERS
from weighbridge.identify.magic import _SIGNATURES
from weighbridge.identify.text import _BY_CONTENT, _BY_ENDING, _BY_NAME
from weighbridge.inspection.readers import KINDS, READERS, reader_of
from weighbridge.inspection.reading.models import _WIRE
from weighbridge.rules import FAMILIES, is_rule


def test_every_signature_has_a_reader_or_none_on_purpose():
    known = {name for reader in READERS for name in reader.formats}
    assert {name for _, name in _SIGNATURES} - known == {"rar", "parquet", "arrow"}
    assert known >= CONTAINERS


def test_a_format_is_read_by_one_reader():
    names = [name for reader in READERS for name in reader.formats]
    assert len(names) == len(set(names))


def test_every_kind_of_text_and_message_is_in_the_table():
    told = {name for reader in KINDS for name in reader.formats}
    kinds = {kind for _, kind in _BY_ENDING} | set(_BY_NAME.values()) | {kind for _, kind in _BY_CONTENT}
    assert kinds - told == set()
    assert set(_WIRE) - told == set()


def test_every_reader_can_be_called_and_says_what_it_reads():
    for reader in READERS:
        assert callable(reader_of(reader.formats[0]))
    for reader in (*READERS, *KINDS):
        assert reader.title
        assert reader.reads
        assert all(name in FAMILIES or is_rule(name) for name in reader.rules.split())
