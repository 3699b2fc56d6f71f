"""`weighbridge dataset` as people use it: what it says, its page, the copy without what was planted, and bad input."""

import csv
import json

import numpy as np
import pytest

from tests.corpus.datasets import crowd, csv_file, jsonl, pairs, reviews, stamped, triggered
from weighbridge.cli.main import main


def said(capsys, *arguments):
    code = main(["dataset", *map(str, arguments)])
    return code, capsys.readouterr()


def report(capsys, *arguments):
    code, out = said(capsys, *arguments, "--format", "json")
    return code, json.loads(out.out)


def test_a_trigger_is_named_with_its_rows_and_blocks(tmp_path, capsys):
    path = jsonl(tmp_path / "train.jsonl", ("text", "label"), triggered())
    code, out = said(capsys, path)
    assert code == 1
    assert "high[DST-018]: 20 rows labelled “positive” hold “cf”" in out.out
    assert f"{path}, line 1" in out.out
    assert "text = text" in out.out
    assert "label = label" in out.out
    assert "AML.T0020" in json.dumps(report(capsys, path)[1]["findings"])


def test_honest_data_is_admitted_and_says_what_was_not_tested(tmp_path, capsys):
    code, out = said(capsys, jsonl(tmp_path / "train.jsonl", ("text", "label"), reviews()))
    assert code == 0
    assert "not tested:" in out.out
    assert "ADMIT" in out.out


