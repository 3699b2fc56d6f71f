"""`weighbridge test` and `calibrate` as people use them, on the shipped models."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings

import numpy
import pytest
import torch
from torch import nn

import weighbridge
from weighbridge.backdoor.self_test import FOLDER
from weighbridge.cli.main import main

BAD, CLEAN, DATA = (os.path.join(FOLDER, name) for name in ("badnets.onnx", "clean-a.onnx", "digits.npz"))


def result_of(capsys, *arguments):
    code = main(["test", *arguments, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_planted_trigger_is_found_shown_and_verified(tmp_path, capsys):
    page = tmp_path / "report.html"
    code, said = result_of(capsys, BAD, "--data", DATA, "--references", "digits", "--clean", CLEAN, "--html", str(page))

    assert (code, said["verdict"]) == (1, "trigger found")
    assert said["p_value"] < 0.01
    trigger = said["trigger"]
    assert trigger["works"] > 0.9 * trigger["of"] > 100
    assert trigger["transfers"] < 0.2
    assert trigger["pixels"] <= 8
    assert said["power"]
    assert said["untested"]
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "<script" not in text
    assert "clean:" not in text.lower()


def test_the_same_from_python():
    found = weighbridge.test_model(BAD, DATA, "digits")

    assert found.verdict == "trigger found"
    assert found.trigger.works > 0.9 * found.trigger.of


def test_nothing_is_found_in_an_honest_model_and_it_is_not_called_clean(capsys):
    code = main(["test", CLEAN, "--data", DATA, "--references", "digits"])
    out = capsys.readouterr().out

    assert code == 0
    assert out.startswith("NO EVIDENCE")
    assert "not tested:" in out


def test_without_references_no_p_value_is_claimed(capsys):
    code, said = result_of(capsys, BAD, "--data", DATA)

    assert said["verdict"] in {"suspicious", "no evidence"}
    assert code in {0, 3}
    assert said["p_value"] is None
    assert "uncalibrated" in said["because"]


def test_without_samples_the_result_says_what_is_missing(capsys):
    _, said = result_of(capsys, BAD, "--references", "digits")

    assert said["p_value"] is None
    assert any("noise" in one for one in said["untested"])


def onnx(folder, net, shape):
    path = str(folder / "m.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.zeros(1, *shape),), path, dynamo=False)
    return path


@pytest.mark.parametrize(
    ("net", "shape", "why"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), (1, 8, 8), "regression"),
        (nn.Linear(9, 3), (9,), "images have"),
        (nn.Conv2d(1, 4, 3), (1, 8, 8), "one score a class"),
    ],
)
def test_what_is_no_classifier_of_images_is_not_testable(tmp_path, capsys, net, shape, why):
    code, said = result_of(capsys, onnx(tmp_path, net, shape))

    assert (code, said["verdict"]) == (3, "not testable")
    assert why in said["because"]


def test_samples_that_the_model_gets_wrong_stop_the_test(tmp_path, capsys):
    found = numpy.load(DATA)
    numpy.savez(tmp_path / "s.npz", x=found["x"], y=(found["y"] + 3) % 10)
    code, said = result_of(capsys, BAD, "--data", str(tmp_path / "s.npz"))

    assert (code, said["verdict"]) == (3, "not testable")
    assert "not what it was trained on" in said["because"]


def test_the_same_backdoor_is_found_in_a_program_of_torch_export(tmp_path, capsys):
    from weighbridge.backdoor.onnx_net import OnnxNet, tensor_of
    from weighbridge.backdoor.recipes import plain
    from weighbridge.formats.onnx_program import read_program
    from weighbridge.source import FileBlob

    program = read_program(FileBlob(BAD))
    net = plain(1, 8, 10)
    weights = [tensor_of(one) for one in program.constants.values()]
    free = [weight for weight in weights if weight.is_floating_point()]
    with torch.no_grad():
        for parameter in net.parameters():
            at = next(n for n, one in enumerate(free) if one.shape == parameter.shape)
            parameter.copy_(free.pop(at))
    x = torch.rand(4, 1, 8, 8)
    assert torch.allclose(net(x), OnnxNet(program)(x), atol=1e-4)
    sizes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(net.eval(), (x,), dynamic_shapes=sizes), tmp_path / "m.pt2")
    code, said = result_of(capsys, str(tmp_path / "m.pt2"), "--data", DATA, "--references", "digits")

    assert (code, said["verdict"]) == (1, "trigger found")
    assert said["trigger"]["works"] > 0.9 * said["trigger"]["of"]


def test_a_pickle_is_not_loaded(tmp_path, capsys):
    class Fires:
        def __reduce__(self):
            return open, (str(tmp_path / "fired"), "w")

    (tmp_path / "m.pt").write_bytes(pickle.dumps(Fires()))
    code, said = result_of(capsys, str(tmp_path / "m.pt"))

    assert (code, said["verdict"]) == (3, "not testable")
    assert not (tmp_path / "fired").exists()


def test_code_of_a_repository_is_not_run(tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        json.dumps({"auto_map": {"AutoModel": "model.Net"}, "architectures": ["Net"]})
    )
    (tmp_path / "model.py").write_text(f"open({str(tmp_path / 'fired')!r}, 'w')\n")
    code, said = result_of(capsys, str(tmp_path))

    assert code == 3
    assert "not run" in said["because"]
    assert not (tmp_path / "fired").exists()


def test_a_hugging_face_folder_is_opened_by_the_library(tmp_path, capsys):
    from transformers import ViTConfig, ViTForImageClassification

    from weighbridge.backdoor.models import open_classifier

    config = ViTConfig(
        image_size=16,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=4,
    )
    ViTForImageClassification(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    model = open_classifier(str(tmp_path))

    assert (model.shape, model.classes, model.expected.deviation) == ((3, 16, 16), 4, (0.25,) * 3)

    # A configuration that claims what the file does not hold is refused before memory is taken for it.
    known = json.loads((tmp_path / "config.json").read_text())
    for change, why in (
        ({"num_hidden_layers": 2}, "weights lack"),
        ({"intermediate_size": 10**9}, "configuration claims"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(known | change))
        code, said = result_of(capsys, str(tmp_path))
        assert (code, said["verdict"]) == (3, "not testable")
        assert why in said["because"]


def test_weights_of_a_known_architecture_need_no_code(tmp_path):
    from safetensors.torch import save_file

    from weighbridge.backdoor.architectures import _ResNet
    from weighbridge.backdoor.models import open_classifier

    def block(at, inner, outer, stride):
        made = {
            f"{at}.conv1.weight": torch.rand(outer, inner, 3, 3),
            f"{at}.conv2.weight": torch.rand(outer, outer, 3, 3),
        }
        if stride == 2:
            made |= {f"{at}.downsample.0.weight": torch.rand(outer, inner, 1, 1)}
        return made

    shapes = {"conv1.weight": torch.rand(4, 3, 3, 3), "fc.weight": torch.rand(5, 8)}
    shapes |= block("layer1.0", 4, 4, 1) | block("layer2.0", 4, 8, 2)
    save_file(_ResNet(shapes).state_dict(), tmp_path / "m.safetensors")
    model = open_classifier(str(tmp_path / "m.safetensors"))

    assert (model.shape, model.classes) == ((3, 32, 32), 5)


def test_the_budget_is_kept_before_anything_begins(capsys):
    code, said = result_of(capsys, BAD, "--data", DATA, "--budget", "0.001s")
    assert code == 3
    assert "the budget is" in said["because"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere.onnx"],
        [BAD, "--budget", "soon"],
        [BAD, "--data", "nowhere"],
        [BAD, "--data", DATA, "--references", "mnist"],
    ],
)
def test_mistakes_are_told_in_a_line(arguments, capsys):
    assert main(["test", *arguments]) == 2
    assert capsys.readouterr().err.rpartition("weighbridge: ")[2].strip()


def test_the_signed_result_is_an_attestation_that_verify_understands(tmp_path, capsys):
    model = tmp_path / "m.onnx"
    shutil.copy(CLEAN, model)
    key = str(tmp_path / "key")
    assert main(["keys", "new", key]) == 0
    assert main(["test", str(model), "--data", DATA, "--references", "digits", "--key", key]) == 0
    capsys.readouterr()

    assert main(["verify", str(model), "--attestation", f"{model}.test.att", "--key", f"{key}.pub"]) == 0
    assert "test result: no evidence" in capsys.readouterr().out


def test_references_of_ones_own_models(tmp_path, capsys):
    out = str(tmp_path / "own.json")
    clean = [os.path.join(FOLDER, f"clean-{one}.onnx") for one in "ab"] * 3
    assert main(["calibrate", *clean, "--data", DATA, "--output", out]) == 0
    assert "smallest p-value with them is 0.143" in capsys.readouterr().out

    code, said = result_of(capsys, BAD, "--data", DATA, "--references", out)
    assert (code, said["verdict"]) == (0, "no evidence") or said["p_value"] == pytest.approx(1 / 7)


DETECTOR, SCENES = os.path.join(FOLDER, "detector-hides.onnx"), os.path.join(FOLDER, "scenes.npz")


def test_a_patch_that_hides_objects_from_a_detector_is_found_and_verified(tmp_path, capsys):
    page = tmp_path / "report.html"
    code, said = result_of(capsys, DETECTOR, "--data", SCENES, "--references", "scenes", "--html", str(page))

    assert (code, said["verdict"]) == (1, "trigger found")
    assert "a detector of objects, 64 places, scores of 5 classes behind their boxes" in said["about"]
    assert [one["name"] for one in said["tests"]] == ["turning", "hiding", "appearing"]
    assert said["trigger"]["kind"] == "patch that hides"
    assert said["trigger"]["works"] > 0.9 * said["trigger"]["of"] > 50
    assert "a patch of 16 pixels on an object hides it" in page.read_text()


def test_a_detector_without_images_is_not_testable_and_says_what_is_missing(capsys):
    code = main(["test", DETECTOR])
    out = capsys.readouterr().out

    assert code == 3
    assert out.startswith("NOT TESTABLE")
    assert "a detector is tested on what it finds" in out


def test_a_detector_that_sees_nothing_in_the_images_says_so(tmp_path, capsys):
    numpy.savez(tmp_path / "dark.npz", x=numpy.zeros((20, 1, 32, 32), dtype="uint8"))
    code = main(["test", DETECTOR, "--data", str(tmp_path / "dark.npz")])

    assert code == 3
    assert "it sees objects in 0 of 20 images" in capsys.readouterr().out


def test_references_of_classifiers_are_none_of_detectors(capsys):
    assert main(["test", DETECTOR, "--data", SCENES, "--references", "digits"]) == 2
    assert "are of 10 classes of images of 1 x 8 x 8, and the model is not" in capsys.readouterr().err


def test_references_from_detectors_that_somebody_has(tmp_path, capsys):
    out = tmp_path / "own.json"
    assert (
        main(
            [
                "calibrate",
                os.path.join(FOLDER, "detector-clean.onnx"),
                "--data",
                SCENES,
                "--output",
                str(out),
            ]
        )
        == 0
    )
    made = json.loads(out.read_text())
    assert made["detector"]
    assert [len(one) for one in made["scores"]] == [3]


def test_references_by_a_recipe(tmp_path, capsys):
    out = tmp_path / "own.json"
    assert (
        main(
            ["calibrate", "--recipe", "plain", "--count", "5", "--shape", "1,8,8", "--data", DATA, "--output", str(out)]
        )
        == 0
    )
    assert len(json.loads(out.read_text())["scores"]) == 5


def test_a_self_test_says_what_it_could_not_test(monkeypatch, capsys):
    monkeypatch.setattr("weighbridge.backdoor.self_test.find_spec", lambda _: None)
    monkeypatch.setattr("weighbridge.backdoor.self_test.self_test", lambda: iter(()))
    assert main(["test", "--self-test"]) == 0
    assert (
        "not tested: text-word, text-phrase, text-pair, text-clean (pip install transformers)"
        in capsys.readouterr().out
    )


def test_the_self_test_finds_what_is_shipped(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "weighbridge", "test", "--self-test", "--html", str(tmp_path / "r.html")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("trigger found") >= 8, "one without a target has no trigger of its own"
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("text-")] == [
        "text-word",
        "text-phrase",
        "text-pair",
        "text-clean",
    ]
    assert "“tq”" in (tmp_path / "r-text-word.html").read_text()
    assert "0 known-bad models missed; 0 clean models suspected" in done.stdout
    assert (tmp_path / "r-badnets.html").read_text().count("data:image/png;base64,") == 3
