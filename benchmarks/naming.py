"""Look-alike names: how many disguises are caught, how many real owners are flagged, on both halves of the lists."""

from __future__ import annotations

import time
from collections import Counter


def naming(peers, every):
    """The part of the benchmark run."""
    del peers, every
    from tests.corpus.names import REAL, squats

    from weighbridge.names.lookalike import shipped

    known = shipped()
    table = {}
    for half, label in ((0, "tuned"), (1, "held out")):
        found = squats()[half::2]
        real = [name for name in REAL if not known.knows(name)][half::2]
        missed = Counter(kind for kind, wrong, _ in found if known.owner(wrong) is None)
        flagged = [name for name in real if known.owner(name)]
        table[label] = {"squats": len(found), "missed": dict(missed), "real": len(real), "flagged": flagged}
    started = time.process_time()
    for name in REAL:
        known.owner(name)
    return {
        "halves": table,
        "classes": dict(Counter(kind for kind, _, _ in squats())),
        "micros": 1e6 * (time.process_time() - started) / len(REAL),
    }
