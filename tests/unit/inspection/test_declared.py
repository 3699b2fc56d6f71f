"""What is declared of a data set and what is there: digests of Croissant, rows, columns and labels of cards."""

import hashlib
import json

import pytest

from tests.corpus.datasets import jsonl, reviews
from weighbridge.datasets.columns import Wish
from weighbridge.inspection.dataset import inspect_dataset

CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive
  splits:
  - name: train
    num_examples: 400
  - name: validation
    num_examples: 200
---
"""


def numbered(rows):
    return [(text, int(label == "positive")) for text, label in rows]


@pytest.fixture
def data(tmp_path):
    rows = numbered(reviews())
    jsonl(tmp_path / "train.jsonl", ("text", "label"), rows[:400])
    jsonl(tmp_path / "valid.jsonl", ("text", "label"), rows[400:])
    (tmp_path / "README.md").write_text(CARD)
    return tmp_path


def said(folder):
    report = inspect_dataset(str(folder), Wish()).report
    return [
        (one.severity.name, one.message, *(line.text for line in one.evidence))
        for one in report.findings
        if one.rule == "DST-032"
    ]


def test_what_is_as_declared_is_not_mentioned(data):
    assert said(data) == []


def test_rows_that_nobody_declared_are_told_and_missing_ones_are_low(data):
    lines = (data / "train.jsonl").read_text().splitlines()
    (data / "train.jsonl").write_text("\n".join([*lines, *(line.replace("the", "a") for line in lines[:25])]))
    (data / "valid.jsonl").write_text("\n".join((data / "valid.jsonl").read_text().splitlines()[:150]))
    assert said(data) == [
        ("MEDIUM", "the split train has 425 rows, and 400 are declared", "25 rows that nobody declared"),
        ("LOW", "the split validation has 150 of the 200 rows that are declared"),
    ]


def test_other_columns_and_labels_without_a_name_are_told(data):
    rows = [(text, 7 if at < 9 else label, "x") for at, (text, label) in enumerate(numbered(reviews(400)))]
    jsonl(data / "train.jsonl", ("text", "label", "source"), rows)
    (data / "valid.jsonl").unlink()
    assert said(data) == [
        ("MEDIUM", "label holds labels beyond the 2 that have a name", "such as 7"),
        ("MEDIUM", "the columns are not those that are declared", "not declared: source"),
    ]


def test_the_older_file_says_the_same(data):
    (data / "README.md").unlink()
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["negative", "positive"], "_type": "ClassLabel"},
    }
    splits = {
        "train": {"name": "train", "num_examples": 390},
        "validation": {"name": "validation", "num_examples": 200},
    }
    (data / "dataset_infos.json").write_text(json.dumps({"default": {"features": features, "splits": splits}}))
    assert [one[1] for one in said(data)] == ["the split train has 400 rows, and 390 are declared"]


def described(folder, **changed):
    digest = hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
    one = {"@type": "cr:FileObject", "@id": "train", "contentUrl": "train.jsonl", "sha256": digest, **changed}
    whole = {
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "distribution": [one, {"@type": "cr:FileSet", "includes": "*.jsonl"}],
    }
    (folder / "croissant.json").write_text(json.dumps(whole))


def test_a_file_with_another_digest_than_croissant_says_is_high_and_blocks(data):
    described(data)
    assert said(data) == []
    (data / "train.jsonl").write_text((data / "train.jsonl").read_text().replace("film", "movie", 1))
    ((severity, message, *lines),) = said(data)
    assert (severity, message) == ("HIGH", "train.jsonl is not what its description says")
    assert lines[0].startswith("declared: sha256 ")
    assert lines[1].startswith("here: sha256 ")
    described(data, sha256=None, md5="0" * 32)
    assert said(data)[0][1] == "train.jsonl is not what its description says"


def test_a_file_that_is_fetched_without_a_digest_is_low(data):
    described(data, sha256=None, contentUrl="https://data.example/train.jsonl")
    assert said(data) == [("LOW", "1 file of the description without a digest", "https://data.example/train.jsonl")]


@pytest.mark.parametrize("address", ["../outside.txt", "/etc/hostname", "link.txt", "\0", "a" * 5000])
def test_no_description_leads_out_of_the_folder(data, address):
    (data.parent / "outside.txt").write_text("secret")
    (data / "link.txt").symlink_to(data.parent / "outside.txt")
    described(data, contentUrl=address, sha256="0" * 64)
    assert said(data) == []


@pytest.mark.parametrize(
    "card",
    ["---\ndataset_info: 7\n---\n", "---\ndataset_info:\n- 1\n---\n", "---\ndataset_info:\n  features: 3\n  splits: {a: 1}\n---\n",
     "---\ndataset_info:\n  features:\n  - name: label\n    dtype: {class_label: {names: {x: 1}}}\n---\n"],
)  # fmt: skip
def test_broken_declarations_are_no_tracebacks(data, card):
    (data / "README.md").write_text(card)
    (data / "croissant.json").write_text('{"distribution": [3, {"sha256": 5}]}')
    assert "Traceback" not in str(said(data))
