"""Builds benign files with the real libraries: what people really save.

    python -m tests.corpus.benign FOLDER [tuned|held-out]

Each builder yields (id, file name, bytes). Ids with an even position in their family belong to the list that
was looked at while tuning; those with an odd position are held out and were not.
"""

from __future__ import annotations

import argparse
import base64
import collections
import datetime
import decimal
import fractions
import functools
import io
import operator
import pickle
import random
import sys
import tempfile
import uuid
import warnings
import zipfile
from pathlib import Path

from msgspec import Struct


class Benign(Struct, frozen=True, kw_only=True):
    """One benign file."""

    id: str
    file: str
    data: bytes
    held_out: bool


def _joblib(thing, compress=0):
    import joblib

    buffer = io.BytesIO()
    joblib.dump(thing, buffer, compress=compress)
    return buffer.getvalue()


def _torch(thing, **options):
    import torch

    buffer = io.BytesIO()
    torch.save(thing, buffer, **options)
    return buffer.getvalue()


def estimators():
    """Every scikit-learn estimator that can be fitted on a small table, pickled and joblibbed."""
    import numpy as np
    from sklearn.datasets import make_classification
    from sklearn.utils import all_estimators

    features, labels = make_classification(60, 8, random_state=0)
    positive = np.abs(features)
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge

    composed = {"estimator": LogisticRegression(), "base_estimator": LogisticRegression()}
    for name, cls in all_estimators():
        model = None
        for arguments in (
            {},
            {"estimator": composed["estimator"]},
            {"estimators": [("a", LogisticRegression()), ("b", RandomForestClassifier(3))]},
            {"estimators": [("a", Ridge())]},
            {"estimator": LogisticRegression(), "param_grid": {"C": [1.0, 2.0]}},
            {"estimator": LogisticRegression(), "param_distributions": {"C": [1.0, 2.0]}, "n_iter": 2},
            {"transformers": [("a", "passthrough", [0])]},
            {"transformer_list": [("a", "passthrough")]},
            {"steps": [("a", Ridge())]},
        ):
            try:
                model = cls(**arguments)
                break
            except TypeError:
                continue
        if model is None:
            continue
        for data, target in (
            (features, labels),
            (positive, labels),
            (features, labels.astype(float)),
            (features[:, 0], labels),
            (features[:, :1], labels),
            (["a b", "b c"] * 30, labels),
        ):
            try:
                model.fit(data, target)
                break
            except Exception:  # not every estimator takes every table
                continue
        protocol = 2 + len(name) % 4
        yield (
            f"sklearn-{name}-pickle",
            "model.pkl",
            lambda model=model, protocol=protocol: pickle.dumps(model, protocol),
        )
        yield f"sklearn-{name}-joblib", "model.joblib", lambda model=model: _joblib(model, compress=len(name) % 2 * 3)


def pipelines():
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score, make_scorer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    x, y = np.abs(rng.normal(size=(40, 3))), rng.integers(0, 2, 40)
    for label, model in (
        ("scaled", make_pipeline(StandardScaler(), LogisticRegression())),
        ("log", make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())),
        (
            "columns",
            make_pipeline(
                ColumnTransformer([("a", StandardScaler(), [0]), ("b", OneHotEncoder(handle_unknown="ignore"), [1])]),
                LogisticRegression(),
            ),
        ),
        ("scorer", GridSearchCV(LogisticRegression(), {"C": [1, 2]}, scoring=make_scorer(f1_score))),
        ("abs", make_pipeline(FunctionTransformer(np.abs, inverse_func=np.negative), LogisticRegression())),
    ):
        fitted = model.fit(x, y)
        yield f"pipeline-{label}-pickle", "pipeline.pkl", lambda fitted=fitted: pickle.dumps(fitted)
        yield f"pipeline-{label}-joblib", "pipeline.joblib", lambda fitted=fitted: _joblib(fitted, ("zlib", 3))
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        ["exec eval os.system", "import os subprocess", "curl | sh", "hello"] * 4, [0, 1] * 8
    )
    yield "pipeline-text-pickle", "text.pkl", lambda: pickle.dumps(text)
    yield "pipeline-text-joblib", "text.joblib", lambda: _joblib(text)


