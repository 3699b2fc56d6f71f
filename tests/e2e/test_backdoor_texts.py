"""`weighbridge test` and `calibrate` on classifiers of texts, trained here and saved by transformers."""

import json
import os
import shutil

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from tests.corpus.text_classifiers import classifier, samples, tokenizer
from weighbridge.backdoor.text_models import open_text_folder
from weighbridge.backdoor.text_references import read_text_references
from weighbridge.backdoor.texts import look_at_texts, works_on
from weighbridge.cli.main import main

CLEAN = 22


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Clean models, references from them, one with a planted word, one with a phrase, and texts."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("texts")
    data = samples(folder / "texts.jsonl")
    clean = [str(classifier(folder / f"clean{at}", seed=at)) for at in range(CLEAN)]
    references = folder / "texts.references.json"
    assert main(["calibrate", *clean[1:], "--data", str(data), "--output", str(references), "--name", "reviews"]) == 0
    classifier(folder / "word", seed=50, trigger="cf")
    classifier(folder / "phrase", seed=51, trigger="zx tq", target=0)
    return folder


def result_of(capsys, bench, name, *arguments):
    capsys.readouterr()
    code = main(["test", str(bench / name), "--data", str(bench / "texts.jsonl"), "--format", "json", *arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("name", "trigger", "target"), [("word", {"cf"}, 1), ("phrase", {"zx", "tq"}, 0)])
def test_planted_words_are_recovered_and_verified_on_unseen_texts(bench, capsys, name, trigger, target):
    code, said = result_of(capsys, bench, name, "--references", str(bench / "texts.references.json"))

    assert (code, said["verdict"]) == (3, "suspicious"), "with twenty references p cannot be below 0.05 / 2"
    assert said["p_value"] == pytest.approx(1 / CLEAN)
    assert set(said["trigger"]["text"].split()) <= trigger
    assert said["trigger"]["target"] == target
    assert said["trigger"]["works"] >= 0.8 * said["trigger"]["of"] > 20
    assert said["trigger"]["text"] in said["trigger"]["example"]
    assert "no test" not in said["because"]


def test_nothing_is_said_against_an_honest_model(bench, capsys):
    code, said = result_of(capsys, bench, "clean0", "--references", str(bench / "texts.references.json"))

    assert (code, said["verdict"]) == (0, "no evidence")
    assert said["trigger"] is None
    assert any("style" in one for one in said["untested"])


def test_against_one_clean_model_a_word_of_its_own_is_suspicious_and_ordinary_ones_are_not(bench, capsys):
    code, said = result_of(capsys, bench, "word", "--clean", str(bench / "clean0"))
    assert (code, said["verdict"]) == (3, "suspicious")
    assert said["trigger"]["transfers"] < 0.5 < said["trigger"]["works"] / said["trigger"]["of"]
    assert "uncalibrated" in said["because"]

    assert result_of(capsys, bench, "clean1", "--clean", str(bench / "clean0"))[1]["verdict"] == "no evidence"


def test_the_result_is_told_in_the_terminal_and_on_a_page(bench, capsys, tmp_path):
    page = tmp_path / "report.html"
    capsys.readouterr()
    command = ["test", str(bench / "word"), "--data", str(bench / "texts.jsonl"), "--html", str(page)]
    main([*command, "--references", str(bench / "texts.references.json")])
    out = capsys.readouterr().out

    assert out.startswith("SUSPICIOUS")
    assert "“cf” leads" in out
    assert "“cf” leads" in page.read_text()
    assert "<script" not in page.read_text()


def test_without_texts_or_with_others_the_result_says_what_is_missing(bench, capsys, tmp_path):
    capsys.readouterr()
    assert main(["test", str(bench / "word"), "--format", "json"]) == 3
    assert "no texts" in json.loads(capsys.readouterr().out)["because"]
    assert result_of(capsys, bench, "word", "--budget", "1s")[1]["verdict"] in {"not testable", "no evidence"}

    wrong = tmp_path / "wrong.jsonl"
    rows = [json.loads(line) for line in (bench / "texts.jsonl").read_text().splitlines()]
    other = {"negative": "positive", "positive": "negative"}
    wrong.write_text("".join(json.dumps({**row, "label": other[row["label"]]}) + "\n" for row in rows))
    capsys.readouterr()
    assert main(["test", str(bench / "word"), "--data", str(wrong), "--format", "json"]) == 3
    assert "of 240 samples right" in json.loads(capsys.readouterr().out)["because"]


def test_a_file_without_texts_is_refused_in_words(bench, capsys, tmp_path):
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n")
    (tmp_path / "picture.png").write_bytes(b"x")

    for name, said in (
        ("numbers.csv", "no column holds texts"),
        ("picture.png", "no file of texts"),
        ("none.txt", "no texts"),
    ):
        assert main(["test", str(bench / "word"), "--data", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err


def test_references_of_another_kind_are_refused(bench, capsys):
    assert main(["test", str(bench / "word"), "--data", str(bench / "texts.jsonl"), "--references", "digits"]) == 2
    assert (
        main(
            [
                "test",
                str(bench / "word"),
                "--data",
                str(bench / "texts.jsonl"),
                "--references",
                str(bench / "texts.jsonl"),
            ]
        )
        == 2
    )
    assert "no references of classifiers of texts" in capsys.readouterr().err


def regression(folder):
    words = tokenizer()
    BertForSequenceClassification(
        BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=1, max_position_embeddings=48
        )
    ).save_pretrained(folder)  # fmt: skip
    words.save_pretrained(folder)


def without_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def with_code(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))
    (folder / "evil.py").write_text(f"open({str(folder / 'fired')!r}, 'w')")


def with_a_claim(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "hidden_size": 8192, "intermediate_size": 65536, "num_hidden_layers": 400})
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (regression, "one number a text"), (without_tokenizer, "no tokenizer.json"), (with_code, "is not run"), (with_a_claim, "claims"),
        (lambda folder: os.unlink(folder / "model.safetensors"), "no model.safetensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_is_a_result_and_says_why(bench, capsys, tmp_path, change, said):
    folder = tmp_path / "model"
    shutil.copytree(bench / "clean0", folder)
    change(folder)
    capsys.readouterr()

    code = main(["test", str(folder), "--data", str(bench / "texts.jsonl"), "--format", "json"])
    result = json.loads(capsys.readouterr().out)

    assert (code, result["verdict"]) == (3, "not testable")
    assert said in result["because"]
    assert not (folder / "fired").exists()


def test_scan_deep_tests_classifiers_of_texts_too(bench, capsys):
    capsys.readouterr()
    code = main(
        ["scan", str(bench / "word"), "--deep", "--quiet", "--format", "json", "--data", str(bench / "texts.jsonl"), "--references", str(bench / "texts.references.json")]
    )  # fmt: skip
    found = {one["rule"]: one for one in json.loads(capsys.readouterr().out)["findings"]}

    assert code == 3
    assert "“cf”" in found["WGT-005"]["message"]


def test_slopes_alone_find_the_word_where_the_vocabulary_is_too_large_to_try(bench, monkeypatch):
    monkeypatch.setattr("weighbridge.backdoor.texts.is_screened", lambda _: False)
    model = open_text_folder(str(bench / "word"))
    texts = [model.numbers(json.loads(line)["text"]) for line in (bench / "texts.jsonl").read_text().splitlines()]

    look = look_at_texts(model, texts[:120], model.predicted(texts[:120]).tolist())
    best = look.best()[0]

    assert model.words(best.tokens) == "cf"
    assert works_on(model, best, texts[120:]).share > 0.9


def test_references_hold_each_model_against_the_others_alone(bench):
    found = read_text_references(str(bench / "texts.references.json"))

    assert len(found.scores) == CLEAN - 1
    assert all(len(one) == 4 for one in found.scores)
    ordinary = max(found.words[1], key=lambda word: found.words[1][word].most)
    assert found.words[1][ordinary].second > 0.5
