"""Every rule: listed once, complete references, a bad sample that it finds and a benign one that it does not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from tests.corpus import binaries
from tests.corpus.lineage import Story
from tests.corpus.rules import PLAIN, SAMPLES, files_of
from weighbridge import Options, scan
from weighbridge.rules import FAMILIES, all_rules, find_rule, is_rule
from weighbridge.rules.references import name_of
from weighbridge.schema import Limits, UsageError
from weighbridge.source import FileBlob

RULES = list(all_rules())
DOCS = Path(__file__).parents[3] / "docs/reference/rules"


def options(sample):
    given = sample[2].get("limits", {}) if len(sample) > 2 else {}
    return Options(limits=msgspec.structs.replace(Limits(), **given))


def found(lay, sample, which, monkeypatch=None):
    files = files_of(sample[which])
    if files == "changing":
        # Somebody writes to the file between its first and its last window.
        read = FileBlob.read

        def written_to(self, offset, length):
            os.utime(self.path, ns=(1, 1))
            return read(self, offset, length)

        monkeypatch.setattr(FileBlob, "read", written_to)
        files = {"a.pkl": PLAIN}
    if isinstance(files, Story):
        return set(files.run(lay({})))
    if files == "onnx-link":
        folder = target = lay(binaries.m(changes=(binaries.external(location="w.data"),)))
        os.symlink("/etc/hostname", folder / "w.data")
    elif files == "link":
        folder = lay({"a.txt": b"x"})
        os.symlink("/etc/hostname", folder / "out.bin")
        target = folder
    else:
        folder = lay(files)
        target = folder / next(iter(files)) if len(files) == 1 else folder
    return {finding.rule for finding in scan([str(target)], options=options(sample)).findings}


def test_ids_are_unique_and_belong_to_their_family():
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Z]{3}-\d{3}", identifier) and identifier[:3] in FAMILIES for identifier in ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_references_are_known_and_carry_their_edition(rule):
    assert all(name_of(reference) for reference in rule.references)
    assert {"AML.T0010", "LLM05:2023", "LLM03:2025", "LLM04:2026", "AATMF:SC-*"} <= set(rule.references)
    assert not [reference for reference in rule.references if re.fullmatch(r"LLM\d\d", reference)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_text_says_what_why_and_how_to_mend(rule):
    assert all(len(text) > 8 and not text.endswith(".") for text in (rule.what, rule.why, rule.fix))


def test_every_rule_has_samples_and_every_sample_a_rule():
    assert {rule.id for rule in RULES} == SAMPLES.keys()


@pytest.mark.parametrize("identifier", SAMPLES)
def test_the_bad_sample_is_found(identifier, lay, monkeypatch):
    assert identifier in found(lay, SAMPLES[identifier], 0, monkeypatch)


@pytest.mark.parametrize("identifier", SAMPLES)
def test_the_benign_sample_is_not(identifier, lay):
    assert identifier not in found(lay, SAMPLES[identifier], 1)


def test_an_unknown_rule_is_refused_with_its_neighbours():
    with pytest.raises(UsageError) as refusal:
        find_rule("PKL-999")
    assert "PKL-001" in refusal.value.hint
    assert not is_rule("PKL-999")


def test_ids_are_found_in_any_case():
    assert find_rule(" pkl-001 ").id == "PKL-001"