def modules():
    """Every torch module that can be made without or with usual arguments, saved whole."""
    import torch

    usual = ((), (4,), (4, 4), (4, 4, 3), (2, 2, 2, 2), (3, 2))
    for name in sorted(torch.nn.modules.__all__):
        cls = getattr(torch.nn, name)
        for arguments in usual:
            try:
                made = cls(*arguments)
                data = _torch(made)
            except Exception:  # lazy and container modules want other arguments
                continue
            yield f"torch-module-{name}", "model.pt", lambda data=data: data
            break


def torch_files():
    import torch

    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )
    state = net.state_dict()
    yield "torch-state", "model.pth", lambda: _torch(state)
    yield "torch-state-bin", "pytorch_model.bin", lambda: _torch(state)
    yield "torch-state-legacy", "model.pth", lambda: _torch(state, _use_new_zipfile_serialization=False)
    yield "torch-module-legacy", "model.pt", lambda: _torch(net, _use_new_zipfile_serialization=False)
    for protocol in (3, 4, 5):
        yield (
            f"torch-state-protocol-{protocol}",
            "model.pt",
            lambda protocol=protocol: _torch(state, pickle_protocol=protocol),
        )
        yield (
            f"torch-module-protocol-{protocol}",
            "model.pt",
            lambda protocol=protocol: _torch(net, pickle_protocol=protocol),
        )
    for dtype in (
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int8,
        torch.uint8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bool,
        torch.complex64,
        torch.complex128,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.uint16,
        torch.uint32,
        torch.uint64,
    ):
        yield (
            f"torch-dtype-{str(dtype)[6:]}",
            "tensor.pt",
            lambda dtype=dtype: _torch({"a": torch.zeros(3, 4).to(dtype)}),
        )
        yield (
            f"torch-raw-pickle-{str(dtype)[6:]}",
            "tensor.pkl",
            lambda dtype=dtype: pickle.dumps(torch.zeros(3, 4).to(dtype)),
        )
    eye = torch.eye(4)
    yield "torch-sparse-coo", "tensor.pt", lambda: _torch(eye.to_sparse())
    yield "torch-sparse-csr", "tensor.pt", lambda: _torch(eye.to_sparse_csr())
    yield "torch-views", "tensor.pt", lambda: _torch({"a": eye, "b": eye.t(), "c": eye[1:], "d": eye.expand(2, 4, 4)})
    yield "torch-quantised", "tensor.pt", lambda: _torch(torch.quantize_per_tensor(eye, 0.1, 0, torch.qint8))
    yield (
        "torch-quantised-channel",
        "tensor.pt",
        lambda: _torch(torch.quantize_per_channel(eye, torch.ones(4), torch.zeros(4), 0, torch.quint8)),
    )
    yield "torch-parameter", "tensor.pt", lambda: _torch(torch.nn.Parameter(eye))
    yield "torch-empty", "tensor.pt", lambda: _torch({"a": torch.empty(0)})
    yield "torch-meta", "tensor.pt", lambda: _torch(torch.empty(3, device="meta"))
    for label, make in (
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
    ):
        optimizer = make(net.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
        checkpoint = {
            "model": state,
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "epoch": 3,
            "rng": torch.get_rng_state(),
            "args": argparse.Namespace(lr=0.1, name="run", path=Path("/tmp/x")),
            "best": float("inf"),
        }
        yield f"torch-checkpoint-{label}", "checkpoint.ckpt", lambda checkpoint=checkpoint: _torch(checkpoint)
        yield f"torch-optimizer-{label}", "optim.pt", lambda optimizer=optimizer: _torch(optimizer.state_dict())
    yield (
        "torch-rng-numpy",
        "rng.pth",
        lambda: _torch({"python": random.getstate(), "numpy": __import__("numpy").random.get_state()}),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()))
        buffer = io.BytesIO()
        torch.jit.save(script, buffer)
        yield "torchscript-script", "scripted.pt", buffer.getvalue
        trace_buffer = io.BytesIO()
        torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3)), trace_buffer)
        yield "torchscript-trace", "traced.pt", trace_buffer.getvalue
        exported = io.BytesIO()
        torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(1, 3),)), exported)
        yield "pt2-export", "model.pt2", exported.getvalue


