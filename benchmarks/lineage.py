"""What was done to a model, told from its tensors: the confusion table, and the cost of two checkpoints of 2 GiB."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.measure import run


def large(folder):
    """Two checkpoints of 32 matrices of 64 MiB that differ everywhere."""
    import numpy
    from safetensors.numpy import save_file

    paths = [folder / f"{side}.safetensors" for side in ("old", "new")]
    if not paths[1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = numpy.random.default_rng(0)
        tensors = {
            f"layers.{number}.w.weight": rng.standard_normal((4096, 4096), dtype="float32") for number in range(32)
        }
        save_file(tensors, paths[0])
        for name in tensors:
            tensors[name] += numpy.float32(0.001) * rng.standard_normal((4096, 4096), dtype="float32")
        save_file(tensors, paths[1])
    return paths


def lineage(peers, every):
    """The part of the benchmark run."""
    del peers, every
    from tests.corpus.derivatives import pairs

    from weighbridge.detect.derivation import kind_of
    from weighbridge.provenance.tensors import compare

    confusion = Counter()
    for dtype in ("float32", "bfloat16", "float16"):
        with tempfile.TemporaryDirectory() as folder:
            made = pairs(Path(folder), each=10, dtype=dtype)
            confusion.update((kind, kind_of(compare(old, new)).kind) for kind, old, new in made)
    old, new = large(Path(__file__).parent.parent / ".bench/lineage")
    reads = []
    for _ in range(3):
        started = time.perf_counter()
        for path in (old, new):
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass
        reads.append(time.perf_counter() - started)
    command = [
        sys.executable,
        "-c",
        f"from weighbridge.cli import main; raise SystemExit(main(['diff', {str(old)!r}, {str(new)!r}, '--no-contents']))",
    ]
    done = sorted((run(command, limit=300) for _ in range(3)), key=lambda one: one.wall)[1]
    return {
        "confusion": [[*pair, count] for pair, count in sorted(confusion.items())],
        "read": sorted(reads)[1],
        "wall": done.wall,
        "cpu": done.cpu,
        "memory": done.memory,
    }
