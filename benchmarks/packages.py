"""Benign packages of the index: how many are stopped, what they cost; the halves were divided before any rule was tuned.

The list and its halves (`packages.txt`) were fixed first.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import run
from benchmarks.peers import OURS
from weighbridge.schema import WeighbridgeError
from weighbridge.source.http import Session
from weighbridge.source.index import fetch, release

STORE = Path(__file__).parent.parent / ".bench/packages"
SOURCES = STORE.parent / "sdists"
NPM = STORE.parent / "npm"
LARGEST = 60_000_000
SMALL = 6_000_000
MOST_SOURCES = 70


def halves():
    """The projects that were looked at while tuning, those that were not, and those that were listed after the last change of rules."""
    tuned, held, fresh = re.split(r"(?m)^# (?:held out|fresh)\n", (Path(__file__).parent / "packages.txt").read_text())
    return {"tuned": tuned.split("\n")[1:-1], "held out": held.split(), "fresh": fresh.split()}


def pip(*words):
    """One run of pip, with what it said."""
    return subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)


def fetched(name):
    """The wheel of a project, or None: building a source distribution would run it."""
    STORE.mkdir(parents=True, exist_ok=True)
    there = [path for path in STORE.glob("*.whl") if normal(path.name.partition("-")[0]) == name]
    if not there and not (STORE / f"{name}.none").exists():
        pip("download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(STORE), name)
        there = [path for path in STORE.glob("*.whl") if normal(path.name.partition("-")[0]) == name]
        if not there:
            (STORE / f"{name}.none").write_text("")
    return there[0] if there and there[0].stat().st_size < LARGEST else None


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def sources():
    """Source distributions of the same versions, taken from the index without building anything; none was looked at while tuning."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    session = Session()
    for wheel in sorted(STORE.glob("*.whl"), key=lambda path: path.name.lower()):
        if len(list(SOURCES.glob("*.tar.gz"))) >= MOST_SOURCES:
            break
        name, version = wheel.name.split("-")[:2]
        if wheel.stat().st_size > SMALL:
            continue
        try:
            found = release(f"pypi:{name}=={version}", session, like="a-.tar.gz")
            if found.file.endswith(".tar.gz") and not (SOURCES / found.file).exists():
                fetch(found, str(SOURCES), session)
        except WeighbridgeError:
            continue
    return sorted(SOURCES.glob("*.tar.gz"))


def scripts():
    """Packages of npm by half, as its own client fetches them; it runs nothing of theirs."""
    NPM.mkdir(parents=True, exist_ok=True)
    tuned, fresh = (Path(__file__).parent / "npm.txt").read_text().split("# fresh\n")
    halves = {"npm, tuned": tuned.split("\n")[1:-1], "npm, fresh": fresh.split()}
    found = {}
    for label, names in halves.items():
        paths = []
        for name in names:
            stem = name.removeprefix("@").replace("/", "-")
            there = [
                path
                for path in NPM.glob(f"{stem}-*.tgz")
                if re.fullmatch(rf"{re.escape(stem)}-\d[\w.+-]*\.tgz", path.name)
            ]
            if not there and not (NPM / f"{stem}.none").exists():
                subprocess.run(
                    ["npm", "pack", "--silent", "--ignore-scripts", name], cwd=NPM, capture_output=True, check=False
                )
                there = list(NPM.glob(f"{stem}-*.tgz"))
                if not there:
                    (NPM / f"{stem}.none").write_text("")
            paths += [path for path in there[:1] if path.stat().st_size < LARGEST]
        found[label] = paths
    return found


def looked_at(path):
    """(highest severities, verdict, CPU s, MB) of one package."""
    report = STORE / f"{path.name}.json"
    done = run([*OURS, str(path), "--format", "json", "--output", str(report)], limit=120)
    found = json.loads(report.read_text()) if report.exists() else {"findings": [], "verdict": {"outcome": "none"}}
    report.unlink(missing_ok=True)
    serious = sorted({one["rule"] for one in found["findings"] if one["severity"] in {"critical", "high"}})
    return path.name, serious, found["verdict"]["outcome"], done.cpu, done.memory


def packages(peers, every):
    """The part of the benchmark run."""
    del peers, every
    found = {label: [path for path in map(fetched, names) if path is not None] for label, names in halves().items()}
    return _counted({**found, "source distributions": sources()})


def npm(peers, every):
    """The part of the benchmark run for packages of npm."""
    del peers, every
    return _counted(scripts())


def _counted(found):
    made = {}
    for label, paths in found.items():
        rows = [looked_at(path) for path in paths]
        cpu = sorted(row[3] for row in rows)
        made[label] = {
            "packages": len(rows),
            "stopped": [[name, rules] for name, rules, *_ in rows if rules],
            "review": sum(outcome == "review" for _, _, outcome, *_ in rows),
            "median": statistics.median(cpu),
            "p95": cpu[int(len(cpu) * 0.95)],
            "memory": max(row[4] for row in rows),
        }
    return made
