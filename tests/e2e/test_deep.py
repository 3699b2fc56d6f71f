"""`weighbridge scan --deep`: every stage that applies, in one report with one verdict."""

import json
import os
import pickle
import shutil

import pytest

from tests.corpus.payloads import Does
from tests.corpus.runs import ISOLATED
from weighbridge.backdoor.self_test import FOLDER
from weighbridge.cli.main import main
from weighbridge.inspection.tested import MOST, models_in

DATA = ("--data", os.path.join(FOLDER, "digits.npz"), "--references", "digits")


@pytest.fixture
def model(tmp_path):
    """A folder with an honest model in it."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(os.path.join(FOLDER, "clean-a.onnx"), folder / "net.onnx")
    return folder


def deep(capsys, path, *more):
    code = main(["scan", str(path), "--deep", "--format", "json", "--quiet", *more])
    report = json.loads(capsys.readouterr().out)
    return code, {one["rule"] for one in report["findings"]}, report


def missing(report):
    return {tuple(one["path"][1:]): one["detail"] for one in report["coverage"] if one["status"] != "inspected"}


def test_an_honest_model_passes_every_stage(model, capsys):
    code, found, report = deep(capsys, model, *DATA)

    assert (code, found) == (0, set())
    assert any(one["path"][-1] == "tested" for one in report["coverage"])
    assert any(one["name"] == "backdoor test" and "no evidence" in one["value"] for one in report["facts"])
    assert any(one["name"] == "backdoor test did not look for" for one in report["facts"])


@ISOLATED
def test_each_stage_adds_what_it_finds_to_one_report(model, capsys):
    shutil.copy(os.path.join(FOLDER, "badnets.onnx"), model / "net.onnx")
    (model / "extra.pkl").write_bytes(pickle.dumps(Does("import os; os.system('id')")))
    (model / "requirements.txt").write_text("reqeusts==2.31.0\n")

    code, found, report = deep(capsys, model, *DATA)

    assert code == 1
    assert {"WGT-005", "RUN-001"} <= found, "tests and sandbox"
    assert any(one.startswith("PKL-") for one in found), "bytes"
    assert any(one.startswith("PKG-") for one in found), "dependencies"
    assert len({(one["rule"], tuple(one["location"]["path"])) for one in report["findings"]}) == len(report["findings"])


def test_without_samples_the_models_count_as_not_inspected(model, capsys):
    code, found, report = deep(capsys, model)

    assert (code, found) == (3, set())
    assert "no samples" in missing(report)[("tested",)]


def test_a_plan_of_the_configuration_names_samples(model, tmp_path, capsys):
    plan = tmp_path / "weighbridge.toml"
    plan.write_text(f'[[test]]\nmatch = "*/model"\ndata = "{FOLDER}/digits.npz"\nreferences = "digits"\n')

    assert deep(capsys, model, "--policy", str(plan))[0] == 0


def test_what_does_not_fit_into_the_budget_is_said(model, capsys):
    code, _, report = deep(capsys, model, *DATA, "--budget", "1s")

    assert code == 3
    assert any("budget" in detail or "time" in detail for detail in missing(report).values())


def test_a_model_that_is_no_classifier_of_images_counts_as_not_inspected(tmp_path, capsys):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07no model")

    code, _, report = deep(capsys, tmp_path / "model.onnx", *DATA)

    assert code == 3
    assert "no ONNX model" in missing(report)[("tested",)]


def test_an_artifact_without_models_is_as_complete_as_its_files(tmp_path, capsys):
    (tmp_path / "words").mkdir()
    (tmp_path / "words/vocab.txt").write_text("a\nb\n")

    assert deep(capsys, tmp_path / "words")[0] == 0


@pytest.mark.parametrize(
    "wrong", [["a", "b"], ["https://example.com/model"], ["--budget", "soon", "."], ["--data", "nowhere", "model"]]
)
def test_what_is_asked_wrongly_is_refused_in_words(model, capsys, monkeypatch, wrong):
    monkeypatch.chdir(model.parent)
    for name in "ab":
        (model.parent / name).write_text("x")

    code = main(["scan", "--deep", "--quiet", "--offline", *wrong])

    assert code in {2, 3}
    assert "Traceback" not in "".join(capsys.readouterr())


def test_models_are_found_as_what_can_be_opened(tmp_path):
    for name in (
        "a/config.json",
        "a/model-1.safetensors",
        "a/model-2.safetensors",
        "b/alone.safetensors",
        "c/net.onnx",
        "c/x.bin",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    assert [os.path.relpath(one, tmp_path) for one in models_in(str(tmp_path))] == [
        "a",
        "b/alone.safetensors",
        "c/net.onnx",
    ]


def test_more_models_than_are_tested_are_not_passed_over(tmp_path):
    for at in range(MOST + 5):
        (tmp_path / f"{at}.onnx").write_bytes(b"x")

    assert len(models_in(str(tmp_path))) == MOST + 1
