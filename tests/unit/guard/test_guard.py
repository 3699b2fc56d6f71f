"""The guard: in this process, only what is approved loads, and the bytes that were checked are the bytes that are loaded."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
import warnings
from pathlib import Path

import cloudpickle
import dill
import joblib
import numpy as np
import onnx
import pandas
import pytest
import safetensors
import safetensors.numpy
import torch
from onnx import TensorProto, helper

from weighbridge import guard
from weighbridge.guard import copies
from weighbridge.provenance import attestation, keys, lock, predicates
from weighbridge.schema import SourceError, UsageError

NUMBERS = {"a": np.arange(6.0).reshape(2, 3)}


class Marks:
    """Writes a marker where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    guard.uninstall()


def locked(folder, *files):
    entries = [lock.lock_folder(str(one), str(one)) for one in files]
    (folder / "weighbridge.lock").write_bytes(lock.dump(entries))
    return str(folder / "weighbridge.lock")


def saved(folder):
    """A file for each loader: (name, load, path)."""
    torch.save({"a": torch.ones(2)}, folder / "m.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), folder / "s.pt")
    joblib.dump(NUMBERS, folder / "m.joblib")
    (folder / "m.pkl").write_bytes(pickle.dumps(NUMBERS))
    np.save(folder / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    safetensors.numpy.save_file(NUMBERS, folder / "m.safetensors")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
    return {
        "torch.load": (lambda p: torch.load(p, weights_only=True), folder / "m.pt"),
        "torch.load, mapped": (lambda p: torch.load(p, mmap=True), folder / "m.pt"),
        "torch.jit.load": (lambda p: torch.jit.load(p, map_location="cpu"), folder / "s.pt"),
        "joblib.load": (lambda p: joblib.load(p, mmap_mode=None), folder / "m.joblib"),
        "pickle.load": (lambda p: pickle.load(open(p, "rb")), folder / "m.pkl"),
        "pickle.loads": (lambda p: pickle.loads(Path(p).read_bytes()), folder / "m.pkl"),
        "pickle.Unpickler": (lambda p: pickle.Unpickler(open(p, "rb")).load(), folder / "m.pkl"),
        "dill.load": (_dilled, folder / "m.pkl"),
        "dill.loads": (lambda p: dill.loads(Path(p).read_bytes()), folder / "m.pkl"),
        "cloudpickle.loads": (lambda p: cloudpickle.loads(Path(p).read_bytes()), folder / "m.pkl"),
        "pandas.read_pickle": (lambda p: pandas.read_pickle(p, compression=None), folder / "m.pkl"),
        "numpy.load": (lambda p: np.load(p, allow_pickle=True), folder / "o.npy"),
        "safetensors.safe_open": (lambda p: safetensors.safe_open(p, "np").keys(), folder / "m.safetensors"),
        "safetensors.numpy.load_file": (lambda p: safetensors.numpy.load_file(filename=p), folder / "m.safetensors"),
        "onnxruntime.InferenceSession": (_session, folder / "m.onnx"),
    }


def _dilled(path):
    with open(path, "rb") as file:
        return dill.load(file)


def _session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path)


LOADERS = (
    "torch.load", "torch.load, mapped", "torch.jit.load", "joblib.load", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "numpy.load", "safetensors.safe_open", "safetensors.numpy.load_file", "onnxruntime.InferenceSession",
    "dill.load", "dill.loads", "cloudpickle.loads", "pandas.read_pickle",
)  # fmt: skip


@pytest.mark.parametrize("name", LOADERS)
def test_what_is_locked_loads_and_one_byte_more_does_not(tmp_path, name):
    load, path = saved(tmp_path)[name]
    guard.install(lock=locked(tmp_path, path), scan=False)
    assert load(str(path)) is not None
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(guard.Refused, match=r"may not be loaded: its SHA-256 \w{16}… is in no lock or approval"):
        load(str(path))


@pytest.mark.parametrize("name", LOADERS)
def test_without_a_lock_inspection_on_the_spot_decides(tmp_path, name):
    load, path = saved(tmp_path)[name]
    guard.install()
    assert load(str(path)) is not None


def test_a_pickle_with_a_payload_is_refused_with_the_reason_and_nothing_ran(tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Marks(tmp_path / "ran")))
    guard.install()
    for load in (
        lambda: pickle.load((tmp_path / "bad.pkl").open("rb")),
        lambda: pickle.loads((tmp_path / "bad.pkl").read_bytes()),
        lambda: pickle.Unpickler((tmp_path / "bad.pkl").open("rb")).load(),
        lambda: torch.load(tmp_path / "bad.pkl", weights_only=False),
        lambda: joblib.load(tmp_path / "bad.pkl"),
    ):
        with pytest.raises(guard.Refused, match=r"inspection says block: PKL-\d+") as refused:
            load()
        assert "lets it in" in refused.value.__notes__[0]
    assert not (tmp_path / "ran").exists()


