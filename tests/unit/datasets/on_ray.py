"""A table read by a local Ray cluster of two, one of whose workers is killed while it reads: python -m tests.unit.datasets.on_ray PATH."""

import importlib
import json
import sys

import psutil

from tests.unit.datasets.killing import kill_one
from weighbridge.datasets import engines
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.engines import engine
from weighbridge.datasets.examine import Asked, examine


def main(path):
    engines._SMALLEST, engines._LARGEST = 4 << 10, 16 << 10
    (alone,) = examine(path, Wish())
    cluster = engine("ray", 2)
    thread, killed = kill_one(lambda child: " ".join(child.cmdline()).startswith("ray::read_part"))
    (apart,) = examine(path, Wish(), Asked(engine=cluster))
    thread.join()
    listening = {
        at.laddr.ip.removeprefix("::ffff:")
        for child in psutil.Process().children(recursive=True)
        for at in child.net_connections("inet")
        if at.status == psutil.CONN_LISTEN
    }
    importlib.import_module("ray").shutdown()
    same = [getattr(alone, name) == getattr(apart, name) for name in ("profile", "told", "rejected", "failed")]
    print(json.dumps({"killed": len(killed), "same": same, "listening": sorted(listening)}))


if __name__ == "__main__":
    main(sys.argv[1])