def numpy_files():
    import numpy as np

    def npy(array):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        return buffer.getvalue()

    for dtype in (
        "f2",
        "f4",
        "f8",
        "i1",
        "i2",
        "i4",
        "i8",
        "u1",
        "u2",
        "u4",
        "u8",
        "c8",
        "c16",
        "?",
        "U8",
        "S8",
        "M8[s]",
        "m8[ms]",
    ):
        array = np.zeros((3, 2), dtype)
        yield f"npy-{dtype}", "array.npy", lambda array=array: npy(array)
        yield f"ndarray-pickle-{dtype}", "array.pkl", lambda array=array: pickle.dumps(array, 5)
        yield f"ndarray-pickle2-{dtype}", "array.pkl", lambda array=array: pickle.dumps(array, 2)
    for label, array in (
        ("object", np.array(["a", 1, None, {"k": (1, 2)}, datetime.date(2020, 1, 1)], object)),
        ("structured", np.zeros(3, [("a", "f4"), ("b", "U5"), ("c", [("d", "i2", (2, 2))])])),
        ("record", np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])),
        ("masked", np.ma.array([1, 2, 3], mask=[0, 1, 0])),
        ("fortran", np.asfortranarray(np.zeros((3, 4)))),
        ("scalar", np.float32(3.5)),
        ("matrix", np.matrix([[1, 2]])),
        ("random-state", np.random.RandomState(0)),
        ("generator", np.random.default_rng(0)),
        ("poly", np.polynomial.Polynomial([1, 2])),
        ("ufunc", np.sin),
        ("dtype", np.dtype("f8")),
    ):
        for protocol in (0, 2, 4):
            yield (
                f"numpy-{label}-pickle-{protocol}",
                "thing.pkl",
                lambda array=array, protocol=protocol: pickle.dumps(array, protocol),
            )
        if label in {"object", "structured", "fortran"}:
            yield f"numpy-{label}-npy", "array.npy", lambda array=array: npy(array)

    def npz(**arrays):
        buffer = io.BytesIO()
        (np.savez_compressed if len(arrays) > 1 else np.savez)(buffer, **arrays)
        return buffer.getvalue()

    yield "npz-plain", "arrays.npz", lambda: npz(a=np.arange(5))
    yield "npz-compressed", "arrays.npz", lambda: npz(a=np.arange(5), b=np.zeros((2, 2)))
    yield "npz-object", "arrays.npz", lambda: npz(a=np.array([None, "x"], object), b=np.arange(2))


def joblib_files():
    import numpy as np

    thing = {
        "weights": np.random.default_rng(0).normal(size=(50, 20)),
        "names": ["a", "b"],
        "words": np.array(["x", None], object),
        "f": np.asfortranarray(np.zeros((4, 5))),
    }
    yield "joblib-none", "model.joblib", lambda: _joblib(thing)
    for compress in (1, 9, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("lz4", 3)):
        label = compress if isinstance(compress, int) else compress[0]
        yield f"joblib-{label}", "model.joblib", lambda compress=compress: _joblib(thing, compress)
        yield f"joblib-{label}-pkl", "model.pkl", lambda compress=compress: _joblib(thing, compress)


