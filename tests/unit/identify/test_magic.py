"""Formats by content: what each library writes is known, and near misses are not taken for it."""

from __future__ import annotations

import pickle

import pytest

from tests.corpus import rules
from weighbridge.identify import contradicts, identify
from weighbridge.identify.magic import HEAD
from weighbridge.source import BytesBlob


def format_of(data):
    return identify(BytesBlob(data)).format


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty"),
        (pickle.dumps(1), "pickle"),
        (rules.TORCH, "zip"),
        (rules.SAFE, "safetensors"),
        (rules.ELF, "elf"),
        (b"MZ and nothing more of a program", "text"),
        (b"{}", "json"),
        (b"#!/bin/sh\n", "script"),
        (b"caf\xc3\xa9\n", "text"),
        (b"a plain old Latin-1 caf\xe9 in a long enough sentence", "text"),
        (bytes(range(256)), "unknown"),
        (b"%PDF-1.7", "pdf"),
    ],
)
def test_formats(data, found):
    assert format_of(data) == found


@pytest.mark.parametrize("shift", range(4))
def test_text_stays_text_where_the_window_cuts_a_character(shift):
    assert format_of(b"x" * shift + "→é😀".encode() * HEAD) == "text"


def test_a_zip_at_the_tail_is_told():
    assert identify(BytesBlob(pickle.dumps(1) + rules.TORCH)).also == ("zip",)


@pytest.mark.parametrize(
    ("name", "found", "ending"),
    [("a.safetensors", "pickle", ".safetensors"), ("A.JSON", "pickle", ".json"), ("a.npy. ", "zip", ".npy")],
)
def test_broken_promises(name, found, ending):
    assert contradicts(name, found) == ending


@pytest.mark.parametrize(
    ("name", "found"), [("pytorch_model.bin", "pickle"), ("a.pt", "zip"), ("noname", "pickle"), ("a.pkl", "text")]
)
def test_kept_promises(name, found):
    assert contradicts(name, found) == ""
