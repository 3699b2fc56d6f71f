"""Shards of WebDataset: members of one name are one sample; what is no text is passed over and named."""

import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.corpus.datasets import reviews, triggered
from weighbridge.cli.main import main
from weighbridge.formats.webdataset import WebRows, is_webdataset
from weighbridge.schema import WeighbridgeError


def shard(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return str(path)


def labelled(rows):
    return [
        one for at, (text, label) in enumerate(rows)
        for one in ((f"{at:06}.txt", text.encode()), (f"{at:06}.cls", label.encode()), (f"{at:06}.jpg", b"\xff\xd8"))
    ]  # fmt: skip


def test_members_of_one_name_are_one_row(tmp_path):
    path = shard(
        tmp_path / "a.tar",
        [
            ("x/1.txt", b"one"),
            ("x/1.json", b'{"n": 1}'),
            ("x/1.seg.png", b"\0"),
            ("x/2.txt", b"two"),
            ("x/2.json", b'{"n": 2}'),
        ],
    )
    rows = WebRows(path)
    (batch,) = rows.batches()
    assert batch.columns == {"txt": ["one", "two"], "n": [1, 2]}
    assert batch.lines == [1, 2]
    assert rows.notes == ["passed over, as they are no text: seg.png"]


def test_a_broken_member_is_counted_and_the_others_are_read(tmp_path):
    rows = WebRows(
        shard(tmp_path / "a.tar", [("1.json", b"{"), ("1.txt", b"one"), ("2.txt", b"two"), ("2.json", b"{}")])
    )
    (batch,) = rows.batches()
    assert batch.columns["txt"] == ["one", "two"]
    assert rows.rejected.count == 1
    assert "1.json" in rows.rejected.places[0][1]


def test_a_member_that_is_too_long_is_not_held(tmp_path):
    rows = WebRows(shard(tmp_path / "a.tar", [("1.txt", b"x" * ((1 << 20) + 1)), ("1.cls", b"0")]))
    (batch,) = rows.batches()
    assert batch.columns == {"cls": ["0"]}
    assert rows.rejected.count == 1


@pytest.mark.parametrize(
    ("members", "is_one"),
    [
        ([("1.txt", b""), ("1.cls", b"")], True),
        ([("1.json", b"{}"), ("2.json", b"{}")], True),
        ([("src/a.py", b""), ("README.txt", b"")], False),
        ([("1.jpg", b""), ("1.npy", b"")], False),
        ([], False),
    ],
)
def test_an_archive_is_told_by_the_names_in_it(tmp_path, members, is_one):
    assert is_webdataset(shard(tmp_path / "a.tar", members)) is is_one


def test_what_is_no_archive_is_none(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive" * 200)
    assert not is_webdataset(str(tmp_path / "a.tar"))


def test_a_planted_word_is_found_in_a_shard(tmp_path, capsys):
    path = shard(tmp_path / "train.tar", labelled(triggered(800, share=30)))
    assert main(["dataset", path, "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert any("“cf”" in one["message"] for one in report["findings"])
    assert {one["role"] for one in report["profiles"][0]["columns"]} >= {"text", "label"}


def test_an_honest_shard_gives_no_finding(tmp_path, capsys):
    path = shard(tmp_path / "train.tar", labelled(reviews(800)))
    main(["dataset", path, "--format", "json"])
    assert not [one for one in json.loads(capsys.readouterr().out)["findings"] if one["rule"].startswith("DST")]


@given(some.binary(max_size=3000), some.integers(0, 4000))
def test_damage_never_ends_in_anything_but_a_named_error(tmp_path_factory, noise, at):
    path = tmp_path_factory.mktemp("fuzz") / "a.tar"
    shard(path, [("1.txt", b"one"), ("1.json", b'{"a": [1, 2]}'), ("2.cls", b"3")])
    data = bytearray(path.read_bytes())
    data[at : at + len(noise)] = noise
    path.write_bytes(data)
    is_webdataset(str(path))
    try:
        found = list(WebRows(str(path)).batches())
    except WeighbridgeError:
        return
    assert all(len(cells) == len(batch.lines) for batch in found for cells in batch.columns.values())
