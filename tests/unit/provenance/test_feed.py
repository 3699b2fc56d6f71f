"""Feeds: what they name is found, and none is believed that is unsigned, ended, or older than the last."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.registry.test_cases import Scene
from weighbridge import Options, scan
from weighbridge.cli.main import main
from weighbridge.policy import Settings
from weighbridge.provenance import feed, keys
from weighbridge.provenance.feed import Known
from weighbridge.provenance.wanted import Wanted
from weighbridge.schema import Outcome, UsageError, VerificationFailed

NOW = datetime.now(UTC)
ENTRIES = [
    Known(kind="name", value="model acme/net", reason="taken over"),
    Known(kind="publisher", value="model evil", reason="sells stolen weights"),
    Known(kind="release", value="pypi ranker==1.1", reason="hijacked release"),
    Known(kind="sha256", value=hashlib.sha256(b"bad").hexdigest(), reason="seen in the incident of May"),
]


@pytest.fixture
def pair(tmp_path):
    public = keys.new(str(tmp_path / "feed"), now=NOW)
    return keys.load_private(str(tmp_path / "feed")), public


def written(tmp_path, pair, number=1, entries=ENTRIES, **more):
    path = tmp_path / "feed.json"
    path.write_bytes(feed.build(entries, pair[0], number=number, now=NOW, **more))
    return str(path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("model", "acme/net", "c0ffee"), "taken over"), (("model", "ACME/Net", "c0ffee"), "taken over"),
        (("model", "evil/anything", "c0ffee"), "sells stolen weights"), (("pypi", "ranker", "1.1"), "hijacked release"),
        (("pypi", "ranker", "1.0"), ""), (("dataset", "acme/net", "c0ffee"), ""), (("model", "evilness/x", "c"), ""),
    ],
)  # fmt: skip
def test_names_publishers_and_releases_are_found_and_nothing_else(tmp_path, pair, asked, told):
    found = feed.load(written(tmp_path, pair), pair[1], NOW).about(*asked)

    assert (found.reason if found else "") == told


def test_a_feed_by_somebody_else_ended_damaged_or_older_is_refused(tmp_path, pair):
    keys.new(str(tmp_path / "other"), now=NOW)
    other = keys.load_public(str(tmp_path / "other.pub"))
    path = written(tmp_path, pair, number=5)
    with pytest.raises(VerificationFailed, match="not signed"):
        feed.load(path, other, NOW)
    with pytest.raises(VerificationFailed, match="ended"):
        feed.load(path, pair[1], NOW + timedelta(days=40))
    assert feed.load(path, pair[1], NOW).number == 5
    with pytest.raises(VerificationFailed, match="edition 5 was seen"):
        feed.load(written(tmp_path, pair, number=4), pair[1], NOW)
    (tmp_path / "feed.json").write_text("{}")
    with pytest.raises(VerificationFailed):
        feed.load(path, pair[1], NOW)


@pytest.mark.parametrize(
    "entry",
    [
        Known(kind="colour", value="x", reason="y"),
        Known(kind="name", value="x", reason=""),
        Known(kind="sha256", value="abc", reason="x"),
    ],
)
def test_an_entry_that_says_nothing_is_refused(tmp_path, pair, entry):
    with pytest.raises(UsageError):
        written(tmp_path, pair, entries=[entry])


def test_a_scan_blocks_a_file_that_a_feed_names(tmp_path, pair):
    (tmp_path / "model.bin").write_bytes(b"bad")
    wanted = Wanted(feed=written(tmp_path, pair), feed_key=str(tmp_path / "feed.pub"))

    report = scan([str(tmp_path / "model.bin")], options=Options(wanted=wanted))

    assert report.verdict.outcome is Outcome.BLOCK
    assert [one.rule for one in report.findings if one.rule == "SEC-005"]


def test_a_feed_that_does_not_hold_stops_a_scan_from_passing(tmp_path, pair):
    (tmp_path / "notes.txt").write_bytes(b"fine")
    path = written(tmp_path, pair, days=-2)

    report = scan(
        [str(tmp_path / "notes.txt")], options=Options(wanted=Wanted(feed=path, feed_key=str(tmp_path / "feed.pub")))
    )

    assert report.verdict.outcome is not Outcome.ADMIT


def test_the_registry_rejects_what_a_feed_names_whatever_inspection_says(tmp_path, pair):
    scene = Scene(tmp_path)
    scene.clock.now = NOW.timestamp()
    wanted = Wanted(feed=written(tmp_path, pair), feed_key=str(tmp_path / "feed.pub"))
    scene.house.settings = Settings(provenance=wanted)
    _, case = scene.pushed(b"harmless text")
    for step in ("hash", "inspect", "convert", "decide"):
        assert scene.services.workflow.step(step, case, 1) == ""

    assert scene.state(case) == "rejected"
    with scene.house.database.read() as connection:
        assert "taken over" in scene.cases.row(connection, case).because


def test_the_verb_builds_verifies_and_updates_and_keeps_what_holds(tmp_path, pair, capsys):
    entries = tmp_path / "entries.json"
    entries.write_text(json.dumps([{"kind": "name", "value": "model acme/net", "reason": "taken over"}]))
    made, kept = str(tmp_path / "made.json"), str(tmp_path / "kept.json")
    build = ["feed", "build", str(entries), "--key", str(tmp_path / "feed"), "--output", made]
    update = ["feed", "update", made, "--key", str(tmp_path / "feed.pub"), "--output", kept]
    assert main(build) == 0
    assert main(build) == 0
    assert "edition 2" in capsys.readouterr().out
    assert main(update) == 0
    assert main(["feed", "verify", kept, "--key", str(tmp_path / "feed.pub")]) == 0
    before = (tmp_path / "kept.json").read_bytes()

    (tmp_path / "made.json").write_text("{}")

    assert main(update) == 1
    assert (tmp_path / "kept.json").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


RULE = 'rule stage_two { meta: severity = "critical" description = "the second stage of May" strings: $a = "s3cond-stage" condition: $a }'


def test_rules_of_a_feed_find_what_has_another_digest(tmp_path, pair, lay):
    rules = [*ENTRIES, Known(kind="rule", value=RULE, reason="the incident of May")]
    wanted = Wanted(feed=written(tmp_path, pair, entries=rules), feed_key=str(tmp_path / "feed.pub"))
    folder = lay({"a/notes.txt": b"fine", "a/extra.bin": b"\0\0s3cond-stage\0"})

    report = scan([str(folder)], options=Options(wanted=wanted))

    (found,) = [one for one in report.findings if one.rule == "PKG-032"]
    assert found.location.path[0].endswith("extra.bin")
    assert (found.severity, found.message) == ("critical", "the second stage of May (stage_two)")
    assert report.verdict.outcome is Outcome.BLOCK


def test_rules_of_a_feed_that_does_not_hold_are_not_used_and_the_scan_does_not_pass(tmp_path, pair, lay):
    keys.new(str(tmp_path / "other"), now=NOW)
    path = written(tmp_path, pair, entries=[Known(kind="rule", value=RULE, reason="x")])
    wanted = Wanted(feed=path, feed_key=str(tmp_path / "other.pub"))

    report = scan([str(lay({"a/extra.bin": b"s3cond-stage"}))], options=Options(wanted=wanted))

    assert "PKG-032" not in {one.rule for one in report.findings}
    assert "PRV-017" in {one.rule for one in report.findings}
    assert report.verdict.outcome is Outcome.BLOCK


def test_rules_that_do_not_compile_here_end_a_scan_without_a_verdict(tmp_path, pair, lay):
    path = written(tmp_path, pair, entries=[Known(kind="rule", value="rule {", reason="of a later edition")])
    wanted = Wanted(feed=path, feed_key=str(tmp_path / "feed.pub"))

    with pytest.raises(UsageError, match="edition 1: of a later edition"):
        scan([str(lay({"a/b.txt": b"x"}))], options=Options(wanted=wanted))


def test_rules_are_put_into_a_feed_from_their_files_where_they_compile(tmp_path, pair, capsys):
    (tmp_path / "entries.json").write_text("[]")
    (tmp_path / "may.yar").write_text(RULE)
    (tmp_path / "bad.yar").write_text("rule {")
    command = [
        "feed",
        "build",
        str(tmp_path / "entries.json"),
        "--key",
        str(tmp_path / "feed"),
        "--output",
        str(tmp_path / "f.json"),
    ]

    assert main([*command, "--yara", str(tmp_path / "bad.yar")]) == 2
    assert not (tmp_path / "f.json").exists()
    assert main([*command, "--yara", str(tmp_path / "may.yar")]) == 0
    (one,) = feed.load(str(tmp_path / "f.json"), pair[1], datetime.now(UTC)).rules()
    assert (one.value, one.reason) == (RULE, "may.yar")
    assert "1 entries" in capsys.readouterr().out
