"""What was done to a model, told from its tensors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.corpus.derivatives import KINDS, base, derived, pairs
from tests.e2e.test_command_line import weighbridge
from weighbridge.provenance.tensors import compare
from weighbridge.schema import SourceError


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
    assert (found.kind, found.changed, found.same) == ("nothing", (), len(tensors))


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
    assert (found.added, found.removed, found.reshaped, found.same) == (("d",), ("c",), ("b",), 1)


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


def test_a_service_that_touched_a_frozen_layer_is_caught(tmp_path):
    rng = np.random.default_rng(2)
    old = base(rng)
    new = derived("head only", old, rng)
    new["model.layers.0.mlp.up_proj.weight"] = new["model.layers.0.mlp.up_proj.weight"] * 1.001
    save_file(old, tmp_path / "old.safetensors")
    save_file(new, tmp_path / "new.safetensors")
    done = weighbridge(
        "diff", "old.safetensors", "new.safetensors", "--frozen", r"\.layers\.", "--expect", "head only", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "changed although frozen: model.layers.0.mlp.up_proj.weight" in done.stdout
    assert "expected: head only" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_says_what_was_done(tmp_path, kind):
    rng = np.random.default_rng([5, KINDS.index(kind)])
    old = base(rng)
    save_file(old, tmp_path / "old.safetensors")
    save_file(derived(kind, old, rng), tmp_path / "new.safetensors")
    done = weighbridge("diff", "old.safetensors", "new.safetensors", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith(f": {kind}")
