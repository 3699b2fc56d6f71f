"""Mutates a real file of each format and reads it: each reader understands it or refuses it in words, in bounded time.

Usage: python -m tests.fuzz.readers CASES SEED   (CASES for each reader)
"""

from __future__ import annotations

import random
import resource
import sys
import time

from tests.corpus.readers import READERS, TEXT_READERS
from tests.corpus.rules import SAMPLES, files_of
from tests.fuzz.mutate import mutated
from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source import BytesBlob

_SLOW = 2.0
_MEMORY = 2 << 30


# One change most of the time, so that a reader gets past the first check; many now and then.
_TIMES = (1, 1, 1, 1, 2, 2, 3, 8)
_FAMILIES = {
    "onnx": "ONX",
    "saved model": "TFL",
    "graph def": "TFL",
    "checkpoint": "TFL",
    "tflite": "TFL",
    "gguf": "GGF",
    "hdf5": "KRS",
}


def seeds(name, read, make):
    """The real file, and the samples of its family that the reader understands."""
    found = [make()]
    for identifier, sample in SAMPLES.items():
        if identifier[:3] != _FAMILIES.get(name) or not isinstance(files := files_of(sample[0]), dict):
            continue
        for data in files.values():
            try:
                read(data)
            except (MalformedInput, LimitExceeded):
                continue
            found.append(data)
    return found


def run(name, read, known, cases, seed):
    """(errors, slow cases) of one reader."""
    rng = random.Random(f"{seed}{name}")
    errors, slow = [], []
    for _ in range(cases):
        content = mutated(rng, rng.choice(known), rng.choice(_TIMES))
        started = time.process_time()
        try:
            read(content)
        except (MalformedInput, LimitExceeded):
            pass
        except Exception as error:
            errors.append((repr(error), content.hex()[:300]))
        if time.process_time() - started > _SLOW:
            slow.append(content.hex()[:300])
    return errors, slow


def main(cases, seed):
    failed = False
    readers = {name: (lambda data, read=read: read(BytesBlob(data)), make) for name, (read, make) in READERS.items()}
    for name, (read, make) in {**readers, **TEXT_READERS}.items():
        started = time.process_time()
        errors, slow = run(name, read, seeds(name, read, make), cases, seed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{name}: {cases} files, {len(errors)} errors, {len(slow)} slow, {time.process_time() - started:.0f} CPU s, peak {peak} MB",
            flush=True,
        )
        for error in errors[:3]:
            print("   ", *error)
        failed |= bool(errors or slow) or peak << 20 > _MEMORY
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
