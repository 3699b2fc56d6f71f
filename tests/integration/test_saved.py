"""Repositories as the real libraries save them: admitted, wholly understood, and nothing to say above information."""

from __future__ import annotations

import pytest

from tests.corpus.saved import MAKERS, make
from weighbridge import scan
from weighbridge.schema import Outcome, Severity


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_repository_is_admitted(name, tmp_path):
    report = scan([str(make(name, tmp_path))])
    assert [(f.rule, f.location.member, f.message) for f in report.findings if f.severity is not Severity.INFO] == []
    assert [(entry.member, entry.detail) for entry in report.coverage if entry.status.value != "inspected"] == []
    assert report.verdict.outcome is Outcome.ADMIT
