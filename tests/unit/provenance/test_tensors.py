"""What was done to a model, told from its tensors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.corpus.derivatives import base, derived, pairs
from weighbridge.detect.derivation import kind_of
from weighbridge.provenance import adapter
from weighbridge.provenance import tensors as measured
from weighbridge.schema import SourceError


def compare(old, new):
    return kind_of(measured.compare(old, new))


def test_what_was_done_is_recognised(tmp_path):
    confusion = Counter((kind, compare(old, new).kind) for kind, old, new in pairs(tmp_path))
    assert sum(confusion.values()) >= 60
    wrong = {pair: count for pair, count in confusion.items() if pair[0] != pair[1]}
    assert sum(wrong.values()) <= 3, wrong


@pytest.fixture
def two(tmp_path):
    def write(old, new):
        save_file(old, tmp_path / "old.safetensors")
        save_file(new, tmp_path / "new.safetensors")
        return str(tmp_path / "old.safetensors"), str(tmp_path / "new.safetensors")

    return write


def test_the_same_is_nothing(two):
    tensors = base(np.random.default_rng(0))
    found = compare(*two(tensors, tensors))
    assert (found.kind, found.changed, len(found.same)) == ("nothing", (), len(tensors))


def test_rows_that_moved_are_counted(two):
    old = base(np.random.default_rng(0))
    new = {name: value.copy() for name, value in old.items()}
    new["model.embed_tokens.weight"][[3, 7]] += 1
    change = compare(*two(old, new)).changed[0]
    assert (change.name, change.rows) == ("model.embed_tokens.weight", 2)


@pytest.mark.parametrize("rank", [1, 3, 12])
def test_directions_are_counted(two, rank):
    rng = np.random.default_rng(1)
    old = {"a.weight": rng.normal(size=(64, 80)).astype("float32")}
    new = {
        "a.weight": old["a.weight"]
        + (rng.normal(size=(64, rank)) @ rng.normal(size=(rank, 80))).astype("float32") * 0.1
    }
    assert compare(*two(old, new)).changed[0].directions == rank


def test_added_removed_and_reshaped_are_named(two):
    old = {"a": np.ones(4, "float32"), "b": np.ones((2, 2), "float32"), "c": np.ones(3, "float32")}
    new = {"a": np.ones(4, "float32"), "b": np.ones((4, 1), "float32"), "d": np.ones(3, "float32")}
    found = compare(*two(old, new))
    assert (found.added, found.removed, found.reshaped, found.same) == (("d",), ("c",), ("b",), ("a",))


def test_another_dtype_of_the_same_numbers_is_no_change(two):
    old = {"a": np.arange(8, dtype="float32").reshape(2, 4)}
    assert compare(*two(old, {"a": old["a"].astype("float16")})).kind == "nothing"


def test_a_folder_of_shards_is_one_set(tmp_path):
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
    save_file({"a": np.ones(3, "float32"), "b": np.ones(3, "float32")}, tmp_path / "old/model.safetensors")
    save_file({"a": np.ones(3, "float32")}, tmp_path / "new/model-00001-of-00002.safetensors")
    save_file({"b": np.ones(3, "float32")}, tmp_path / "new/model-00002-of-00002.safetensors")
    assert compare(str(tmp_path / "old"), str(tmp_path / "new")).kind == "nothing"


def test_without_safetensors_it_says_what_next(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(SourceError) as refusal:
        compare(str(tmp_path / "a"), str(tmp_path / "a"))
    assert refusal.value.hint


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_was_done_is_recognised_in_short_types(tmp_path, dtype):
    confusion = Counter((kind, compare(old, new).kind) for kind, old, new in pairs(tmp_path, each=2, dtype=dtype))
    assert sum(count for pair, count in confusion.items() if pair[0] != pair[1]) <= 1, confusion


def test_the_tensors_that_do_not_fit_in_are_named(two):
    rng = np.random.default_rng(4)
    old = base(rng)
    new = derived("low-rank merge and more", old, rng)
    found = compare(*two(old, new))
    assert [name.rpartition("mlp")[2] for name in found.odd] == [".up_proj.weight"]


def test_values_that_are_no_numbers_any_more_are_counted(two):
    old = base(np.random.default_rng(0))
    new = {name: value.copy() for name, value in old.items()}
    new["lm_head.weight"][0, :3] = [np.nan, np.inf, -np.inf]
    assert [change.broken for change in compare(*two(old, new)).changed] == [3]


def test_a_checkpoint_and_its_conversion_are_the_same(tmp_path):
    import torch

    old = base(np.random.default_rng(0))
    new = dict(old) | {"turned": np.arange(12, dtype="float32").reshape(3, 4).T.copy()}
    stored = {name: torch.from_numpy(value) for name, value in old.items()} | {
        "turned": torch.arange(12.0).reshape(3, 4).T
    }
    torch.save({"state_dict": stored}, tmp_path / "old.pt")
    save_file(new, tmp_path / "new.safetensors")
    found = compare(str(tmp_path / "old.pt"), str(tmp_path / "new.safetensors"))
    assert (found.kind, len(found.same)) == ("nothing", len(new))
    new["turned"][1, 1] += 1
    save_file(new, tmp_path / "new.safetensors")
    assert [c.name for c in compare(str(tmp_path / "old.pt"), str(tmp_path / "new.safetensors")).changed] == ["turned"]


def test_real_fine_tuning_is_told_from_a_real_merge(tmp_path):
    """Trained and merged by the libraries themselves, not drawn at random."""
    import copy

    import peft
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_embd=48, n_head=4, vocab_size=200, n_positions=64)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "base")

    def train(one, steps=4):
        chosen = torch.optim.AdamW([p for p in one.parameters() if p.requires_grad], lr=1e-3)
        for _ in range(steps):
            ids = torch.randint(0, 200, (4, 16))
            one(input_ids=ids, labels=ids).loss.backward()
            chosen.step()
            chosen.zero_grad()
        return one

    train(copy.deepcopy(model)).save_pretrained(tmp_path / "tuned")
    lora = peft.get_peft_model(
        copy.deepcopy(model), peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    )
    train(lora)
    lora.save_pretrained(tmp_path / "adapter")
    lora.merge_and_unload().save_pretrained(tmp_path / "merged")
    kinds = {name: compare(str(tmp_path / "base"), str(tmp_path / name)).kind for name in ("tuned", "merged")}
    assert kinds == {"tuned": "full fine-tune", "merged": "low-rank merge"}
    laid = adapter.against(str(tmp_path / "base"), str(tmp_path / "adapter"))
    found = compare(str(tmp_path / "base"), str(tmp_path / "merged"))
    assert {c.name for c in laid.changed} == {c.name for c in found.changed}
    for one, other in zip(laid.changed, sorted(found.changed, key=lambda c: c.name), strict=True):
        assert one.relative == pytest.approx(other.relative, rel=1e-3)
        assert one.directions == other.directions == 4
