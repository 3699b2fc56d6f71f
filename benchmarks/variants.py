"""Inert packages that do harm, and how many of them each tool stops: techniques of incidents, and ways to write one harm."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.corpus.blind_variants import BLIND_PACKAGES, BLIND_SCRIPTS, HONEST_PACKAGES, HONEST_SCRIPTS
from tests.corpus.package_variants import VARIANTS
from tests.corpus.packages import BENIGN, INCIDENTS
from tests.corpus.script_variants import SCRIPT_BENIGN, SCRIPT_VARIANTS

from benchmarks.measure import run
from benchmarks.peers import OURS

STORE = Path(__file__).parent.parent / ".bench/variants"
# GuardDog calls a package suspicious from this score on, and of high risk from 7.
SUSPICIOUS = 5.0


def _laid(samples, folder):
    for number, files in enumerate(samples.values()):
        place = STORE / folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        name, data = next(iter(files.items()))
        (place / name).write_bytes(data)
        yield place / name


def _ours(path):
    return run([*OURS, str(path)], limit=120).code == 1


def _guarddog(peers, path):
    ecosystem = "npm" if path.suffix == ".tgz" else "pypi"
    done = subprocess.run(
        [f"{peers}/guarddog", ecosystem, "scan", str(path), "--output-format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        return json.loads(done.stdout)["risk_score"]["score"] >= SUSPICIOUS
    except (ValueError, KeyError, TypeError):
        return False


def _bandit(peers, path):
    if path.suffix != ".whl":
        return False
    unpacked = STORE / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    done = subprocess.run(
        [f"{peers}/bandit", "-q", "-r", "-lll", str(unpacked)], capture_output=True, text=True, check=False
    )
    shutil.rmtree(unpacked)
    return done.returncode == 1


def variants(peers, every):
    """The part of the benchmark run."""
    del every
    shutil.rmtree(STORE, ignore_errors=True)
    made = {}
    for label, samples in (
        ("incidents", INCIDENTS),
        ("ways to write it in Python", VARIANTS),
        ("ways to write it in JavaScript", SCRIPT_VARIANTS),
        ("written blind, in Python", BLIND_PACKAGES),
        ("written blind, in JavaScript", BLIND_SCRIPTS),
        (
            "benign",
            {
                **BENIGN,
                **SCRIPT_BENIGN,
                **HONEST_PACKAGES,
                **{f"{name}, script": one for name, one in HONEST_SCRIPTS.items()},
            },
        ),
    ):
        paths = list(_laid(samples, label.replace(" ", "-")))
        made[label] = {
            "packages": len(paths),
            "weighbridge": sum(_ours(path) for path in paths),
            "GuardDog 3.2.0": sum(_guarddog(peers, path) for path in paths),
            "bandit 1.9.4": sum(_bandit(peers, path) for path in paths),
        }
    return made
