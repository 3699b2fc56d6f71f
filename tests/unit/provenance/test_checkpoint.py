"""Checkpoints: the text of C2SP, and nothing that somebody else has signed or changed is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.provenance import checkpoint
from weighbridge.provenance.checkpoint import Checkpoint
from weighbridge.schema import UsageError, VerificationFailed

HERE = Checkpoint(origin="example.org/log", size=7, root=b"\x01" * 32)


@pytest.fixture
def key(tmp_path):
    return checkpoint.new(str(tmp_path / "log.pem"), "example.org/log")


def test_a_note_is_origin_size_root_and_signature(key):
    lines = key.sign(HERE).split("\n")

    assert lines[:4] == ["example.org/log", "7", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", ""]
    assert lines[4].startswith("\N{EM DASH} example.org/log ")
    assert checkpoint.read(key.sign(HERE), key.verifier) == HERE


def test_a_key_is_the_same_after_it_was_written(key, tmp_path):
    again = checkpoint.load(str(tmp_path / "log.pem"), "example.org/log")

    assert again.verifier == key.verifier
    assert checkpoint.read(again.sign(HERE), key.verifier) == HERE


@pytest.mark.parametrize("change", [("7", "8"), ("example.org/log\n7", "example.com/log\n7"), ("AQEB", "AQEC")])
def test_a_changed_note_is_refused(key, change):
    with pytest.raises(VerificationFailed):
        checkpoint.read(key.sign(HERE).replace(*change, 1), key.verifier)


def test_the_key_of_somebody_else_is_refused(key, tmp_path):
    other = checkpoint.new(str(tmp_path / "other.pem"), "example.org/log")

    with pytest.raises(VerificationFailed, match="not signed"):
        checkpoint.read(key.sign(HERE), other.verifier)


def test_a_key_is_never_overwritten(key, tmp_path):
    before = (tmp_path / "log.pem").read_bytes()

    with pytest.raises(UsageError, match="exists"):
        checkpoint.new(str(tmp_path / "log.pem"), "x")
    assert (tmp_path / "log.pem").read_bytes() == before


@given(st.text(max_size=200))
def test_any_other_text_is_refused_in_words(text):
    verifier = "a+00000000+AQ=="
    with pytest.raises(VerificationFailed):
        checkpoint.read(text, verifier)