def test_an_unpickler_that_no_loader_knows_is_stopped_at_the_name(tmp_path):
    from multiprocessing.reduction import ForkingPickler

    data = b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    guard.install()
    with pytest.raises(guard.Refused, match=r"no guarded loader was given asks for posix\.system"):
        ForkingPickler.loads(data)
    assert not (tmp_path / "ran").exists()


def test_a_signed_approval_and_an_admitting_scan_let_a_file_in(tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(Marks(tmp_path / "ran")))
    from datetime import UTC, datetime

    keys.new(str(tmp_path / "release"), now=datetime.now(UTC))
    private = keys.load_private(str(tmp_path / "release"))
    approval = {"by": "ana", "approvedAt": "2026-01-01T00:00:00Z", "reason": "ours", "scopes": []}
    (tmp_path / "a.att").write_bytes(attestation.attest(str(path), predicates.APPROVAL, approval, private))
    public = (str(tmp_path / "release.pub"),)
    guard.install(attestations=(str(tmp_path / "a.att"),), keys=public)
    pickle.load(path.open("rb"))
    assert (tmp_path / "ran").is_dir()
    late = {**approval, "expires": "2020-01-01"}
    (tmp_path / "b.att").write_bytes(attestation.attest(str(path), predicates.APPROVAL, late, private))
    guard.install(attestations=(str(tmp_path / "b.att"),), keys=public)
    with pytest.raises(guard.Refused):
        pickle.load(path.open("rb"))


def test_warning_loads_and_says_so_and_recording_only_writes_down(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(NUMBERS))
    log = tmp_path / "log.jsonl"
    guard.install("warn", scan=False, log=str(log))
    with pytest.warns(guard.Warned, match="may not be loaded"), (tmp_path / "m.pkl").open("rb") as file:
        assert pickle.load(file)
    guard.install("record", scan=False, log=str(log))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joblib.load(tmp_path / "m.pkl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["call"], line["decision"]) for line in lines] == [
        ("pickle.load", "would be refused"),
        ("joblib.load", "would be refused"),
    ]
    assert len(lines[0]["sha256"]) == 64
    assert oct(log.stat().st_mode)[-3:] == "600"


def test_the_bytes_that_were_checked_are_those_that_are_loaded(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps("good"))
    file = locked(tmp_path, path)
    decided = guard.approvals.Approvals.decide

    def swaps(self, *given):
        found = decided(self, *given)
        path.write_bytes(pickle.dumps("evil"))
        return found

    monkeypatch.setattr(guard.approvals.Approvals, "decide", swaps)
    guard.install(lock=file, scan=False)
    assert joblib.load(path) == "good"


def test_a_file_that_is_written_to_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(NUMBERS, path)
    reading = copies.watched(str(path))
    reading.__enter__()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, (1, 1))
    with pytest.raises(SourceError, match="was written to while it was loaded"):
        reading.__exit__(None, None, None)


