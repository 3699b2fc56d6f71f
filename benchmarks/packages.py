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


def halves(listed="packages.txt"):
    """The names of a list by part: those that were looked at while tuning, and what stands below each further heading."""
    parts = re.split(r"(?m)^# (.+)\n", (Path(__file__).parent / listed).read_text())[1:]
    named = dict(zip(["tuned", *parts[2::2]], parts[1::2], strict=True))
    return {label: names.split() for label, names in named.items()}


def pip(*words):
    """One run of pip, with what it said."""
    return subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)


def fetched(name):
    """The wheel of a project, or None: building a source distribution would run it."""
    words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(STORE), name]
    return _kept(
        STORE,
        name,
        lambda: [path for path in STORE.glob("*.whl") if normal(path.name.partition("-")[0]) == name],
        lambda: pip(*words),
    )


def _kept(folder, name, there, fetch):
    """The file of a package, fetched once; None where there is none, or it is too large."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f"{name.replace('/', '-')}.none"
    if not there() and not marker.exists():
        fetch()
        if not there():
            marker.write_text("")
    return next((path for path in there()[:1] if path.stat().st_size < LARGEST), None)


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


def packed(name):
    """The package of npm of a name, or None, as npm's own client fetches it; it runs nothing of it."""
    stem = name.removeprefix("@").replace("/", "-")
    words = ["npm", "pack", "--silent", "--ignore-scripts", name]
    return _kept(
        NPM, name, lambda: [path for path in NPM.glob("*.tgz") if re.fullmatch(rf"{re.escape(stem)}-\d[\w.+-]*\.tgz", path.name)],
        lambda: subprocess.run(words, cwd=NPM, capture_output=True, check=False),
    )  # fmt: skip


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
    return _counted({**_there(halves(), fetched), "source distributions": sources()})


def npm(peers, every):
    """The part of the benchmark run for packages of npm."""
    del peers, every
    return _counted(_there(halves("npm.txt"), packed))


def _there(named, fetch):
    return {label: [path for path in map(fetch, names) if path is not None] for label, names in named.items()}


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
