"""How each scanner is called on one file, and what its exit code means."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import run

# Replaced by the command of a base install where one is given (`--ours`).
OURS = [sys.executable, "-m", "weighbridge", "scan"]
FLAGGED, CLEAN, ERROR, SKIPPED = "flagged", "clean", "error", "skipped"
_CODES = {
    "weighbridge": {0: CLEAN, 1: FLAGGED, 3: "review"},
    "picklescan": {0: CLEAN, 1: FLAGGED},
    "modelscan": {0: CLEAN, 1: FLAGGED, 3: SKIPPED},
    "fickling": {0: CLEAN, 1: FLAGGED},
    "modelaudit": {0: CLEAN, 1: FLAGGED},
}


def command(name: str, folder: Path, path: Path | str) -> list[str]:
    """The default command line of a scanner for one path."""
    return {
        "weighbridge": [*OURS, str(path)],
        "picklescan": [str(folder / "picklescan"), "-p", str(path)],
        "modelscan": [str(folder / "modelscan"), "-p", str(path)],
        "fickling": [str(folder / "fickling"), "--check-safety", str(path)],
        "modelaudit": [str(folder / "modelaudit"), "scan", str(path)],
    }[name]


def outcome(name: str, folder: Path, path: Path, limit: float = 120.0) -> tuple[str, float]:
    """What a scanner says of one file, and the processor seconds that it took."""
    done = run(command(name, folder, path), limit=limit)
    return ("timeout" if done.code is None else _CODES[name].get(done.code, ERROR)), done.cpu
