"""Signing and verifying beside the tool of the specification: start-up, one large file, many small ones."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

from benchmarks.measure import median, run
from benchmarks.peers import OURS


def trees(folder):
    """A tiny tree, one file of a gibibyte, and 20,000 small files."""
    tiny, large, many = folder / "tiny", folder / "large", folder / "many"
    if not many.exists():
        for path in (tiny, large, many):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        (tiny / "a.json").write_text("{}")
        piece = bytes(range(256)) * 4096
        with (large / "model.safetensors").open("wb") as file:
            for number in range(1024):
                file.write(number.to_bytes(4, "big") + piece[4:])
        for number in range(20_000):
            path = many / f"{number // 1000:02}" / f"{number:05}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f'{{"n": {number}}}')
    return {"tiny": tiny, "1 GiB": large, "20,000 files": many}


def signing(peers, every):
    """The part of the benchmark run."""
    del every
    store = Path(__file__).parent.parent / ".bench/signing"
    made = trees(store)
    key, public = store / "key", store / "key.pub"
    ours = [OURS[0], *OURS[1:-1]]
    if not key.exists():
        run([*ours, "keys", "new", str(key)])
    plain = store / "plain.pub"
    plain.write_text(public.read_text()[public.read_text().index("-----BEGIN") :])
    theirs = str(peers / "model_signing")
    rows = {}
    for label, path in made.items():
        times = 5 if label == "tiny" else 3
        ours_sig, their_sig = store / f"{path.name}-ours.sig", store / f"{path.name}-theirs.sig"
        commands = {
            "sign": (
                [*ours, "sign", str(path), "--key", str(key), "--output", str(ours_sig), "--no-cache"],
                [theirs, "sign", "key", str(path), "--private_key", str(key), "--signature", str(their_sig)],
            ),
            "verify": (
                [*ours, "verify", str(path), "--key", str(public), "--signature", str(ours_sig)],
                [theirs, "verify", "key", str(path), "--public_key", str(plain), "--signature", str(their_sig)],
            ),
        }
        for verb, pair in commands.items():
            found = [median(command, times=times, limit=300) for command in pair]
            rows[f"{verb}, {label}"] = [(one.code, one.cpu, one.wall, one.memory) for one in found]
    path = made["1 GiB"] / "model.safetensors"
    started = time.process_time()
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, "sha256")
    return {"rows": rows, "hashlib": time.process_time() - started}
