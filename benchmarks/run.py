"""Measures Weighbridge and its peers in one run and writes docs/explanation/performance.md.

    python -m benchmarks.run --peers FOLDER [--parts detection,noise,speed,hostile,hashing] [--every 4]

Peers get every N-th file of each corpus (`--every`), because some need seconds a file; Weighbridge gets all.
Results are kept in .bench/ so that parts can be measured one by one.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import pickle
import platform
import struct
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.audit import audit
from benchmarks.lineage import lineage
from benchmarks.loading import conversion, sandbox
from benchmarks.measure import median, run
from benchmarks.naming import naming
from benchmarks.packages import npm, packages
from benchmarks.peers import OURS, command, outcome
from benchmarks.registry import registry
from benchmarks.releases import releases
from benchmarks.repositories import repositories
from benchmarks.signing import signing
from benchmarks.variants import variants

ROOT = Path(__file__).parent.parent
STORE = ROOT / ".bench"
PEERS = ("picklescan", "modelscan", "fickling", "modelaudit")


def laid(samples, folder):
    for sample in samples:
        path = folder / sample.id.replace("/", "_").replace(" ", "_") / sample.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.data)
        yield sample, path


def detection(peers, every):
    """Attacks: what is proven to fire by the real loader, and what each scanner says."""
    from tests.corpus import oracle, techniques

    from weighbridge import scan

    files = list(laid(techniques.samples(), STORE / "attacks"))
    ours = {sample.id: scan([str(path)]).verdict.outcome.value for sample, path in files}
    oracle.preload()
    fired = {sample.id: sample.loader != "none" and oracle.fires(path, sample.loader) for sample, path in files}
    groups = {}
    for sample, _ in files:
        row = groups.setdefault(sample.group, Counter())
        row["files"] += 1
        row["fired"] += fired[sample.id]
        row[ours[sample.id]] += 1
    subset = files[::every]
    table = {}
    for name in ("weighbridge", *PEERS):
        said = {sample.id: outcome(name, peers, path)[0] for sample, path in subset}
        table[name] = {kind: Counter(said[s.id] for s, _ in subset if fired[s.id] == kind) for kind in (True, False)}
    return {
        "groups": groups,
        "all": Counter(ours.values()),
        "fired": sum(fired.values()),
        "expected": sum(sample.fires for sample, _ in files),
        "unproven": sorted(s.id for s, _ in files if s.fires and not fired[s.id]),
        "fired_not_blocked": sorted(s.id for s, _ in files if fired[s.id] and ours[s.id] != "block"),
        "peers": {name: {str(kind): dict(row) for kind, row in rows.items()} for name, rows in table.items()},
        "subset": len(subset),
    }


def noise(peers, every):
    """Benign files of real libraries, the tuned list and the held-out list apart."""
    from tests.corpus import benign

    from weighbridge import scan

    result = {}
    for which in ("tuned", "held-out"):
        files = list(laid(benign.samples(which), STORE / which))
        reports, slowest = {}, 0.0
        for sample, path in files:
            started = time.process_time()
            reports[sample.id] = scan([str(path)])
            slowest = max(slowest, time.process_time() - started)
        stopped = [f"{i}: {r.verdict.because}" for i, r in reports.items() if r.verdict.outcome.value != "admit"]
        result[which] = {
            "files": len(files),
            "outcomes": Counter(r.verdict.outcome.value for r in reports.values()),
            "incomplete": sum(not r.complete for r in reports.values()),
            "stopped": stopped,
            "slowest": slowest,
        }
        if which == "tuned":
            subset = files[::every]
            said = {name: [outcome(name, peers, path) for _, path in subset] for name in ("weighbridge", *PEERS)}
            result["peers"] = {name: dict(Counter(what for what, _ in rows)) for name, rows in said.items()}
            result["peer_slowest"] = {name: max(cpu for _, cpu in rows) for name, rows in said.items()}
            result["subset"] = len(subset)
    return result


def big_pickle(path):
    """1.5 million nested records; the file of the speed table."""
    import random

    rng = random.Random(7)
    rows = [
        {
            "id": i,
            "name": f"layer.{i % 997}.weight.{i}",
            "box": {"x": rng.random(), "y": rng.random(), "w": i % 100, "h": i % 50, "depth": i % 7},
            "scores": [rng.random(), i % 11, i % 13, i % 17, i % 19, None, True],
            "flag": i % 2 == 0,
            "size": rng.randrange(1 << 16),
        }
        for i in range(1_500_000)
    ]
    with path.open("wb") as file:
        pickle.dump(rows, file, protocol=4)


def speed_files(folder):
    import numpy as np
    import safetensors.torch
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "objects.pkl").exists():
        big_pickle(folder / "objects.pkl")
    if not (folder / "model.safetensors").exists():
        tensors = {f"layer.{i}.weight": torch.randn(1024, 1024) for i in range(256)}
        torch.save(tensors, folder / "model.pt")
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
    if not (folder / "small").exists():
        (folder / "small").mkdir()
        for i in range(2000):
            (folder / f"small/{i}.pkl").write_bytes(pickle.dumps({"a": np.arange(450) + i, "n": i}))
    (folder / "tiny.pkl").write_bytes(pickle.dumps({"a": 1}))
    return {
        "object pickle": folder / "objects.pkl",
        "1 GiB torch zip": folder / "model.pt",
        "1 GiB safetensors": folder / "model.safetensors",
        "2,000 small pickles": folder / "small",
        "one tiny file": folder / "tiny.pkl",
    }


def speed(peers, every):
    """Processor time and memory of whole processes, beside peers and references."""
    del every
    files = speed_files(STORE / "speed")
    from weighbridge.formats.pickle import Brief, trace
    from weighbridge.schema import Limits

    path = files["object pickle"]
    descriptor = os.open(path, os.O_RDONLY)
    found = trace(lambda o, n: os.pread(descriptor, n, o), path.stat().st_size, 0, Limits(), Brief())
    rows = {}
    for label, path in files.items():
        tiny = label == "one tiny file"
        rows[label] = {}
        for name in ("weighbridge", *PEERS):
            if name == "fickling" and path.is_dir():
                continue
            done = median(command(name, peers, path), times=9 if tiny else 3 if name == "weighbridge" else 1, limit=120)
            rows[label][name] = (done.code, done.cpu, done.memory)
    pure = [sys.executable, "scripts/pure.py", "-m", "weighbridge", "scan", str(files["object pickle"])]
    done = run(pure, limit=300)
    rows["object pickle"]["weighbridge, not compiled"] = (done.code, done.cpu, done.memory)
    load = [sys.executable, "-c", f"import pickle; pickle.load(open({str(files['object pickle'])!r}, 'rb'))"]
    done = run(load)
    rows["object pickle"]["pickle.load"] = (done.code, done.cpu, done.memory)
    python = median([sys.executable, "-c", "pass"], times=9)
    return {
        "rows": rows,
        "opcodes": found.opcodes,
        "bytes": files["object pickle"].stat().st_size,
        "python": python.cpu,
    }


def hostile_files(folder):
    folder.mkdir(parents=True, exist_ok=True)
    from tests.corpus import rules, techniques

    made = {
        "gzip bomb, 10 GB": lambda p: _bomb(p, 10_000),
        "zip nested 12 deep": lambda p: p.write_bytes(rules.nested_zip(12)),
        "zip that claims 64 TB": lambda p: p.write_bytes(rules.claims()["a.zip"]),
        "pickle string of 2^63 bytes": lambda p: p.write_bytes(b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fab."),
        "100,000 nested tuples": lambda p: p.write_bytes(b"(" * 100_000 + b"t" * 100_000 + b"."),
        "billion laughs, 60 levels": lambda p: p.write_bytes(rules.laugh(60)),
        "memo index 2^31": lambda p: p.write_bytes(b"\x80\x04Nr\xff\xff\xff\x7f."),
        "100 MB of MARK": lambda p: p.write_bytes(b"(" * 100_000_000),
        "100 MB of DUP": lambda p: p.write_bytes(b"N" + b"2" * 100_000_000),
        "70 million memo entries": lambda p: p.write_bytes(b"\x80\x04" + b"N\x940" * 70_000_000 + b"N."),
        "line of 100 MB": lambda p: p.write_bytes(b"V" + b"a" * 100_000_000 + b"\n."),
        "safetensors header of 2^60": lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b'{"a' + b" " * 100),
        "npy of 10^18 items": lambda p: p.write_bytes(rules.npy_claim("(1000000000000000000,)")),
        "msgpack, 100,000 deep": lambda p: p.write_bytes(b"\x91" * 100_000),
        "torch zip cut in half": lambda p: p.write_bytes(techniques.torch_zip()[:300]),
        "json 100,000 deep": lambda p: p.write_bytes(b"[" * 100_000),
    }
    endings = {
        "safetensors": ".safetensors",
        "npy": ".npy",
        "msgpack": ".msgpack",
        "json": ".index.json",
        "torch": ".pt",
        "zip": ".zip",
        "gzip": ".pkl.gz",
    }
    for label, write in made.items():
        ending = next((end for key, end in endings.items() if label.startswith(key)), ".pkl")
        path = folder / f"{label.replace(' ', '-').replace(',', '').replace('^', '')}{ending}"
        if not path.exists():
            write(path)
        yield label, path


def _bomb(path, megabytes):
    with gzip.open(path, "wb", 6) as file:
        for _ in range(megabytes):
            file.write(b"\0" * 1_000_000)


def hostile(peers, every):
    """Input that is built to exhaust: how each ends, and at what cost."""
    del peers, every
    rows = {}
    for label, path in hostile_files(STORE / "hostile"):
        done = run([*OURS, str(path)], limit=120)
        said = run([*OURS, str(path), "--format", "json", "--output", str(STORE / "last.json")], limit=120)
        report = (
            json.loads((STORE / "last.json").read_text()) if said.code is not None else {"findings": [], "coverage": []}
        )
        rules = sorted({finding["rule"] for finding in report["findings"]})
        reasons = sorted({entry["reason"] for entry in report["coverage"] if entry["status"] != "inspected"})
        rows[label] = (done.code, done.cpu, done.memory, ", ".join(rules), ", ".join(reasons))
    return rows


def hashing(peers, every):
    """`--hash` against hashlib on the same file."""
    del peers, every
    path = speed_files(STORE / "speed")["1 GiB safetensors"]

    def reference():
        started = time.process_time()
        with path.open("rb", buffering=0) as file:
            hashlib.file_digest(file, "sha256")
        return time.process_time() - started

    plain = sorted(reference() for _ in range(3))[1]
    with_hash = median([*OURS, str(path), "--hash"], times=3)
    without = median([*OURS, str(path)], times=3)
    return {"hashlib": plain, "ours": with_hash.cpu - without.cpu}


PARTS = {
    "detection": detection,
    "noise": noise,
    "speed": speed,
    "hostile": hostile,
    "hashing": hashing,
    "repositories": repositories,
    "signing": signing,
    "naming": naming,
    "lineage": lineage,
    "packages": packages,
    "npm": npm,
    "variants": variants,
    "releases": releases,
    "audit": audit,
    "conversion": conversion,
    "sandbox": sandbox,
    "registry": registry,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--ours", help="the weighbridge command of a base install")
    given = parser.parse_args()
    if given.ours:
        OURS[:] = [given.ours, "scan"]
    STORE.mkdir(exist_ok=True)
    for name in given.parts.split(","):
        started = time.perf_counter()
        result = PARTS[name](given.peers, given.every)
        (STORE / f"{name}.json").write_text(json.dumps(result, indent=1, default=dict))
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    from benchmarks.page import write

    write(STORE, ROOT / "docs/explanation/performance.md", platform.machine())


if __name__ == "__main__":
    main()