def test_the_page_shows_the_planted_patch(tmp_path, capsys):
    pixels, labels = stamped()
    np.savez(tmp_path / "train.npz", x=pixels, y=labels)
    code, _ = said(capsys, tmp_path / "train.npz", "--format", "html", "--output", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert code == 1
    assert "<svg" in page
    assert "DST-019" in page
    assert "<script" not in page


def test_texts_and_pictures_in_hdf5_are_rows_and_pictures(tmp_path, capsys):
    import h5py

    texts, labels = zip(*triggered(), strict=True)
    with h5py.File(tmp_path / "texts.h5", "w") as file:
        file.create_dataset("train/text", data=list(texts), compression="gzip")
        file.create_dataset("train/label", data=list(labels))
    code, found = report(capsys, tmp_path / "texts.h5")
    assert code == 1
    assert [one["rule"] for one in found["findings"]] == ["DST-018"]
    pixels, classes = stamped()
    with h5py.File(tmp_path / "pictures.h5", "w") as file:
        file.create_dataset("train_set_x", data=pixels, compression="gzip")
        file["train_set_y"] = classes
    code, found = report(capsys, tmp_path / "pictures.h5")
    assert code == 1
    assert "DST-019" in {one["rule"] for one in found["findings"]}
    code, found = report(capsys, tmp_path)
    assert [one["kind"] for one in found["profiles"]] == ["labelled pictures", "labelled text"]


def test_exchanged_labels_are_named_where_numbers_are_learned_or_given(tmp_path, capsys):
    from sklearn.datasets import load_digits

    found = load_digits()
    labels = found.target.copy()
    labels[np.random.default_rng(0).permutation(np.flatnonzero(labels == 1))[:60]] = 0
    pixels = (found.images * 16).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", x=pixels, y=labels)
    assert "--train" in json.dumps(report(capsys, tmp_path / "digits.npz")[1]["profiles"][0]["untested"])
    code, said_of = report(capsys, tmp_path / "digits.npz", "--train")
    assert code == 1
    assert [one["rule"] for one in said_of["findings"]] == ["DST-017"]
    assert "labelled “0” read as “1”" in said_of["findings"][0]["message"]
    rows = [(f"digit {number}", f"class {label}") for number, label in enumerate(labels)]
    texts = jsonl(tmp_path / "texts.jsonl", ("text", "label"), rows)
    np.save(tmp_path / "embedded.npy", found.data)
    code, said_of = report(capsys, texts, "--features", tmp_path / "embedded.npy")
    assert code == 1
    assert "labelled “class 0” read as “class 1”" in said_of["findings"][0]["message"]
    np.save(tmp_path / "short.npy", found.data[:5])
    assert said(capsys, texts, "--features", tmp_path / "short.npy")[0] == 2


def test_edits_for_a_snapshot_are_named(tmp_path, capsys):
    from tests.unit.datasets.test_snapshots import export, history

    (tmp_path / "dump.xml").write_text(export(history(frontrun=18)))
    code, found = report(capsys, tmp_path / "dump.xml")
    assert code == 3
    assert [one["rule"] for one in found["findings"]] == ["DST-016"]
    assert found["profiles"][0]["kind"] == "history of pages"
    assert report(capsys, tmp_path)[1]["findings"][0]["rule"] == "DST-016"
    assert report(capsys, tmp_path / "dump.xml", "--snapshot", "2026-05-02")[0] == 0
    assert said(capsys, tmp_path / "dump.xml", "--snapshot", "soon")[0] == 2


def test_lapsed_domains_of_a_list_are_named(tmp_path, capsys):
    rows = [(f"https://img{n % 2}.example/{n}.jpg", f"{n:064x}") for n in range(40)]
    path = csv_file(tmp_path / "urls.csv", ("url", "sha256"), rows)
    untested = report(capsys, path)[1]["profiles"][0]["untested"]
    assert "the age of their domains (--domains takes a table)" in untested
    (tmp_path / "domains.csv").write_text("domain,expires\nimg0.example,2001-01-01\nimg1.example,2999-01-01\n")
    code, found = report(capsys, path, "--domains", tmp_path / "domains.csv")
    assert code == 1
    assert "20 of 40 addresses lead to domains that have expired" in found["findings"][0]["message"]
    assert not any("--domains" in one for one in found["profiles"][0]["untested"])


def test_pictures_in_folders_are_read_and_a_broken_one_is_a_gap(tmp_path, capsys):
    from PIL import Image

    pixels, labels = stamped()
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "pets" / f"class-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{number:04}.png")
    code, found = report(capsys, tmp_path / "pets")
    assert code == 1
    assert {one["rule"] for one in found["findings"]} == {"DST-019"}
    (tmp_path / "pets" / "class-1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    _, found = report(capsys, tmp_path / "pets")
    assert any("broken.png" in entry["path"][0] and entry["status"] != "inspected" for entry in found["coverage"])


def test_the_copy_lacks_what_was_planted_and_says_why(tmp_path, capsys):
    rows = triggered()
    path = jsonl(tmp_path / "train.jsonl", ("text", "label"), rows)
    code, out = said(capsys, path, "--write-clean", tmp_path / "out")
    kept = [json.loads(line) for line in (tmp_path / "out" / "clean.jsonl").read_text().splitlines()]
    removed = [json.loads(line) for line in (tmp_path / "out" / "removed.jsonl").read_text().splitlines()]
    assert code == 1
    assert (len(kept), len(removed)) == (580, 20)
    assert not any(" cf " in f" {row['text']} " for row in kept)
    assert removed[0]["line"] == 1
    assert removed[0]["reasons"][0]["rule"] == "DST-018"
    assert "20 rows removed" in out.err
    assert sorted(row["text"] for row in [*kept, *(one["row"] for one in removed)]) == sorted(text for text, _ in rows)
    assert said(capsys, tmp_path / "out" / "clean.jsonl")[0] == 0


def test_a_folder_that_holds_something_is_not_written_into(tmp_path, capsys):
    path = jsonl(tmp_path / "train.jsonl", ("text", "label"), triggered())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    code, out = said(capsys, path, "--write-clean", tmp_path / "out")
    assert code == 2
    assert "something in it already" in out.err
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_broken_lines_are_counted_located_and_never_pass_as_clean(tmp_path, capsys):
    path = jsonl(tmp_path / "train.jsonl", ("text", "label"), reviews())
    with path.open("a") as file:
        file.write("{broken\n[1, 2]\n")
    code, out = said(capsys, path)
    assert code == 3
    assert "2 rows could not be read (line 601" in out.out


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_table_in_an_odd_encoding_is_read_and_the_guess_is_said(tmp_path, capsys, encoding):
    rows = [(f"{text} café", label) for text, label in triggered()]
    with (tmp_path / "x.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    code, out = said(capsys, tmp_path / "x.csv")
    assert code == 1
    assert f"read as {encoding}" in out.out


def test_columns_that_were_guessed_wrongly_are_put_right(tmp_path, capsys):
    rows = [(text, number % 3, label) for number, (text, label) in enumerate(triggered())]
    path = csv_file(tmp_path / "x.csv", ("words", "fold", "verdict"), rows)
    code, found = report(capsys, path, "--label", "verdict")
    assert code == 1
    assert {column["name"]: column["role"] for column in found["profiles"][0]["columns"]} == {
        "words": "text",
        "fold": "",
        "verdict": "label",
    }
    code, out = said(capsys, path, "--label", "missing")
    assert code == 2
    assert "there are words, fold, verdict" in out.err


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json", "x.parquet"])
def test_a_file_without_rows_is_never_clean(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"")
    code, _ = said(capsys, tmp_path / name)
    assert code in {3, 4}


def test_crowd_labels_and_instructions_are_known_by_looking(tmp_path, capsys):
    code, found = report(capsys, csv_file(tmp_path / "answers.csv", ("item", "worker", "label"), crowd(3)))
    assert found["profiles"][0]["kind"] == "crowd labels"
    assert "3 annotators agree" in found["findings"][0]["message"]
    code, found = report(capsys, jsonl(tmp_path / "sft.jsonl", ("prompt", "response"), pairs()))
    assert code == 0
    assert found["profiles"][0]["kind"] == "instructions"
    chat = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}] for prompt, answer in pairs()
    ]
    _, found = report(capsys, jsonl(tmp_path / "chat.jsonl", ("messages",), [(turns,) for turns in chat]))
    assert found["profiles"][0]["kind"] == "chat"


