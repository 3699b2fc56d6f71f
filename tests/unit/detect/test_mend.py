"""The line that a finding about one's own code proposes."""

from __future__ import annotations

import pytest

from tests.corpus.operations import COD
from weighbridge.detect.mend import mended


@pytest.mark.parametrize(
    ("rule", "line", "better"),
    [
        ("COD-001", "torch.load('a')", "torch.load('a', weights_only=True)"),
        (
            "COD-001",
            "x = torch.load(path(a), map_location='cpu').y",
            "x = torch.load(path(a), map_location='cpu', weights_only=True).y",
        ),
        ("COD-001", "torch.load(f, weights_only=False)", "torch.load(f, weights_only=True)"),
        ("COD-003", "A.from_pretrained(n, trust_remote_code=True)", "A.from_pretrained(n, trust_remote_code=False)"),
        ("COD-004", "A.from_pretrained('a/b')", "A.from_pretrained('a/b', revision=\"<commit>\")"),
        ("COD-009", "yaml.load(f, Loader=yaml.Loader)", "yaml.safe_load(f)"),
        ("COD-010", "t.extractall(p)", 't.extractall(p, filter="data")'),
        ("COD-014", "get(u, verify=False)", "get(u, verify=True)"),
        ("COD-002", "pickle.load(f)", ""),
    ],
)
def test_the_unsafe_part_is_replaced_and_nothing_else(rule, line, better):
    assert mended(rule, line) == better


@pytest.mark.parametrize(
    "rule",
    ["COD-001", "COD-003", "COD-004", "COD-005", "COD-006", "COD-009", "COD-010", "COD-011", "COD-014", "COD-020"],
)
def test_a_mended_sample_is_no_longer_found(rule, report_of):
    source = COD[rule][0]["train.py"].decode()
    better = "\n".join(mended(rule, line) or line for line in source.split("\n")).replace("<commit>", "0" * 40)
    assert better != source
    assert rule not in {finding.rule for finding in report_of({"train.py": better.encode()}).findings}
