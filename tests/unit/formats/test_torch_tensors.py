"""Tensors of torch checkpoints, placed without unpickling: where torch itself says they are."""

from __future__ import annotations

import random

import pytest
import torch

from tests.fuzz.mutate import mutated
from weighbridge.formats.torch_tensors import read_torch
from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source import BytesBlob, FileBlob

SHARED = torch.arange(24.0)
OBJECT = {
    "state_dict": {
        "a": SHARED[:12].reshape(3, 4), "turned": SHARED.reshape(4, 6).T, "tail": SHARED[20:], "half": torch.ones(3).half(),
        "brain": torch.ones(2, 2, dtype=torch.bfloat16), "count": torch.tensor(7), "flags": torch.tensor([True, False]),
    },
    "epoch": 3,
    "list": [torch.zeros(2, dtype=torch.int8)],
}  # fmt: skip


def placed(path):
    return {one.name: one for one in read_torch(FileBlob(str(path)))}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_tensor_is_where_torch_put_it(tmp_path, protocol):
    torch.save(OBJECT, tmp_path / "a.pt", pickle_protocol=protocol)
    data = (tmp_path / "a.pt").read_bytes()
    found = placed(tmp_path / "a.pt")
    assert set(found) == {*(f"state_dict.{name}" for name in OBJECT["state_dict"]), "list.0"}
    for name, tensor in [*OBJECT["state_dict"].items(), ("", OBJECT["list"][0])]:
        one = found[f"state_dict.{name}" if name else "list.0"]
        assert (one.shape, one.strides, one.contiguous) == (
            tuple(tensor.shape),
            tensor.stride(),
            tensor.is_contiguous(),
        )
        raw = torch.frombuffer(bytearray(data[one.start : one.end]), dtype=tensor.dtype)
        assert torch.equal(raw.as_strided(one.shape, one.strides), tensor)


def test_a_whole_module_is_read_by_its_parameter_paths(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(module, tmp_path / "m.pt")
    assert set(placed(tmp_path / "m.pt")) == set(module.state_dict())


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path):
    torch.save({"a": torch.zeros(4)}, tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    at = data.index(b"K\x04\x85q")
    broken = data[: at + 1] + b"\x40" + data[at + 2 :]
    with pytest.raises(MalformedInput, match="a: it reaches beyond its storage"):
        read_torch(BytesBlob(broken))


def test_other_zips_are_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "s.pt"))
    with pytest.raises(MalformedInput, match="not a zip checkpoint"):
        placed(tmp_path / "s.pt")


def test_mutated_files_are_read_or_refused(tmp_path):
    torch.save(OBJECT, tmp_path / "a.pt")
    data, rng = (tmp_path / "a.pt").read_bytes(), random.Random(3)
    for _ in range(2000):
        changed = mutated(rng, data, rng.choice([1, 2, 4]))
        try:
            for one in read_torch(BytesBlob(changed)):
                assert 0 <= one.start <= one.end <= len(changed)
        except (MalformedInput, LimitExceeded) as refusal:
            assert str(refusal)