def test_several_pickles_of_one_file_are_read_one_after_the_other(tmp_path):
    with (tmp_path / "m.pkl").open("wb") as file:
        for number in range(3):
            pickle.dump(number, file)
    guard.install()
    with (tmp_path / "m.pkl").open("rb") as file:
        assert [pickle.load(file), pickle.Unpickler(file).load(), pickle.load(file)] == [0, 1, 2]


def test_processes_of_one_program_still_talk_to_each_other():
    guard.install(scan=False)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map_async(abs, [-1, -2]).get(timeout=20) == [1, 2]


def test_files_in_memory_load_as_well():
    made = io.BytesIO()
    torch.save({"a": torch.ones(2)}, made)
    made.seek(0)
    guard.install()
    assert torch.load(made)["a"].tolist() == [1, 1]


def test_external_data_of_an_onnx_model_counts(tmp_path):
    weights = np.arange(300, dtype="f4")
    tensor = onnx.numpy_helper.from_array(weights, "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [300])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [300])],
        [tensor],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    guard.install(lock=locked(tmp_path, tmp_path / "m.onnx", tmp_path / "w.data"), scan=False)
    assert _session(str(tmp_path / "m.onnx"))
    (tmp_path / "w.data").write_bytes(b"\1" * 1200)
    with pytest.raises(guard.Refused, match=r"w\.data may not be loaded"):
        _session(str(tmp_path / "m.onnx"))


def test_from_pretrained_decides_about_every_file(tmp_path):
    from transformers import BertConfig, BertModel

    small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=20)
    BertModel(small).save_pretrained(tmp_path / "m")
    guard.install(lock=locked(tmp_path, tmp_path / "m"), scan=False)
    assert BertModel.from_pretrained(tmp_path / "m")
    config = tmp_path / "m/config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(guard.Refused, match=r"config\.json may not be loaded"):
        BertModel.from_pretrained(tmp_path / "m")


def test_keras_models_load_from_a_copy(tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    guard.install(lock=locked(tmp_path, tmp_path / "m.keras"), scan=False)
    assert keras.models.load_model(tmp_path / "m.keras")
    with (tmp_path / "m.keras").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(guard.Refused):
        keras.models.load_model(tmp_path / "m.keras")


def test_libraries_that_are_imported_later_are_guarded(tmp_path, monkeypatch):
    """Stand-ins for llama_cpp and datasets, with the functions and arguments of the real ones."""
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp/__init__.py").write_text("from llama_cpp.llama import Llama\n")
    (tmp_path / "llama_cpp/llama.py").write_text(
        "class Llama:\n    def __init__(self, model_path, **more): self.path = model_path\n"
    )
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("from datasets.load import load_dataset\n")
    (tmp_path / "datasets/load.py").write_text("def load_dataset(path, name=None, data_files=None): return path\n")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "data.csv").write_text("a\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    # Another test of this process may have loaded the real ones.
    for name in [one for one in sys.modules if one.partition(".")[0] in {"llama_cpp", "datasets"}]:
        monkeypatch.delitem(sys.modules, name)
    guard.install(lock=locked(tmp_path, tmp_path / "data.csv"), scan=False)
    import llama_cpp

    import datasets

    assert isinstance(llama_cpp, types.ModuleType)
    with pytest.raises(guard.Refused, match=r"llama_cpp\.Llama: .*m\.gguf may not be loaded"):
        llama_cpp.Llama(model_path=str(tmp_path / "m.gguf"))
    assert datasets.load_dataset("csv", data_files={"train": str(tmp_path / "data.csv")}) == "csv"
    (tmp_path / "data.csv").write_text("b\n")
    with pytest.raises(guard.Refused):
        datasets.load_dataset("csv", data_files=[str(tmp_path / "data.csv")])
    for name in ("llama_cpp", "llama_cpp.llama", "datasets", "datasets.load"):
        sys.modules.pop(name, None)


def test_taking_it_away_leaves_everything_as_it_was():
    before = (pickle.load, pickle.loads, pickle.Unpickler, torch.load, joblib.load, np.load, safetensors.safe_open)
    guard.install()
    assert torch.load is not before[3]
    guard.uninstall()
    assert (
        pickle.load,
        pickle.loads,
        pickle.Unpickler,
        torch.load,
        joblib.load,
        np.load,
        safetensors.safe_open,
    ) == before


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="no mode 'strict'"):
        guard.install("strict")