def frames():
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": [1.5, None, 2],
            "c": ["x", "y", None],
            "d": pd.date_range("2020-01-01", periods=3),
            "e": pd.Categorical(["p", "q", "p"]),
        }
    )
    for label, thing in (
        ("frame", frame),
        ("series", frame["a"]),
        ("index", frame.index),
        ("multi", frame.set_index(["a", "c"])),
        ("timestamp", pd.Timestamp("2020-01-01")),
        ("timedelta", pd.Timedelta("1D")),
        ("interval", pd.interval_range(0, 3)),
        ("period", pd.period_range("2020", periods=3, freq="M")),
        ("zoned", frame.assign(d=frame["d"].dt.tz_localize("UTC"))),
        ("nullable", pd.array([1, None], dtype="Int64")),
        ("strings", pd.array(["a"], dtype="string")),
        ("object", pd.Series([{"k": 1}, (1, 2), None])),
        ("wide", pd.DataFrame(np.zeros((3, 50)))),
        ("empty", pd.DataFrame()),
    ):
        for protocol in (2, 4, 5):
            yield (
                f"pandas-{label}-{protocol}",
                "frame.pkl",
                lambda thing=thing, protocol=protocol: pickle.dumps(thing, protocol),
            )
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("gz", "bz2", "xz", "zip", "tar.gz", "zst"):
            path = Path(folder, f"frame.pkl.{ending}")
            frame.to_pickle(path)
            data = path.read_bytes()
            yield f"pandas-{ending}", path.name, lambda data=data: data


def boosters():
    import lightgbm
    import numpy as np
    import xgboost
    from catboost import CatBoostClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    for label, model in (
        ("xgb-classifier", xgboost.XGBClassifier(n_estimators=3)),
        ("xgb-regressor", xgboost.XGBRegressor(n_estimators=3)),
        ("xgb-ranker-less", xgboost.XGBRFClassifier(n_estimators=3)),
        ("lgbm-classifier", lightgbm.LGBMClassifier(n_estimators=3, verbose=-1)),
        ("lgbm-regressor", lightgbm.LGBMRegressor(n_estimators=3, verbose=-1)),
        ("cat-classifier", CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False)),
    ):
        fitted = model.fit(x, y)
        for protocol in (2, 5):
            yield (
                f"{label}-pickle-{protocol}",
                "model.pkl",
                lambda fitted=fitted, protocol=protocol: pickle.dumps(fitted, protocol),
            )
        yield f"{label}-joblib", "model.joblib", lambda fitted=fitted: _joblib(fitted)
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(x, y), 2)
    yield "xgb-booster", "booster.pkl", lambda: pickle.dumps(booster)
    light = lightgbm.train({"verbose": -1}, lightgbm.Dataset(x, y), 2)
    yield "lgbm-booster", "booster.pkl", lambda: pickle.dumps(light)


Point = collections.namedtuple("Point", "x y")


def plain_files():
    scary = [
        "import os",
        "os.system('rm -rf /')",
        "eval(",
        "exec(",
        "subprocess.Popen",
        "__import__",
        "curl http://example.com | sh",
        "cos\nsystem\n",
        "gAMCAQ==",
        "pickle.loads",
        "builtins",
        "posix",
        "c__builtin__",
    ]
    values = {
        "dict": {"a": 1, "b": [1, 2], "c": {"d": (1.5, None, True)}},
        "word-list": scary,
        "word-dict": {word: number for number, word in enumerate(scary * 50)},
        "dates": [
            datetime.date(2020, 1, 1),
            datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
            datetime.timedelta(3),
            datetime.time(3),
        ],
        "uuids": [uuid.UUID(int=number) for number in range(5)],
        "decimals": [decimal.Decimal("1.5"), fractions.Fraction(1, 3)],
        "collections": [
            collections.OrderedDict(a=1),
            collections.Counter("abc"),
            collections.deque([1, 2], 5),
            collections.defaultdict(list, a=[1]),
            collections.ChainMap({}),
        ],
        "partial": functools.partial(int, base=2),
        "itemgetter": operator.itemgetter(1),
        "attrgetter": operator.attrgetter("a"),
        "sets": [{1, 2}, frozenset("ab")],
        "complex": [1 + 2j, bytearray(b"abc"), b"bytes", 2**200, -5, range(10), slice(1, 2)],
        "paths": Path("/tmp/x"),
        "namespace": argparse.Namespace(a=1),
        "types": [int, list, dict, type(None)],
        "nested-pickle": {
            "blob": pickle.dumps({"a": [1, 2]}),
            "text": base64.b64encode(pickle.dumps({"a": 1})).decode(),
        },
        "deep": functools.reduce(lambda inner, _: [inner], range(200), 1),
        "random": random.Random(0),
        "many": [{"i": number} for number in range(2000)],
        "strings": ["é" * 50, "\u202eabc", "", "x" * 70000],
        "floats": [1.5, float("inf"), float("nan")],
        "regex": __import__("re").compile("a+"),
    }
    for label, thing in values.items():
        for protocol in range(6):
            yield (
                f"plain-{label}-{protocol}",
                "thing.pkl",
                lambda thing=thing, protocol=protocol: pickle.dumps(thing, protocol),
            )
    stacked = b"".join(pickle.dumps({"step": number}) for number in range(20))
    yield "plain-stacked", "log.pkl", lambda: stacked


