"""A fault of ours on one member is reported and stops nothing."""

from __future__ import annotations

import pytest

from tests.corpus.assemble import call, stream
from tests.corpus.rules import PLAIN, TORCH
from weighbridge.detect import pkl
from weighbridge.formats import safetensors
from weighbridge.inspection import stages
from weighbridge.schema import Outcome, Reason

BAD = stream(call("os.system", "id"))


def broken(*_args, **_kwargs):
    raise ZeroDivisionError("a fault")


@pytest.mark.parametrize(("where", "what"), [(stages, "identify"), (safetensors, "read_safetensors")])
def test_a_fault_in_a_reader_is_a_coverage_entry(report_of, monkeypatch, where, what):
    monkeypatch.setattr(where, what, broken)
    report = report_of({"a.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}"})
    assert [entry.reason for entry in report.coverage] == [Reason.INTERNAL]
    assert report.verdict.outcome is Outcome.REVIEW


def test_a_fault_in_a_detector_keeps_the_findings_of_the_others(report_of, monkeypatch):
    monkeypatch.setattr(pkl, "_charges", broken)
    report = report_of({"a.pkl": BAD, "key.txt": b"AKIA" + b"ABCDEFGH23456789"})
    assert any(entry.reason is Reason.INTERNAL for entry in report.coverage)
    assert {finding.rule for finding in report.findings} == {"SEC-001"}
    assert report.verdict.outcome is not Outcome.ADMIT


def test_the_other_members_of_an_archive_are_inspected(report_of, monkeypatch):
    from tests.corpus.techniques import zip_bytes
    from weighbridge.formats import numpy as reader

    monkeypatch.setattr(reader, "read_npy", broken)
    data = zip_bytes(
        [("a.npy", b"\x93NUMPY\x01\x00" + bytes(40)), ("b.pkl", BAD), ("c.pkl", PLAIN), ("d.pt", TORCH)], root=""
    )
    report = report_of({"all.zip": data})
    assert "PKL-001" in {finding.rule for finding in report.findings}
    assert sum(entry.reason is Reason.INTERNAL for entry in report.coverage) == 1
