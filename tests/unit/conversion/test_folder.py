"""A folder of old checkpoints: shards, index, configuration, and what stays behind."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import BertConfig, BertModel

from weighbridge.conversion import convert_folder
from weighbridge.conversion.folder import renamed
from weighbridge.schema import MalformedInput, UsageError


def old_checkpoint(folder):
    """A model as transformers wrote it before safetensors: two shards and their index."""
    model = BertModel(
        BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20, vocab_size=50)
    )
    model.config.save_pretrained(folder)
    state = model.state_dict()
    half = len(state) // 2
    weights = {}
    for number, names in enumerate((list(state)[:half], list(state)[half:]), 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: state[name] for name in names}, folder / file)
        weights |= dict.fromkeys(names, file)
    (folder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": weights})
    )
    torch.save({"lr": 0.1}, folder / "training_args.bin")
    (folder / "modules.json").write_text(json.dumps({"weights": ["pytorch_model-00001-of-00002.bin"]}))
    (folder / "old.pkl").write_bytes(pickle.dumps({"lr": 0.1}, 0))
    (folder / "graph.bin").write_bytes(b"\x00\xff" * 99)
    (folder / "vocab.txt").write_text("a\n")
    return model


def test_the_library_loads_the_same_model_from_the_new_folder(tmp_path):
    (tmp_path / "old").mkdir()
    model = old_checkpoint(tmp_path / "old")
    made = convert_folder(str(tmp_path / "old"), str(tmp_path / "new"))
    again = BertModel.from_pretrained(tmp_path / "new")
    assert all(
        torch.equal(left, right)
        for left, right in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )
    index = json.loads((tmp_path / "new/model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in model.state_dict().values())
    assert json.loads((tmp_path / "new/modules.json").read_text()) == {"weights": ["model-00001-of-00002.safetensors"]}
    assert sorted(made.behind) == [
        ("old.pkl", "a pickle without tensors"),
        ("training_args.bin", "a pickle without tensors"),
    ]
    assert sorted(made.copied) == ["config.json", "graph.bin", "vocab.txt"]


def test_a_tensor_that_cannot_be_carried_over_leaves_no_folder(tmp_path):
    (tmp_path / "old").mkdir()
    old_checkpoint(tmp_path / "old")
    torch.save({"odd": torch.ones(2, dtype=torch.complex128)}, tmp_path / "old/extra.bin")
    with pytest.raises(MalformedInput, match="odd: its type"):
        convert_folder(str(tmp_path / "old"), str(tmp_path / "new"))
    assert os.listdir(tmp_path) == ["old"]


def test_weights_that_are_safetensors_already_are_kept_and_the_pickle_stays_behind(tmp_path):
    (tmp_path / "old").mkdir()
    torch.save({"a": torch.ones(2)}, tmp_path / "old/pytorch_model.bin")
    torch.save({"a": torch.ones(2)}, tmp_path / "old/adapter_model.bin")
    (tmp_path / "old/model.safetensors").write_bytes(b"theirs")
    made = convert_folder(str(tmp_path / "old"), str(tmp_path / "new"))
    assert made.behind == (("pytorch_model.bin", "model.safetensors is there already"),)
    assert (tmp_path / "new/model.safetensors").read_bytes() == b"theirs"
    assert sorted(os.listdir(tmp_path / "new")) == ["adapter_model.safetensors", "model.safetensors"]


def test_a_folder_that_is_there_is_kept(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        convert_folder(str(tmp_path), str(tmp_path / "new"))


def test_a_folder_without_weights_is_told(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.txt").write_text("x")
    with pytest.raises(MalformedInput, match="no weights to convert"):
        convert_folder(str(tmp_path / "old"), str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pytorch_model.bin", "model.safetensors"),
        ("a/pytorch_model-00001-of-00002.bin", "a/model-00001-of-00002.safetensors"),
        ("adapter_model.bin", "adapter_model.safetensors"),
        ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"),
        ("flax_model.msgpack", "model.safetensors"),
        ("weights.pt", "weights.safetensors"),
    ],
)
def test_names_are_those_that_libraries_look_for(old, new):
    assert renamed(old) == new


@pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")
def test_a_conversion_that_is_killed_leaves_nothing(tmp_path):
    torch.save({"a": torch.zeros(1 << 24)}, tmp_path / "a.pt")
    code = (
        "import time; from weighbridge.conversion import file\n"
        "write = file.write\n"
        "def slow(*given):\n    found = write(*given); print('written', flush=True); time.sleep(60); return found\n"
        "file.write = slow\n"
        "file.convert_file('a.pt', 'b.safetensors')"
    )
    running = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    assert running.stdout.readline() == b"written\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    time.sleep(0.1)
    assert os.listdir(tmp_path) == ["a.pt"]
