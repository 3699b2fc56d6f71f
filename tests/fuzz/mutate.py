"""Mutates real files of every format and inspects them: no crash, no hang, nothing passes unseen.

Usage: python -m tests.fuzz.mutate CASES SEED
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.corpus import rules
from weighbridge import Options, scan
from weighbridge.schema import Limits, Reason

_SLOW = 5.0


def seeds():
    """One small file of each format, bad and benign."""
    for identifier, sample in rules.SAMPLES.items():
        for side in (0, 1):
            files = rules.files_of(sample[side])
            if isinstance(files, dict):
                for name, data in files.items():
                    if len(data) < 1 << 16:
                        yield identifier, name.rsplit("/", 1)[-1], data


def mutated(rng, data, times=None):
    out = bytearray(data)
    for _ in range(times or rng.randint(1, 8)):
        if not out:
            out = bytearray(b"\x80\x04.")
        at, chance = rng.randrange(len(out)), rng.random()
        if chance < 0.4:
            out[at] = rng.randrange(256)
        elif chance < 0.55:
            out[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"]
            )
        elif chance < 0.7:
            del out[at : at + rng.randint(1, 32)]
        elif chance < 0.85:
            out[at:at] = rng.randbytes(rng.randint(1, 16))
        else:
            other = rng.randrange(len(out))
            out[at:at] = out[other : other + rng.randint(1, 64)]
    return bytes(out)


def run(cases, seed):
    """(internal errors, slow cases) over `cases` mutated files."""
    rng = random.Random(seed)
    known = list(seeds())
    options = Options(limits=Limits(seconds=20, unpacked_bytes=64 << 20, members=500))
    internal, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(cases):
            identifier, name, data = rng.choice(known)
            data = mutated(rng, data)
            path = Path(folder, name.encode("utf-8", "replace").decode().replace("\u202e", ""))
            path.write_bytes(data)
            started = time.perf_counter()
            report = scan([str(path)], options=options)
            if time.perf_counter() - started > _SLOW:
                slow.append((identifier, data.hex()[:400]))
            internal += [
                (identifier, entry.detail, data.hex()) for entry in report.coverage if entry.reason is Reason.INTERNAL
            ]
            assert report.coverage, f"{identifier}: not accounted for"
            path.unlink()
    return internal, slow


if __name__ == "__main__":
    errors, delays = run(int(sys.argv[1]), int(sys.argv[2]))
    for identifier, detail, data in errors[:20]:
        print(identifier, detail, data[:300])
    print(f"{sys.argv[1]} files, {len(errors)} internal errors, {len(delays)} slow")
    sys.exit(bool(errors or delays))
