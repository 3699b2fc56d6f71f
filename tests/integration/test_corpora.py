"""The two corpora as tests: every attack is stopped, no benign file is."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.corpus import benign, techniques
from weighbridge import scan
from weighbridge.schema import Outcome, Reason


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    return [(sample, scan([str(path)])) for sample, path in laid(techniques.samples(), folder)]


def laid(samples, folder):
    for number, sample in enumerate(samples):
        path = folder / str(number) / sample.file
        path.parent.mkdir()
        path.write_bytes(sample.data)
        yield sample, path


def test_the_corpus_is_large_enough(attacks):
    assert len(attacks) >= 300


def test_no_attack_is_silently_clean(attacks):
    assert [sample.id for sample, report in attacks if report.verdict.outcome is Outcome.ADMIT] == []


def test_at_least_97_percent_are_blocked(attacks):
    outcomes = Counter(report.verdict.outcome for _, report in attacks)
    assert outcomes[Outcome.BLOCK] >= 0.97 * len(attacks)


def test_every_attack_that_fires_is_blocked(attacks):
    assert [
        sample.id for sample, report in attacks if sample.fires and report.verdict.outcome is not Outcome.BLOCK
    ] == []


def test_every_attack_is_named(attacks):
    assert [sample.id for sample, report in attacks if not any(f.severity.rank <= 2 for f in report.findings)] == []


def test_no_fault_of_ours_on_attacks(attacks):
    assert [s.id for s, report in attacks if any(e.reason is Reason.INTERNAL for e in report.coverage)] == []


@pytest.mark.parametrize("family", benign.FAMILIES, ids=lambda family: family.__name__)
def test_what_real_libraries_save_is_admitted_and_wholly_understood(family, tmp_path, monkeypatch):
    monkeypatch.setattr(benign, "FAMILIES", (family,))
    stopped = []
    for sample, path in laid(benign.samples("tuned"), tmp_path):
        report = scan([str(path)])
        if report.verdict.outcome is not Outcome.ADMIT or not report.complete:
            stopped.append((sample.id, report.verdict.because))
    assert stopped == []