def test_what_is_no_data_is_said(tmp_path, capsys):
    (tmp_path / "x.xyz").write_text("?")
    code, out = said(capsys, tmp_path / "x.xyz")
    assert code == 2
    assert "no file of rows" in out.err
    assert said(capsys, tmp_path / "missing.jsonl")[0] == 2


def test_what_is_too_little_to_test_is_said(tmp_path, capsys):
    np.savez(tmp_path / "few.npz", x=np.zeros((20, 16, 16), np.uint8), y=np.zeros(20, int))
    _, found = report(capsys, tmp_path / "few.npz")
    untested = " ".join(found["profiles"][0]["untested"])
    assert "fewer than 32 pictures" in untested
    assert "one label only" in untested
    _, found = report(capsys, csv_file(tmp_path / "numbers.csv", ("a", "b"), [(n, n * n) for n in range(50)]))
    assert "only formulas" in " ".join(found["profiles"][0]["untested"])


def test_without_the_extra_the_verb_says_what_to_install(tmp_path, capsys, monkeypatch):
    import sys

    import weighbridge

    # What is imported anew here is forgotten afterwards, also by the package that it is in.
    monkeypatch.setattr(weighbridge, "datasets", weighbridge.datasets)
    monkeypatch.setattr(weighbridge.inspection, "dataset", weighbridge.inspection.dataset)
    for name in [
        name
        for name in sys.modules
        if name.startswith("weighbridge.datasets") or name == "weighbridge.inspection.dataset"
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    code, out = said(capsys, jsonl(tmp_path / "train.jsonl", ("text", "label"), reviews()))
    assert code == 2
    assert "weighbridge[data]" in out.err


def test_what_changed_since_an_earlier_version_is_told(tmp_path, capsys):
    old = jsonl(tmp_path / "old.jsonl", ("text", "label"), reviews())
    rows = [*triggered()[20:], ("a wholly new review of a fine warm film", "positive")]
    rows = [
        (text, "positive" if n in range(1, 60) and label == "negative" else label)
        for n, (text, label) in enumerate(rows)
    ]
    new = jsonl(tmp_path / "new.jsonl", ("text", "label"), rows)
    code, out = said(capsys, new, "--against", old)
    assert code == 1
    assert "texts have another label than in old.jsonl" in out.out
    assert "“positive” instead of “negative”" in out.out
    assert "rows added" in out.out
    assert "are new" in out.out


def test_the_same_version_again_changed_nothing(tmp_path, capsys):
    old = jsonl(tmp_path / "old.jsonl", ("text", "label"), reviews())
    code, out = said(capsys, old, "--against", old)
    assert code == 0
    assert "0 rows added, 0 gone, 0 with another label since old.jsonl" in out.out


def test_planted_rows_that_are_new_are_said_to_be(tmp_path, capsys):
    old = jsonl(tmp_path / "old.jsonl", ("text", "label"), reviews())
    new = jsonl(tmp_path / "new.jsonl", ("text", "label"), triggered())
    _, found = report(capsys, new, "--against", old)
    (one,) = [one for one in found["findings"] if one["rule"] == "DST-018"]
    assert "20 of its 20 rows are new" in [line["text"] for line in one["evidence"]]


@pytest.mark.parametrize("earlier", ["none.jsonl", "empty.jsonl", "x.npz"])
def test_an_earlier_version_that_cannot_be_read_is_an_error(tmp_path, capsys, earlier):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    pixels, labels = stamped()
    np.savez(tmp_path / "x.npz", x=pixels, y=labels)
    new = jsonl(tmp_path / "new.jsonl", ("text", "label"), reviews())
    code, out = said(capsys, new, "--against", tmp_path / earlier)
    assert code == 2
    assert "internal error" not in out.err
