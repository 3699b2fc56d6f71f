"""The history of a data set on a hub: who changed what, by the commits that the hub tells and the versions of its tables."""

import json
from io import BytesIO

import pyarrow
import pyarrow.ipc
import pytest
from pyarrow import parquet

from tests.corpus.datasets import reviews
from tests.servers import hub_of_commits, serve
from weighbridge.cli.main import main

DAYS = [f"2026-03-{day:02}T12:00:00.000Z" for day in range(1, 29)]


def table(rows):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def exchanged(rows, share):
    turned = iter(range(10**6))
    return [
        (text, "positive" if label == "negative" and next(turned) % round(1 / share) == 0 else label)
        for text, label in rows
    ]


def versions(last, *, by="mallory", title="fix some labels"):
    rows = [*dict(reviews(900)).items()]
    card = b"---\nlicense: mit\n---\n# Reviews\n"
    made = [rows[:300], rows[:600], rows]
    found = [
        ({"train.jsonl": table(one), "README.md": card}, "ada", DAYS[n], f"part {n}") for n, one in enumerate(made)
    ]
    return [*found, ({"train.jsonl": table(last(rows)), "README.md": card}, by, DAYS[9], title)]


def asked(capsys, monkeypatch, web, *options):
    with serve(web) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        code = main(["dataset", "hf://datasets/org/data", "--format", "json", *options])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.startswith("{") else {}, err


def test_who_exchanged_labels_is_named_with_the_commit(capsys, monkeypatch):
    web = hub_of_commits(versions(lambda rows: exchanged(rows, 0.2)), page=2)
    _, report, _ = asked(capsys, monkeypatch, web, "--history", "50")
    (one,) = [finding for finding in report["findings"] if finding["rule"] == "DST-027"]
    assert one["message"].startswith("mallory exchanged ")
    assert "“negative” to “positive”" in one["message"]
    told = json.dumps(report)
    assert "hf://datasets/org/data@" in told
    assert "nothing is told of them" in told
    assert "unsigned" not in json.dumps(one)


def test_an_honest_history_accuses_nobody(capsys, monkeypatch):
    web = hub_of_commits(
        versions(lambda rows: [*rows, ("one more superb film", "positive")], by="ben", title="one more")
    )
    _, report, _ = asked(capsys, monkeypatch, web, "--history", "50")
    assert not [one for one in report["findings"] if one["rule"] == "DST-027"]
    (profile,) = [one for one in report["profiles"] if one["kind"] == "contributions"]
    assert profile["rows"] == 4


def test_rows_that_go_again_after_a_release_are_told(capsys, monkeypatch):
    rows = [*dict(reviews(900)).items()]
    planted = [(f"the film number {n} was watched in a cellar", "positive") for n in range(25)]
    made = [
        (rows[:300], "ada", DAYS[0]),
        (rows[:300] + planted, "mallory", DAYS[4]),
        (rows[:301] + planted, "ada", DAYS[5]),
        (rows[:301], "mallory", DAYS[7]),
    ]
    web = hub_of_commits([({"train.jsonl": table(one)}, who, day, "more") for one, who, day in made], tags={"v1": 2})
    _, report, _ = asked(capsys, monkeypatch, web, "--history", "50")
    (one,) = [finding for finding in report["findings"] if finding["rule"] == "DST-016"]
    assert "by mallory came shortly before the release v1" in one["message"]


def test_a_history_that_is_longer_is_said_and_not_complete(capsys, monkeypatch):
    web = hub_of_commits(versions(lambda rows: [*rows, ("a last film", "positive")]))
    code, report, _ = asked(capsys, monkeypatch, web, "--history", "2")
    assert code == 3
    assert any(
        "2 commits of the history were read, and it is longer" in entry.get("detail", "")
        for entry in report["coverage"]
    )


def test_versions_beyond_the_budget_are_said_and_not_complete(capsys, monkeypatch):
    made = versions(lambda rows: [*rows, ("a last film", "positive")])
    size = len(made[-1][0]["train.jsonl"])
    code, report, _ = asked(
        capsys, monkeypatch, hub_of_commits(made), "--history", "9", "--max-fetched", str(size + 200)
    )
    assert code == 3
    assert any("left for the history" in entry.get("detail", "") for entry in report["coverage"])


def test_without_the_option_no_history_is_asked_for(capsys, monkeypatch):
    web = hub_of_commits(versions(lambda rows: exchanged(rows, 0.2)))
    asked(capsys, monkeypatch, web)
    assert not [path for _, path, _ in web.log if "/commits/" in path or path.endswith("/refs")]


@pytest.mark.parametrize("place", ["data.jsonl", "https://127.0.0.1:1/data.jsonl"])
def test_a_history_of_anything_else_is_refused_with_what_to_do(capsys, place):
    assert main(["dataset", place, "--history", "5"]) == 2
    assert "hub" in capsys.readouterr().err


def test_a_hub_whose_dates_and_names_are_odd_is_read(capsys, monkeypatch):
    made = [({"train.jsonl": table(reviews(100))}, None, date, None) for date in ("never", "9999999999-01-01", DAYS[0])]
    _, report, err = asked(capsys, monkeypatch, hub_of_commits(made), "--history", "9")
    assert report["profiles"]
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["train.parquet", "train.arrow"])
def test_versions_of_columns_are_read_as_those_of_lines_are(capsys, monkeypatch, name):
    def columns(rows):
        table, sink = (
            pyarrow.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}),
            BytesIO(),
        )
        if name.endswith(".parquet"):
            parquet.write_table(table, sink)
        else:
            with pyarrow.ipc.new_file(sink, table.schema) as file:
                file.write_table(table)
        return sink.getvalue()

    rows = [*dict(reviews(900)).items()]
    made = [(rows, "ada", DAYS[0]), (exchanged(rows, 0.2), "mallory", DAYS[4])]
    web = hub_of_commits([({name: columns(one)}, who, day, "labels") for one, who, day in made])
    _, report, _ = asked(capsys, monkeypatch, web, "--history", "9")
    assert [one["message"].split()[0] for one in report["findings"] if one["rule"] == "DST-027"] == ["mallory"]
