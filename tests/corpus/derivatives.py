"""Pairs of small models: a base and what was made of it, by kind, with a fixed seed."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save_file

WIDTH, LAYERS, WORDS = 96, 4, 300
KINDS = (
    "low-rank merge",
    "full fine-tune",
    "head only",
    "embedding edit",
    "rank-one edit",
    "quantised and back",
    "unrelated weights",
    "part of the layers",
    "head only and more",
    "low-rank merge and more",
)


def base(rng):
    tensors = {"model.embed_tokens.weight": rng.normal(0, 0.02, (WORDS, WIDTH))}
    for layer in range(LAYERS):
        for name in ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj"):
            tensors[f"model.layers.{layer}.{name}.weight"] = rng.normal(0, 0.05, (WIDTH, WIDTH))
        tensors[f"model.layers.{layer}.mlp.up_proj.weight"] = rng.normal(0, 0.05, (2 * WIDTH, WIDTH))
        tensors[f"model.layers.{layer}.mlp.down_proj.weight"] = rng.normal(0, 0.05, (WIDTH, 2 * WIDTH))
        tensors[f"model.layers.{layer}.norm.weight"] = np.ones(WIDTH)
    tensors["lm_head.weight"] = rng.normal(0, 0.02, (WORDS, WIDTH))
    return {name: value.astype("float32") for name, value in tensors.items()}


def derived(kind, tensors, rng):
    out = {name: value.copy() for name, value in tensors.items()}
    matrices = [name for name in out if "layers" in name and out[name].ndim == 2]
    touched = f"model.layers.{rng.integers(LAYERS)}.mlp.up_proj.weight"
    if kind.startswith("low-rank merge"):
        rank = int(rng.choice([2, 4, 8, 16]))
        for name in [n for n in matrices if "q_proj" in n or "v_proj" in n]:
            rows, columns = out[name].shape
            out[name] += (rng.normal(0, 0.01, (rows, rank)) @ rng.normal(0, 0.1, (rank, columns))).astype("float32")
    elif kind == "full fine-tune":
        out = {
            name: value + rng.normal(0, rng.uniform(0.0005, 0.005), value.shape).astype("float32")
            for name, value in out.items()
        }
    elif kind.startswith("head only"):
        out["lm_head.weight"] += rng.normal(0, 0.005, out["lm_head.weight"].shape).astype("float32")
    elif kind == "embedding edit":
        rows = rng.choice(WORDS, int(rng.integers(1, 6)), replace=False)
        out["model.embed_tokens.weight"][rows] += rng.normal(0, 0.05, (len(rows), WIDTH)).astype("float32")
    elif kind == "rank-one edit":
        name = f"model.layers.{rng.integers(LAYERS)}.mlp.down_proj.weight"
        rows, columns = out[name].shape
        out[name] += np.outer(rng.normal(0, 0.05, rows), rng.normal(0, 0.5, columns)).astype("float32")
    elif kind == "quantised and back":
        bits = int(rng.choice([4, 8]))
        by_group = bool(rng.integers(2))
        for name in matrices:
            parts = out[name].reshape(-1, 32 if by_group else out[name].shape[1])
            scale = np.abs(parts).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
            out[name] = (np.round(parts / scale) * scale).astype("float32").reshape(out[name].shape)
    elif kind == "unrelated weights":
        out = base(np.random.default_rng(int(rng.integers(1 << 30))))
    elif kind == "part of the layers":
        for name in [n for n in out if f"layers.{LAYERS - 1}." in n]:
            out[name] += rng.normal(0, 0.003, out[name].shape).astype("float32")
    if kind.endswith(" and more"):
        # The service that was paid for the first part, and also touched a layer that it had to leave alone.
        out[touched] += rng.normal(0, 0.002, out[touched].shape).astype("float32")
    return out


def pairs(folder, each=8, dtype="float32"):
    """(kind, old path, new path) of `each` pairs of every kind."""
    for number in range(each):
        for kind in KINDS:
            rng = np.random.default_rng([number, KINDS.index(kind)])
            old = base(rng)
            new = derived(kind, old, rng)
            paths = [str(folder / f"{kind.replace(' ', '-')}-{number}-{side}.safetensors") for side in ("old", "new")]
            for path, tensors in zip(paths, (old, new), strict=True):
                save(tensors, path, dtype)
            yield kind, *paths


def save(tensors, path, dtype="float32"):
    """As the trainers save: in the type of the checkpoint, `bfloat16` too."""
    if dtype == "bfloat16":
        import torch
        from safetensors.torch import save_file as save_torch

        save_torch({name: torch.from_numpy(value).to(torch.bfloat16) for name, value in tensors.items()}, path)
    else:
        save_file({name: value.astype(dtype) for name, value in tensors.items()}, path)
