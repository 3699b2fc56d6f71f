"""Consecutive releases of real projects side by side: false alarms, and payloads put into the later one that are caught.

The projects are those of `packages.txt`; the pair is the newest wheel and the one before it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.packages import halves, normal

STORE = Path(__file__).parent.parent / ".bench/releases"
LARGEST = 20_000_000


def _pip(*words):
    command = [sys.executable, "-m", "pip", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pair(name):
    """(older wheel, newer wheel) of a project, fetched once; None where there are no two of them."""
    folder = STORE / name
    if not folder.exists():
        folder.mkdir(parents=True)
        listed = re.search(r"Available versions: (.+)", _pip("index", "versions", name).stdout)
        for label, version in zip(("new", "old"), (listed[1].split(", ") if listed else [])[:2], strict=False):
            _pip(
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-d",
                str(folder / label),
                f"{name}=={version}",
            )
    found = [next(iter((folder / label).glob("*.whl")), None) for label in ("old", "new")]
    if None in found or any(path.stat().st_size > LARGEST for path in found):
        return None
    return tuple(found)


def pairs():
    """Every pair of every project, by name."""
    names = [normal(name) for half in halves().values() for name in half]
    with ThreadPoolExecutor(2) as several:
        return {name: found for name, found in zip(names, several.map(pair, names), strict=True) if found}


if __name__ == "__main__":
    print(len(pairs()))
