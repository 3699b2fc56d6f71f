"""`weighbridge dataset --manifest` and `--since`: what a data set was, signed, and what of it has to be looked at again."""

import json

import pytest

from tests.corpus.datasets import jsonl, reviews, triggered
from weighbridge.cli.main import main


@pytest.fixture
def signed(tmp_path, monkeypatch, capsys):
    """A folder of three files with its manifest and the keys of its owner."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    jsonl(data / "a.jsonl", ("text", "label"), reviews(400, seed=1))
    jsonl(data / "b.jsonl", ("text", "label"), reviews(400, seed=2))
    (data / "README.md").write_text("# reviews\n")
    assert main(["keys", "new", "owner"]) == 0
    assert main(["dataset", "data", "--manifest", "data.att", "--key", "owner"]) == 0
    assert "3 files, 800 rows" in capsys.readouterr().out
    return data


def since(capsys, *more, manifest="data.att", key="owner.pub"):
    capsys.readouterr()
    code = main(["dataset", "data", "--since", manifest, "--trust", key, "--format", "json", *more])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def inspected(report):
    return sorted({one["path"][0].rpartition("/")[2] for one in report["coverage"]})


def test_what_is_as_it_was_signed_is_not_looked_at_again(signed, capsys):
    code, report, err = since(capsys)

    assert inspected(report) == []
    assert "3 files as in the manifest" in err
    assert code in {0, 4}


def test_only_what_is_new_is_inspected_and_poison_in_it_is_found(signed, capsys):
    jsonl(signed / "c.jsonl", ("text", "label"), triggered())

    code, report, err = since(capsys)

    assert code == 1
    assert inspected(report) == ["c.jsonl"]
    assert "DST-018" in {one["rule"] for one in report["findings"]}
    assert "1 new" in err


def test_a_file_that_only_grew_is_inspected_and_no_breach(signed, capsys):
    with (signed / "a.jsonl").open("a") as file:
        file.write(json.dumps({"text": "a charming film with a clever plot", "label": "positive"}) + "\n")

    code, report, err = since(capsys)

    assert code == 0
    assert inspected(report) == ["a.jsonl"]
    assert "1 grown" in err


@pytest.mark.parametrize("change", ["byte", "shorter", "front"])
def test_a_file_that_was_changed_is_told(signed, capsys, change):
    path = signed / "a.jsonl"
    data = path.read_bytes()
    path.write_bytes(
        {
            "byte": data[:100] + b"x" + data[101:],
            "shorter": data[:-50],
            "front": b'{"text": "a", "label": "b"}\n' + data,
        }[change]
    )

    code, report, _ = since(capsys)

    assert code in {1, 3}
    assert [one["message"].partition(" is ")[0] for one in report["findings"] if one["rule"] == "DST-015"] == [
        "a.jsonl"
    ]


def test_a_part_of_a_data_set_can_be_held_against_the_whole_manifest(signed, capsys):
    (signed / "b.jsonl").unlink()

    code, report, err = since(capsys)

    assert code in {0, 4}
    (found,) = [one for one in report["findings"] if one["rule"] == "DST-015"]
    assert (found["severity"], "b.jsonl" in found["message"]) == ("low", True)
    assert "2 files as in the manifest" in err


def test_a_manifest_by_somebody_else_or_altered_is_not_believed(signed, capsys, tmp_path):
    assert main(["keys", "new", "mallory"]) == 0
    assert since(capsys, key="mallory.pub")[0] != 0

    altered = json.loads((tmp_path / "data.att").read_text())
    payload = altered["dsseEnvelope"]["payload"]
    altered["dsseEnvelope"]["payload"] = payload[:-8] + ("A" if payload[-8] != "A" else "B") + payload[-7:]
    (tmp_path / "altered.att").write_text(json.dumps(altered))
    assert since(capsys, manifest="altered.att")[0] != 0


def test_another_attestation_is_no_manifest(signed, capsys):
    assert main(
        [
            "attest",
            "data",
            "--type",
            "approval",
            "--key",
            "owner",
            "--by",
            "ada",
            "--reason",
            "x",
            "--output",
            "other.att",
        ]
    ) in {0, 2}
    assert main(["dataset", "data", "--since", "owner.pub", "--trust", "owner.pub"]) != 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_manifest_needs_a_signer(signed, capsys):
    assert main(["dataset", "data", "--manifest", "x.att"]) == 2
    assert "say who signs" in capsys.readouterr().err


def test_verify_reads_it_like_any_other_attestation(signed, capsys):
    capsys.readouterr()
    assert main(["verify", "data", "--attestation", "data.att", "--key", "owner.pub"]) == 0
    assert "dataset" in capsys.readouterr().out
