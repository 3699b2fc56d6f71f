"""Bad and benign samples for rules about behaviour: what a pickle does when the sandbox loads it, judged with the bytes."""

from __future__ import annotations

import os
import pickle
import sys

import pytest

from tests.corpus.lineage import Story
from tests.corpus.payloads import Does
from weighbridge.detect.run import detect_run
from weighbridge.inspection.loading import Orders, load
from weighbridge.sandbox import Attempt, Bounds, Kind
from weighbridge.sandbox.kernel import landlock_version
from weighbridge.schema import Location, Unavailable

# For tests that load: machines without these layers refuse to, and rightly.
ISOLATED = pytest.mark.skipif(
    sys.platform != "linux" or not landlock_version(), reason="this machine has no Landlock to load files under"
)
BOUNDS = Bounds(seconds=5, processor=1, memory=1 << 30)
PLAIN = {"weights": [1.0, 2.0], "epoch": 3}


def loaded(code, *, observe=False):
    """Load a pickle that runs `code`; plain data for None."""

    def run(folder):
        path = os.path.join(folder, "model.pkl")
        with open(path, "wb") as file:
            file.write(pickle.dumps(PLAIN if code is None else Does(code), 2))
        return rules(path, observe=observe)

    return run


def rules(path, *, observe=False):
    """The rules that hold; a machine that cannot isolate says so and skips."""
    try:
        with load(path, orders=Orders(observe=observe, bounds=BOUNDS)) as found:
            return {one.rule for one in found.report.findings}
    except Unavailable as error:
        pytest.skip(error.message)


def judged(attempts, before=(), **more):
    """Attempts without a file: what the detector says of them."""
    return lambda _: {one.rule for one in detect_run(Location(path=("m.pkl",)), attempts, before, **more)}


def _tried(kind, what, call="openat"):
    return Attempt(kind=kind, call=call, what=what, outcome="denied")


def _missing(folder):
    path = os.path.join(folder, "model.pkl")
    with open(path, "wb") as file:
        file.write(b"\x80\x02cno_such_module\nThing\n)\x81.")
    return rules(path)


NOTHING = Story("plain data is loaded", loaded(None))
SAMPLES = {
    "RUN-001": (Story("a command is run", loaded("import os; os.system('id')", observe=True)), NOTHING),
    "RUN-002": (Story("an address is connected to", loaded("import socket; socket.create_connection(('198.51.100.7', 80))", observe=True)), NOTHING),
    "RUN-003": (Story("a key is read", loaded("open('/etc/shadow').read()")), NOTHING),
    "RUN-004": (Story("a file is written", loaded("open('/tmp/weighbridge-test', 'w')")), NOTHING),
    "RUN-005": (Story("another process is signalled", loaded("import os; os.kill(1, 9)")), NOTHING),
    "RUN-006": (Story("a page is made executable", loaded("import mmap; mmap.mmap(-1, 4096, prot=7)")), NOTHING),
    "RUN-007": (Story("it never ends", loaded("while True: pass")), NOTHING),
    "RUN-008": (
        Story("something runs where inspection saw nothing", judged([_tried(Kind.PROGRAM, "sh -c id", "execve")])),
        Story("libraries look at the processor", judged([_tried(Kind.READ, "/proc/cpuinfo")])),
    ),
    "RUN-009": (Story("code that waits for another day", loaded("import time; 1 if time.time() > 9e9 else 0")), NOTHING),
    "RUN-010": (Story("an answer of its own", loaded("import os; os.write(5, b'[]'); os._exit(0)")), NOTHING),
    "RUN-011": (Story("a class that is not there", _missing), NOTHING),
}  # fmt: skip
