"""Audits of many packages, names that are asked for, and the scan of packages beside GuardDog and bandit."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import time
import zipfile
from pathlib import Path

from benchmarks.measure import run
from benchmarks.packages import STORE as WHEELS
from benchmarks.peers import OURS
from weighbridge.inspection.refresh import from_files
from weighbridge.names.packages import popular

FOLDER = Path(__file__).parent.parent / ".bench/audit"
PACKAGES = 20_000
BESIDE = 24


def _records(names, rng):
    """Three records for every second package, with ranges as advisories have them."""
    for number, name in enumerate(names[::2]):
        for part in range(3):
            events = [{"introduced": "0"}, {"fixed": f"1.{rng.randrange(9)}.{part}"}]
            affected = [
                {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
            ]
            yield {
                "id": f"GHSA-{number}-{part}",
                "modified": "2026-06-01T00:00:00Z",
                "summary": "s",
                "aliases": [f"CVE-2026-{number}{part}"],
                "affected": affected,
            }


def _project(rng):
    """A requirements file of 20,000 packages in exact versions with digests, and advisories about half of them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    names = [f"{name}{'' if turn == 0 else f'-x{turn}'}" for turn in range(2) for name in popular("pypi").names][
        :PACKAGES
    ]
    with zipfile.ZipFile(FOLDER / "all.zip", "w") as made:
        for one in _records(names, rng):
            made.writestr(f"{one['id']}.json", json.dumps(one))
    started = time.process_time()
    from_files(str(FOLDER / "advisories.db"), [str(FOLDER / "all.zip")])
    taken = time.process_time() - started
    lines = [f"{name}==2.{rng.randrange(9)}.1 --hash=sha256:{'a' * 64}" for name in names]
    (FOLDER / "requirements.txt").write_text("\n".join(lines))
    return taken


def _names(rng):
    """Median and p95 in microseconds of one question: real names with one edit, and names of their own."""
    table = popular("pypi")
    table.like("something-else")
    known = table.names
    took = []
    for _ in range(3000):
        name = rng.choice(known)
        at = rng.randrange(len(name))
        asked = name[:at] + rng.choice("abcdefgh") + name[at + rng.randrange(2) :]
        started = time.perf_counter()
        table.like(asked)
        took.append(1e6 * (time.perf_counter() - started))
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.95)]


def _beside(peers, rng):
    """CPU seconds for the same wheels, and at what each tool stops."""
    wheels = sorted(path for path in WHEELS.glob("*.whl") if path.stat().st_size < 8_000_000)
    rows = []
    for path in rng.sample(wheels, min(BESIDE, len(wheels))):
        ours = run([*OURS, str(path), "--format", "json", "--output", str(FOLDER / "r.json")], limit=300)
        row = {"name": path.name, "ours": (ours.cpu, ours.memory)}
        if peers:
            guard = run([f"{peers}/guarddog", "pypi", "scan", str(path), "--output-format", "json"], limit=600)
            row["guarddog"] = (guard.cpu, guard.memory)
            with zipfile.ZipFile(path) as archive:
                archive.extractall(FOLDER / "unpacked")
            lint = run([f"{peers}/bandit", "-q", "-r", str(FOLDER / "unpacked")], limit=600)
            row["bandit"] = (lint.cpu, lint.memory)
            shutil.rmtree(FOLDER / "unpacked")
        rows.append(row)
    tools = [key for key in rows[0] if key != "name"] if rows else []
    return {
        tool: {
            "median": statistics.median(row[tool][0] for row in rows),
            "total": sum(row[tool][0] for row in rows),
            "memory": max(row[tool][1] for row in rows),
        }
        for tool in tools
    } | {"packages": len(rows)}


def audit(peers, every):
    """The part of the benchmark run."""
    del every
    rng = random.Random(11)
    taken = _project(rng)
    command = [
        *OURS[:-1],
        "audit",
        str(FOLDER / "requirements.txt"),
        "--advisories",
        str(FOLDER / "advisories.db"),
        "--format",
        "json",
        "--output",
        str(FOLDER / "r.json"),
    ]
    done = [run(command, limit=120) for _ in range(3)]
    return {
        "packages": PACKAGES,
        "import": taken,
        "cpu": statistics.median(one.cpu for one in done),
        "memory": max(one.memory for one in done),
        "names": _names(rng),
        "beside": _beside(peers, rng),
    }