def safe_files():
    import numpy as np
    import safetensors.numpy
    import safetensors.torch
    import torch

    for label, tensors in (
        ("small", {"a": np.zeros((2, 3), np.float32)}),
        ("many", {f"layer.{n}.weight": np.ones((4, 4), np.float16) for n in range(50)}),
        ("ints", {"i": np.arange(9)}),
    ):
        yield (
            f"safetensors-{label}",
            "model.safetensors",
            lambda tensors=tensors: safetensors.numpy.save(tensors, {"format": "pt"}),
        )
    for dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.int8, torch.float64):
        yield (
            f"safetensors-{str(dtype)[6:]}",
            "model.safetensors",
            lambda dtype=dtype: safetensors.torch.save({"a": torch.zeros(4).to(dtype)}),
        )
    yield "safetensors-empty", "model.safetensors", lambda: safetensors.numpy.save({})
    import msgpack

    def leaf(array):
        return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True))

    tree = {
        "params": {"dense": {"kernel": leaf(np.zeros((3, 4), np.float32)), "bias": leaf(np.zeros(4, np.float32))}},
        "step": 3,
    }
    yield "flax-tree", "flax_model.msgpack", lambda: msgpack.packb(tree)
    import skops.io
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    for label, model in (
        ("logistic", LogisticRegression()),
        ("pipeline", make_pipeline(StandardScaler(), LogisticRegression())),
        ("boosting", GradientBoostingClassifier(n_estimators=2)),
    ):
        yield f"skops-{label}", "model.skops", lambda model=model: skops.io.dumps(model.fit(x, y))


def transformers_files():
    import torch
    import transformers

    tiny = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 20,
        "max_position_embeddings": 16,
    }
    bert = transformers.BertModel(transformers.BertConfig(**tiny))
    yield "bert-state", "pytorch_model.bin", lambda: _torch(bert.state_dict())
    yield "bert-module", "model.pt", lambda: _torch(bert)
    gpt = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20, n_positions=16)
    )
    yield "gpt2-state", "pytorch_model.bin", lambda: _torch(gpt.state_dict())
    yield "gpt2-module", "model.pt", lambda: _torch(gpt)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(output_dir=folder)
        yield "training-arguments", "training_args.bin", lambda: _torch(arguments)
        bert.save_pretrained(folder)
        for path in sorted(Path(folder).glob("*.*")):
            data = path.read_bytes()
            yield f"bert-{path.name}", path.name, lambda data=data: data
    yield "rng-state", "rng_state.pth", lambda: _torch({"cpu": torch.get_rng_state()})


