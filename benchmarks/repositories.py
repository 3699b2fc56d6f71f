"""Whole repositories: throughput over a tree of a thousand, samples of the format families, models that are far away."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.measure import run
from benchmarks.peers import OURS, command, outcome

_LEFT_OUT = {"onnx_from_sklearn_like", "hdf5_files", "sentencepiece_model"}
_FAMILIES = ("KRS", "TFL", "ONX", "GGF", "TPL", "TOK", "NAT", "CML", "NMO", "HFR", "ADP")
_PEERS = ("modelscan", "modelaudit")


def tree(folder, count):
    """A folder of `count` repositories, each as a real library saves it."""
    if not folder.exists():
        from tests.corpus.saved import MAKERS, make

        seeds = folder.with_name(f"{folder.name}-seeds")
        shutil.rmtree(seeds, ignore_errors=True)
        kinds = [name for name in MAKERS if name not in _LEFT_OUT]
        for name in kinds:
            make(name, seeds)
        for number in range(count):
            shutil.copytree(seeds / kinds[number % len(kinds)], folder / f"{number:04}")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def throughput(store, peers):
    """Processor seconds and memory of whole processes over 1,000 repositories, and over the first 20 for slow peers."""
    rows = {}
    for count in (1000, 20):
        folder = store / f"repositories-{count}"
        files, size = tree(folder, count)
        row = {"files": files, "bytes": size}
        for name in ("weighbridge", *_PEERS):
            words = command(name, peers, folder) + (["--workers", "1"] if name == "weighbridge" else [])
            done = sorted(
                (run(words, limit=300) for _ in range(3 if name == "weighbridge" else 1)), key=lambda r: r.cpu
            )
            row[name] = (done[len(done) // 2].code, done[len(done) // 2].cpu, done[len(done) // 2].memory)
        rows[str(count)] = row
    return rows


def samples(store, peers, every):
    """Bad and benign samples of the families of this step: what each scanner says."""
    from tests.corpus.rules import SAMPLES, files_of

    table = {name: {"bad": Counter(), "benign": Counter()} for name in ("weighbridge", *_PEERS)}
    chosen = [i for i in SAMPLES if i[:3] in _FAMILIES and SAMPLES[i][0] != "onnx-link"][::every]
    for identifier in chosen:
        for side, kind in ((0, "bad"), (1, "benign")):
            folder = store / "samples" / identifier / kind
            files = files_of(SAMPLES[identifier][side])
            for name, data in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            for name in table:
                table[name][kind][outcome(name, peers, folder)[0]] += 1
    return {"count": len(chosen), "table": {name: {k: dict(v) for k, v in row.items()} for name, row in table.items()}}


def far():
    """A hundred gibibytes behind a server with ranges: bytes received and seconds."""
    from tests.e2e.test_far import GIB, huge_safetensors, huge_torch
    from tests.servers import Web, serve

    made = {
        "safetensors, one file of 100 GiB": {"/model.safetensors": huge_safetensors(100 * GIB)},
        "torch zip, 400 tensors in 100 GiB": {"/model.pt": huge_torch(400, GIB // 4)},
    }
    rows = {}
    for label, files in made.items():
        with serve(Web(files)) as base:
            path = next(iter(files))
            started = time.perf_counter()
            done = run([*OURS, f"{base}{path}", "--no-cache", "--format", "json", "--output", "/dev/stdout"], limit=120)
            wall = time.perf_counter() - started
            report = received(f"{base}{path}")
        rows[label] = (done.code, done.cpu, wall, done.memory, report)
    return rows


def received(address):
    """The bytes that one inspection fetches."""
    from weighbridge import Options, scan

    return scan([address], options=Options(cache=False)).artifact.received


def repositories(peers, every):
    """The part of the benchmark run."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    os.environ.setdefault("KERAS_BACKEND", "torch")
    store = Path(__file__).parent.parent / ".bench"
    return {"throughput": throughput(store, peers), "samples": samples(store, peers, max(1, every // 4)), "far": far()}


if __name__ == "__main__":
    print(json.dumps(repositories(Path(sys.argv[1]), 4), indent=1))
