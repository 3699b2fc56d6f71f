"""Each reader of a format with a real file for it: what property and fuzz tests go through."""

from __future__ import annotations

import collections
import io
import pickle
from functools import partial
from pathlib import Path

from tests.corpus import binaries, operations, packages, repositories
from tests.corpus.repositories import sentencepiece
from tests.corpus.saved import CHATML
from weighbridge.conversion.weights import read_weights
from weighbridge.dependencies.osv import read_advisory
from weighbridge.formats import (
    commands,
    document,
    flax,
    gguf,
    hdf5,
    markup,
    native,
    notebook,
    onnx,
    python_source,
    rds,
    signs,
    template,
    tensorflow,
    tflite,
    tokenizer,
    trees,
    wire_models,
)
from weighbridge.formats.manifests import read_manifest
from weighbridge.formats.pickle.graph import read_graph
from weighbridge.formats.torch_tensors import read_torch
from weighbridge.source import BytesBlob


def blob(data):
    return BytesBlob(data)


ADVISORY = b'{"id":"GHSA-1","modified":"2026-01-01T00:00:00Z","aliases":["CVE-1"],"affected":[{"package":{"ecosystem":"PyPI","name":"a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.0"}]}]}]}'
GRAPH = {"a": [1, (2.5, "x"), {"b": b"y"}], "c": collections.OrderedDict(d=None), "e": {1, 2}}


def checkpoint():
    import torch

    made = io.BytesIO()
    torch.save({"a": torch.ones(3, 4).t(), "b": {"c": torch.zeros(2, dtype=torch.int8)}}, made)
    return made.getvalue()


def legacy():
    import torch

    made = io.BytesIO()
    torch.save(
        {"a": torch.ones(3, 4).t(), "b": [torch.zeros(2, dtype=torch.int8)]}, made, _use_new_zipfile_serialization=False
    )
    return made.getvalue()


def arrays(joblib):
    import joblib as library
    import numpy as np

    made = io.BytesIO()
    value = {"x": np.arange(6.0).reshape(2, 3), "y": [np.asfortranarray(np.ones((2, 3), "f4"))]}
    library.dump(value, made) if joblib else pickle.dump(value, made)
    return made.getvalue()


def flax_tree():
    import msgpack
    import numpy as np

    array = np.arange(6, dtype="f4").reshape(2, 3)
    leaf = msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True))
    return msgpack.packb({"a": {"b": leaf}, "c": [leaf, 3]})


LOCKS = Path(__file__).parent.parent / "fixtures/locks"
READERS = {
    "weights, torch": (read_weights, checkpoint),
    "weights, legacy": (read_weights, legacy),
    "weights, joblib": (read_weights, lambda: arrays(joblib=True)),
    "weights, pickle": (read_weights, lambda: arrays(joblib=False)),
    "weights, hdf5": (read_weights, binaries.hdf5),
    "flax": (flax.read_flax, flax_tree),
    "elf": (native.read_native, lambda: packages.elf(exports=("PyInit__core", "other"))),
    "pe": (native.read_native, lambda: packages.pe(program=True, code=bytes(range(256)) * 32)),
    "onnx": (onnx.read_onnx, binaries.onnx_model),
    "saved model": (
        tensorflow.read_saved_model,
        lambda: binaries.saved(binaries.meta(binaries.PLAIN))["saved_model.pb"],
    ),
    "graph def": (tensorflow.read_graph_def, lambda: binaries.PLAIN),
    "checkpoint": (tensorflow.read_checkpoint_index, lambda: binaries.bundle(16)["ckpt.index"]),
    "tflite": (tflite.read_tflite, binaries.tflite),
    "ort": (tflite.read_ort, binaries.ort),
    "gguf": (gguf.read_gguf, binaries.gguf),
    "hdf5": (hdf5.read_hdf5, binaries.hdf5),
    "hdf5, dense groups": (hdf5.read_hdf5, lambda: binaries.hdf5("dense")),
    "hdf5, virtual": (hdf5.read_hdf5, lambda: binaries.hdf5("virtual")),
    "rds": (rds.read_rds, binaries.rds),
    "ubjson": (trees.read_ubjson, lambda: binaries.xgboost_model("ubj")),
    "sentencepiece": (wire_models.read_sentencepiece, sentencepiece),
    "core ml": (wire_models.read_coreml, lambda: binaries.coreml(b"")["a.mlmodel"]),
    "paddle": (wire_models.read_paddle, lambda: binaries.paddle("matmul")["a.pdmodel"]),
    "xml": (markup.read_markup, lambda: binaries.ir('offset="0"')["model.xml"]),
    "matlab": (lambda b: signs.read_signs(b, "matlab"), binaries.matlab),
    "pickle graph": (lambda b: read_graph(b.read(0, b.size)), lambda: pickle.dumps(GRAPH, 2)),
    "torch tensors": (read_torch, checkpoint),
    "fasttext": (lambda b: signs.read_signs(b, "fasttext"), lambda: binaries.fasttext(1)["a.ftz"]),
}


def table(data):
    root = document.read_json(data.decode("utf-8", "replace")).root
    return root if isinstance(root, dict) else {}


def text(read):
    return lambda data: read(data.decode("utf-8", "replace"))


# Readers of text take bytes here, so that both kinds are mutated alike.
TEXT_READERS = {
    "advisory": (read_advisory, lambda: ADVISORY),
    **{
        name: (text(partial(read_manifest, name)), (LOCKS / name).read_bytes)
        for name in (
            "uv.lock",
            "pylock.toml",
            "Pipfile.lock",
            "package-lock.json",
            "pnpm-lock.yaml",
            "yarn.lock",
            "bun.lock",
            "pyproject.toml",
        )
    },
    "json": (text(document.read_json), lambda: repositories.config(a=[1, 2.5, None, {"b": "c"}])["config.json"]),
    "yaml": (text(document.read_yaml), repositories.BOMB.encode),
    "toml": (text(document.read_toml), lambda: b"[a]\nb = [1, 2]\nc = { d = 'e' }\n"),
    "template": (text(template.read_template), CHATML.encode),
    "python": (text(python_source.read_python), lambda: operations.COD["COD-008"][0]["train.py"]),
    "commands": (text(lambda data: list(commands.commands(data))), lambda: b"curl -s 'a b' | sh && x; y \\\n z\n"),
    "lightgbm": (text(trees.read_lightgbm), binaries.lightgbm_text),
    "xgboost": (lambda data: trees.xgboost_problems(table(data)), lambda: binaries.xgboost_model("json")),
    "notebook": (
        lambda data: notebook.read_notebook(table(data)),
        lambda: operations.notebook("!ls\nx = 1\n")["a.ipynb"],
    ),
    "tokenizer": (
        lambda data: tokenizer.read_tokenizer(table(data)),
        lambda: repositories.tokenizer()["tokenizer.json"],
    ),
}
