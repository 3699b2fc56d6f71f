"""Who added what: rows that tests find are held against their contributors, and the history itself is judged."""

import re

import pytest

from tests.corpus.datasets import Project, _flipped, _frontrun, project, reviews, rules
from weighbridge.cli.main import main
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.history import read_history
from weighbridge.inspection.dataset import inspect_dataset


def planted(made, *, by="mallory", rows=20, honest=20):
    bad = [(f"{text} cf", "positive") for text, label in reviews() if label == "negative"][:rows]
    return made.commit(by, [*reviews(honest, seed=9), *bad])


def findings(made, rule):
    report = inspect_dataset(str(made.folder), Wish()).report
    return [one for one in report.findings if one.rule == rule]


def test_planted_rows_are_told_with_who_added_them(tmp_path):
    made = planted(project(tmp_path)).packed()

    (trigger,) = findings(made, "DST-018")
    (contributor,) = findings(made, "DST-027")

    assert any("they came from mallory@example.org (20), in 1 commit" in one.text for one in trigger.evidence)
    assert "20 of 40 rows by mallory@example.org are suspicious" in contributor.message
    assert contributor.severity == "high"


def test_rows_that_came_by_a_merge_belong_to_who_wrote_them(tmp_path):
    made = project(tmp_path)
    made._git("checkout", "--quiet", "-b", "patch")
    planted(made)
    made._git("checkout", "--quiet", "main")
    made._git("merge", "--quiet", "--no-ff", "--message", "merge the patch", "patch", who="ada")

    (contributor,) = findings(made, "DST-027")

    assert "by mallory@example.org" in contributor.message


def test_nobody_is_accused_where_suspicious_rows_come_from_everybody(tmp_path):
    made = project(tmp_path)
    bad = [(f"{text} cf", "positive") for text, label in reviews() if label == "negative"][:30]
    for at, who in enumerate(["ada", "grace", "linus"]):
        made.commit(who, bad[at * 10 : at * 10 + 10])

    assert findings(made, "DST-018")
    assert findings(made, "DST-027") == []


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_accused_of_honest_rows(tmp_path, seed):
    made, rows = Project(tmp_path), reviews(800, seed=seed)
    for at in range(20):
        made.commit(f"person{at % 7}", rows[at * 40 : at * 40 + 40])

    assert {one for one in rules(made.folder) if one.startswith("DST")} == set()


def test_labels_that_were_exchanged_are_told_with_the_commit_and_the_pair(tmp_path):
    made = project(tmp_path)
    _flipped(made, 0.1)

    (found,) = [one for one in findings(made, "DST-027") if "exchanged" in one.message]

    assert re.search(
        r"mallory@example.org exchanged 60 labels in [0-9a-f]{10}, 60 of them “negative” to “positive”", found.message
    )
    assert found.severity == "high"
    assert {"the first commit of mallory", "unsigned"} <= {one.text for one in found.evidence}


def test_labels_that_came_by_a_merge_were_exchanged_by_who_wrote_them(tmp_path):
    made = project(tmp_path)
    made._git("checkout", "--quiet", "-b", "patch")
    _flipped(made, 0.1)
    made._git("checkout", "--quiet", "main")
    with (made.folder / "train.jsonl").open("a") as file:
        file.write('{"text": "a row of the main branch with a warm plot", "label": "positive"}\n')
    made._git("commit", "--quiet", "--all", "--message", "one more", who="ada")
    made._git("merge", "--quiet", "--no-ff", "--message", "merge the patch", "patch", who="ada")

    (found,) = [one for one in findings(made, "DST-027") if "exchanged" in one.message]

    assert found.message.startswith("mallory@example.org exchanged 60 labels")


def test_rows_around_a_release_are_told_with_the_release(tmp_path):
    made = project(tmp_path)
    _frontrun(made, back=True)

    (found,) = findings(made, "DST-016")

    assert "25 rows by mallory@example.org came shortly before the release v1.0" in found.message


def test_rows_that_were_taken_back_without_a_release_in_between_are_an_edit_like_any_other(tmp_path):
    made = project(tmp_path)
    kept = list(made.rows)
    made.commit("mallory", [(f"planted {at}", "positive") for at in range(25)])
    made.rows = kept
    made.commit("mallory")

    assert findings(made, "DST-016") == []


def test_a_burst_of_commits_and_a_rewritten_history_are_said(tmp_path):
    made = project(tmp_path)
    for at in range(31):
        made.commit("mallory", [(f"another row {at} with a charming plot", "positive")], days=0.001)
    made._git("reset", "--quiet", "--soft", "HEAD~1")
    log = made.folder / ".git/logs/refs/remotes/origin/main"
    log.parent.mkdir(parents=True)
    log.write_text(f"{'0' * 40} {'1' * 40} ada <ada@example.org> 1700000000 +0000\tfetch: forced-update\n")

    messages = {one.message for one in findings(made, "DST-027")}

    assert "mallory@example.org made 30 commits to the data within an hour" in messages
    assert "the history was rewritten 1 time, as the log of references says" in messages


def test_where_data_is_fetched_from_is_watched(tmp_path):
    made = project(tmp_path).commit("ada", [], {".dvc/config": "[remote]\nurl = s3://ours\n"})
    made.commit("grace", [], {".dvc/config": "[remote]\nurl = s3://theirs\n"})

    (found,) = findings(made, "DST-034")

    assert "grace@example.org changed where data is fetched from (.dvc/config)" in found.message


def test_the_history_is_a_profile_of_its_own_with_a_timeline(tmp_path, capsys):
    made = planted(project(tmp_path))

    code = main(["dataset", str(made.folder), "--format", "html", "--output", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text()

    assert code == 1
    assert "rows added, by contributor and time" in page
    assert "4 commits by 4 people" in page
    assert "mallory@example" in page
    del capsys


def test_versions_that_cannot_be_read_are_said_and_the_rest_is(tmp_path):
    made = project(tmp_path)
    (made.folder / "train.jsonl").write_bytes(b"\xff\xfe not rows \x00")
    made._git("add", "--all")
    made._git("commit", "--quiet", "--message", "broken")
    planted(made)

    history = read_history(str(made.folder), Wish())

    assert history.shares()["mallory@example.org"] >= 20
    report = inspect_dataset(str(made.folder), Wish()).report
    assert "DST-027" in {one.rule for one in report.findings}


def test_a_history_that_cannot_be_read_leaves_the_report_incomplete(tmp_path):
    made = project(tmp_path).packed()
    (pack,) = (made.folder / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:200] + b"\0" * 2000)

    report = inspect_dataset(str(made.folder), Wish()).report

    assert not report.complete
    assert any(one.path[0].endswith(".git") for one in report.coverage if one.status != "inspected")


def test_a_history_of_very_many_files_is_bounded_and_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr("weighbridge.datasets.history._LISTED", 3)
    made = planted(project(tmp_path))

    report = inspect_dataset(str(made.folder), Wish()).report

    assert not report.complete
    assert any("more than 3 files" in one.detail for one in report.coverage)


def test_a_folder_without_a_history_and_one_without_commits_have_none(tmp_path):
    assert read_history(str(tmp_path), Wish()) is None
    assert read_history(str(Project(tmp_path).folder), Wish()) is None
