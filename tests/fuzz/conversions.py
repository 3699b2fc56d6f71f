"""Mutates files of weights and converts them, all the way to the output: a safetensors file or a refusal in words.

Usage: python -m tests.fuzz.conversions CASES SEED   (CASES in all)
"""

from __future__ import annotations

import os
import random
import resource
import sys
import tempfile
import time

from tests.corpus.readers import arrays, binaries, checkpoint, flax_tree, legacy
from tests.fuzz.mutate import mutated
from weighbridge.conversion import convert_file
from weighbridge.schema import WeighbridgeError

_SEEDS = (checkpoint, legacy, lambda: arrays(joblib=True), lambda: arrays(joblib=False), binaries.hdf5, flax_tree)


def main() -> None:
    cases, seed = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    seeds = [make() for make in _SEEDS]
    converted = refused = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        source, output = os.path.join(folder, "in"), os.path.join(folder, "out.safetensors")
        for number in range(cases):
            with open(source, "wb") as file:
                file.write(mutated(rng, seeds[number % len(seeds)], rng.choice((1, 1, 2, 8))))
            started = time.perf_counter()
            try:
                convert_file(source, output, partial=True, overwrite=True)
                converted += 1
            except WeighbridgeError:
                refused += 1
            slowest = max(slowest, time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{cases} files: {converted} converted, {refused} refused, 0 crashes; slowest {slowest:.2f} s, peak {peak} MB"
    )


if __name__ == "__main__":
    main()