def run(folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "weighbridge", "run", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_runs_under_the_guard_from_its_first_line(tmp_path):
    (tmp_path / "serve.py").write_text("import pickle, sys\nprint(pickle.load(open(sys.argv[1], 'rb')))\n")
    (tmp_path / "good.pkl").write_bytes(pickle.dumps("served"))
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Marks(tmp_path / "ran")))
    good = run(tmp_path, "--", sys.executable, "serve.py", "good.pkl")
    assert (good.returncode, good.stdout) == (0, "served\n")
    bad = run(tmp_path, "--", sys.executable, "serve.py", "bad.pkl")
    assert bad.returncode == 1
    assert "Refused: pickle.load: " in bad.stderr
    assert not (tmp_path / "ran").exists()


def test_a_program_that_would_run_unguarded_does_not_run(tmp_path):
    for option in ("-I", "-E", "-IS"):
        found = run(tmp_path, "--", sys.executable, option, "-c", "print('ran')")
        assert (found.returncode, found.stdout) == (2, "")
    broken = run(tmp_path, "--lock", "missing.lock", "--", sys.executable, "-c", "print('ran')")
    assert (broken.returncode, broken.stdout) == (2, "")
    site = os.path.join(os.path.dirname(guard.__file__), "startup")
    order = json.dumps({"mode": "no such mode"})
    started = subprocess.run(
        [sys.executable, "-c", "print('ran')"], env={**os.environ, "PYTHONPATH": site, "WEIGHBRIDGE_GUARD": order}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (started.returncode, started.stdout) == (2, "")
    assert "the guard could not be installed" in started.stderr


def test_another_sitecustomize_still_runs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    found = subprocess.run(
        [sys.executable, "-m", "weighbridge", "run", "--", sys.executable, "-c", "import pickle; print(pickle.load.__guarded__)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout.splitlines()[-2:] == ["theirs", "True"]


def test_tests_can_run_under_the_guard(tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Marks(tmp_path / "ran")))
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
        import pickle
        def test_loads():
            pickle.load(open("bad.pkl", "rb"))
        """)
    )
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--weighbridge-guard", "enforce", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert "1 loads, 1 not approved" in found.stdout
    assert not (tmp_path / "ran").exists()


class Hub(http.server.BaseHTTPRequestHandler):
    """One file of one repository, with the headers that huggingface_hub asks for."""

    body = b'{"model_type": "bert"}'

    def do_HEAD(self):
        self.send_response(200)
        for name, value in (
            ("ETag", '"' + hashlib.sha256(self.body).hexdigest() + '"'),
            ("X-Repo-Commit", "a" * 40),
            ("Content-Length", str(len(self.body))),
        ):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def test_a_download_of_a_hub_is_decided_about_before_anybody_gets_its_path(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "known").mkdir()
    (tmp_path / "known/config.json").write_bytes(Hub.body)
    code = (
        "import sys, weighbridge.guard as g\n"
        "g.install(lock=sys.argv[1], scan=False)\n"
        "from huggingface_hub import hf_hub_download\n"
        "print(hf_hub_download('owner/name', 'config.json', cache_dir=sys.argv[2]))"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    file = locked(tmp_path, tmp_path / "known")

    def download(folder):
        return subprocess.run(
            [sys.executable, "-c", code, file, str(tmp_path / folder)], env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip

    good = download("one")
    assert good.stdout.rstrip().endswith("config.json"), good.stderr
    Hub.body = b'{"model_type": "evil"}'
    bad = download("two")
    server.shutdown()
    server.server_close()
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "huggingface_hub.hf_hub_download: " in bad.stderr
    assert "may not be loaded" in bad.stderr