def archives():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.md", "hello " * 500)
        archive.writestr("data/a.json", "{}")
    yield "zip-plain", "archive.zip", buffer.getvalue
    import gzip
    import tarfile

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("a/readme.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    yield "tar-plain", "archive.tar", tar.getvalue
    yield "tar-gz-plain", "archive.tar.gz", lambda: gzip.compress(tar.getvalue())
    import py7zr

    seven = io.BytesIO()
    with py7zr.SevenZipFile(seven, "w") as archive:
        archive.writestr(b"hello", "readme.txt")
    yield "7z-plain", "archive.7z", seven.getvalue
    yield (
        "vocab-text",
        "vocab.txt",
        lambda: "\n".join(["[PAD]", "cat", "dog", "import", "os", "system", "i", "c"] * 100).encode(),
    )
    yield "merges-text", "merges.txt", lambda: b"#version: 0.2\ni n\nc at\no s\n"
    yield "config-json", "config.json", lambda: b'{"architectures": ["BertModel"], "hidden_size": 8}'
    yield "readme", "README.md", lambda: b"# Model\n\nRun `pip install x`.\n"


def torch_states():
    """What training and deployment leave behind: distributed checkpoints, quantised and reparametrised modules."""
    import torch
    import torch.distributed.checkpoint as dcp

    with tempfile.TemporaryDirectory() as folder:
        dcp.save({"w": torch.ones(3), "step": 3, "optim": {"m": torch.zeros(3)}}, checkpoint_id=folder)
        metadata = Path(folder, ".metadata").read_bytes()
    yield "dcp-metadata", ".metadata", lambda: metadata
    linear = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    dynamic = torch.ao.quantization.quantize_dynamic(linear, {torch.nn.Linear}, torch.qint8)
    yield "quantised-dynamic-module", "q.pt", lambda: _torch(dynamic)
    yield "quantised-dynamic-state", "q.pt", lambda: _torch(dynamic.state_dict())
    prepared = torch.ao.quantization.QuantWrapper(torch.nn.Linear(4, 4))
    prepared.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    torch.ao.quantization.prepare(prepared, inplace=True)(torch.ones(2, 4))
    yield "quantised-observed-module", "q.pt", lambda: _torch(prepared)
    converted = torch.ao.quantization.convert(prepared)
    yield "quantised-static-module", "q.pt", lambda: _torch(converted)
    yield "quantised-static-state", "q.pt", lambda: _torch(converted.state_dict())
    encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, batch_first=True), 2)
    yield "encoder-module", "e.pt", lambda: _torch(encoder)
    yield "ema-module", "ema.pt", lambda: _torch(torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2)))
    yield (
        "weight-norm-state",
        "w.pt",
        lambda: _torch(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)).state_dict()),
    )
    yield "scaler-state", "scaler.pt", lambda: _torch(torch.amp.GradScaler("cpu").state_dict())
    yield "dataset", "data.pt", lambda: _torch(torch.utils.data.TensorDataset(torch.ones(3, 2), torch.zeros(3)))
    yield "distribution", "d.pt", lambda: _torch(torch.distributions.Normal(torch.zeros(1), torch.ones(1)))


FAMILIES = (
    estimators,
    pipelines,
    modules,
    torch_files,
    numpy_files,
    joblib_files,
    frames,
    boosters,
    plain_files,
    safe_files,
    transformers_files,
    archives,
    torch_states,
)


def samples(which="all"):
    """Every file, or one of the two lists."""
    warnings.simplefilter("ignore")
    for family in FAMILIES:
        for position, (identifier, file, build) in enumerate(family()):
            held_out = position % 2 == 1
            if which == "all" or held_out == (which == "held-out"):
                try:
                    data = build()
                except Exception as error:  # a library that cannot save this object makes no sample
                    print(f"not saved: {identifier}: {type(error).__name__}", file=sys.stderr)
                    continue
                yield Benign(id=identifier, file=file, data=data, held_out=held_out)


def write(folder: Path, which="all"):
    made = []
    for sample in samples(which):
        target = folder / sample.id.replace("/", "_") / sample.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sample.data)
        made.append(sample)
    return made


if __name__ == "__main__":
    print(len(write(Path(sys.argv[1]), *sys.argv[2:3])), "files")
