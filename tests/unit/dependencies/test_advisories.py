"""Advisories: taken from records as OSV publishes them, asked locally, never half there."""

from __future__ import annotations

import gzip
import json
import sqlite3
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.dependencies import RECORDS, advisories, archive, record
from weighbridge.dependencies.advisories import Advisories, build, weigh
from weighbridge.dependencies.osv import base_score, read_advisory
from weighbridge.inspection.refresh import from_files
from weighbridge.schema import MalformedInput, SourceError, Unavailable


@pytest.fixture
def base(tmp_path):
    return Advisories(advisories(tmp_path))


def ids(base, name, version, ecosystem="pypi"):
    found, _ = base.against(ecosystem, name, version)
    return [one.ids[0] for one in found]


def test_records_that_are_aliases_are_one_matter(base):
    (known,), _ = base.against("pypi", "jinja2", "3.1.5")
    assert known.ids == ("CVE-2025-27516", "GHSA-aaaa-bbbb-cccc", "PYSEC-2025-1")
    assert (known.fixed, known.severity, known.malicious) == ("3.1.6", "medium", False)


def test_versions_that_are_listed_and_ranges_decide(base):
    assert ids(base, "ultralytics", "8.3.41") == ["MAL-2026-1"]
    assert ids(base, "ultralytics", "8.3.43") == []
    assert ids(base, "left-pad", "1.3.0", "npm") == ["GHSA-npm1-npm1-npm1"]
    assert ids(base, "left-pad", "1.3.1", "npm") == []


def test_a_record_without_versions_is_about_all_of_them(base):
    assert ids(base, "deepseeek", "9.9") == ["MAL-2026-2"]
    assert ids(base, "deepseeek", "") == ["MAL-2026-2"]


def test_what_was_withdrawn_says_nothing(base):
    assert ids(base, "einops", "0.8.0") == []


def test_a_version_that_cannot_be_compared_is_not_clean(base):
    found, unknown = base.against("pypi", "jinja2", "2025-06-01-nightly")
    assert (found, unknown) == ([], ["GHSA-aaaa-bbbb-cccc", "PYSEC-2025-1"])


def test_later_records_are_laid_over_earlier_ones(tmp_path):
    path = advisories(tmp_path)
    gone = {**RECORDS[0], "withdrawn": "2026-06-10T00:00:00Z", "modified": "2026-06-10T00:00:00Z"}
    from_files(path, [archive(tmp_path / "more.zip", [gone])])
    base = Advisories(path)
    assert ids(base, "ultralytics", "8.3.41") == []
    assert ids(base, "jinja2", "3.1.5") == ["CVE-2025-27516"]
    assert base.age("pypi", date(2026, 6, 12)) == 2


def test_attacks_that_were_seen_weigh_more(tmp_path):
    seen = json.dumps({"vulnerabilities": [{"cveID": "CVE-2025-27516", "dateAdded": "2026-01-02"}]}).encode()
    likely = gzip.compress(b"#model\ncve,epss,percentile\nCVE-2025-27516,0.42,0.9\n")
    (known,), _ = Advisories(advisories(tmp_path, exploited=seen, likely=likely)).against("pypi", "jinja2", "3.1.5")
    assert (known.exploited, known.likely) == ("2026-01-02", 0.42)


@pytest.mark.parametrize("given", [{"exploited": b"[]"}, {"exploited": b"\xff"}, {"likely": b"\x1f\x8bbroken"}, {"likely": b"CVE-1,many\n"}])  # fmt: skip
def test_lists_that_are_none_are_refused_and_nothing_is_lost(tmp_path, given):
    path = advisories(tmp_path)
    with pytest.raises(MalformedInput):
        weigh(path, **given)
    assert ids(Advisories(path), "ultralytics", "8.3.41") == ["MAL-2026-1"]


def test_a_file_without_records_is_refused_and_nothing_is_lost(tmp_path):
    path = advisories(tmp_path)
    with pytest.raises(SourceError):
        from_files(path, [archive(tmp_path / "empty.zip", [])])
    assert ids(Advisories(path), "ultralytics", "8.3.41") == ["MAL-2026-1"]


def test_a_record_that_is_broken_is_named_and_the_others_are_taken(tmp_path):
    path = str(tmp_path / "a.db")
    good = json.dumps(RECORDS[0]).encode()
    assert build(path, [("bad.json", b"{"), ("good.json", good)]) == (1, ["bad.json"])


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 200])
def test_a_file_that_is_no_database_is_not_there(tmp_path, content):
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(Unavailable):
        Advisories(str(tmp_path / "a.db"))


def test_a_file_of_another_version_is_not_read(tmp_path):
    path = advisories(tmp_path)
    with sqlite3.connect(path) as made:
        made.execute("UPDATE about SET value = '0' WHERE name = 'version'")
    made.close()
    with pytest.raises(Unavailable, match="another version"):
        Advisories(path)


def test_events_are_a_line_of_time():
    events = (
        {"introduced": "1.0"},
        {"fixed": "1.5"},
        {"introduced": "2.0"},
        {"last_affected": "2.3"},
        {"introduced": "3.0"},
    )
    (hit,) = read_advisory(json.dumps(record("X-1", "a", events=events)).encode()).hits
    assert hit.ranges == (("1.0", "1.5", ""), ("2.0", "", "2.3"), ("3.0", "", ""))


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:4.0/AV:N", 0.0),
    ],
)
def test_scores_are_those_of_the_specification(vector, score):
    assert base_score(vector) == score


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(max_size=5), lambda inner: st.dictionaries(st.sampled_from(["id", "affected", "ranges", "events", "package", "name", "ecosystem", "introduced"]), inner | st.lists(inner, max_size=3)), max_leaves=12).map(lambda root: json.dumps(root).encode()))  # fmt: skip
def test_bytes_of_any_kind_are_a_record_or_refused(data):
    try:
        found = read_advisory(data)
    except MalformedInput as refusal:
        assert str(refusal)
    else:
        assert found.id
        assert all(hit.ecosystem in {"pypi", "npm"} and hit.name for hit in found.hits)
