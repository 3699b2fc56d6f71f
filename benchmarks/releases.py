"""Consecutive releases of real projects side by side: false alarms, and payloads put into the later one that are caught.

The projects are those of `packages.txt`; the pair is the newest wheel and the one before it.
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import statistics
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.corpus.packages import INCIDENTS

from benchmarks.measure import run
from benchmarks.packages import halves, normal, pip
from benchmarks.peers import OURS

STORE = Path(__file__).parent.parent / ".bench/releases"
LARGEST = 20_000_000
HOSTS = {
    "quiet hosts": (
        "einops",
        "tqdm",
        "cloudpickle",
        "deepdiff",
        "jinja2",
        "click",
        "structlog",
        "starlette",
        "safetensors",
        "pypdf",
    ),
    "rich hosts": (
        "huggingface-hub",
        "accelerate",
        "datasets",
        "requests",
        "httpx",
        "smolagents",
        "evaluate",
        "pip",
        "virtualenv",
        "invoke",
    ),
}
EACH = 2


def pair(name):
    """(older wheel, newer wheel) of a project, fetched once; None where there are no two of them."""
    folder = STORE / name
    if not folder.exists():
        folder.mkdir(parents=True)
        listed = re.search(r"Available versions: (.+)", pip("index", "versions", name).stdout)
        for label, version in zip(("new", "old"), (listed[1].split(", ") if listed else [])[:2], strict=False):
            pip(
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


def _injected(wheel, files, folder):
    """A later wheel of a host with the code of one technique in it: its own modules, and its lines behind the host's."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / wheel.name
    with zipfile.ZipFile(wheel) as host, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        top = min((name for name in host.namelist() if name.count("/") == 1 and name.endswith("/__init__.py")), key=len)
        package = top.partition("/")[0]
        with zipfile.ZipFile(io.BytesIO(files)) as technique:
            code = {
                name.replace("ranker", package): technique.read(name)
                for name in technique.namelist()
                if ".dist-info/" not in name
            }
        code = {name: data.replace(b"ranker", package.encode()) for name, data in code.items()}
        for item in host.infolist():
            data = host.read(item)
            if item.filename == top:
                data += b"\n" + code.pop(top, b"")
            elif item.filename.endswith("/RECORD"):
                continue  # a builder would have written the new digests
            out.writestr(item.filename, data)
        for name, data in code.items():
            out.writestr(name, data)
    return made


def _compared(job):
    old, new = job
    report = Path(f"{new}.json")
    done = run([*OURS[:-1], "diff", str(old), str(new), "--format", "json", "--output", str(report)], limit=300)
    found = json.loads(report.read_text()) if report.exists() else {"findings": [{"rule": "none", "severity": "high"}]}
    report.unlink(missing_ok=True)
    return sorted({one["rule"] for one in found["findings"] if one["severity"] in {"critical", "high"}}), done.cpu


def releases(peers, every):
    """The part of the benchmark run."""
    del peers, every
    found = pairs()
    with ThreadPoolExecutor(2) as several:
        rows = list(several.map(_compared, found.values()))
        stopped = [[name, rules] for name, (rules, _) in zip(found, rows, strict=True) if rules]
        techniques = {
            name: next(iter(made.values())) for name, made in INCIDENTS.items() if next(iter(made)).endswith(".whl")
        }
        rng = random.Random(5)
        jobs = []
        for kind, hosts in HOSTS.items():
            present = [host for host in hosts if host in found]
            for number, (name, data) in enumerate(techniques.items()):
                for host in rng.sample(present, min(EACH, len(present))):
                    made = _injected(found[host][1], data, STORE / "injected" / f"{kind}{number}{host}")
                    jobs.append((kind, name, host, (found[host][0], made)))
        caught = list(several.map(_compared, [job[3] for job in jobs]))
    result = {"pairs": len(rows), "stopped": stopped, "median": statistics.median(cpu for _, cpu in rows)}
    for kind in HOSTS:
        mine = [
            (name, host, bool(rules)) for (k, name, host, _), (rules, _) in zip(jobs, caught, strict=True) if k == kind
        ]
        result[kind] = {
            "injected": len(mine),
            "caught": sum(hit for *_, hit in mine),
            "missed": [[name, host] for name, host, hit in mine if not hit],
        }
    shutil.rmtree(STORE / "injected", ignore_errors=True)
    return result
