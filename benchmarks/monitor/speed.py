"""What watching costs: on the request path, in replay, in memory; beside peers on the same stream.

python -m benchmarks.monitor.speed --data FOLDER [--records 1000000] [--peers PYTHON …]

PYTHON is the interpreter of an environment with some of river, evidently, nannyml and alibi-detect, which do not all go together.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import msgspec

from benchmarks.measure import run
from benchmarks.monitor.streams import Texts
from weighbridge.monitor.baseline import dump
from weighbridge.monitor.learning import learned
from weighbridge.monitor.recorder import Recorder
from weighbridge.monitor.stream import Stream

PEERS = {
    "river ADWIN on each class": """
from river.drift import ADWIN
watch = {name: ADWIN() for name in sorted({r["output"] for r in rows})}
found = []
for n, r in enumerate(rows):
    for name, one in watch.items():
        one.update(r["output"] == name)
        if one.drift_detected:
            found.append(n)
verdict = f"{len(found)} alarms, first at {found[0]}" if found else "no alarm"
""",
    "river Page-Hinkley on confidence": """
from river.drift import PageHinkley
watch, found = PageHinkley(), []
for n, r in enumerate(rows):
    watch.update(r["confidence"])
    if watch.drift_detected:
        found.append(n)
verdict = f"{len(found)} alarms, first at {found[0]}" if found else "no alarm"
""",
    "Evidently DataDriftPreset": """
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
table = pd.DataFrame({"output": [r["output"] for r in rows], "confidence": [r["confidence"] for r in rows], "length": [len(r["text"]) for r in rows]})
half = len(table) // 2
done = Report([DataDriftPreset()]).run(table[half:], table[:half]).dict()
verdict = "; ".join(f"{m['metric_name'][:40]}: {m['value']}" for m in done["metrics"])[:200]
""",
    "alibi-detect TabularDrift": """
import numpy as np
from alibi_detect.cd import TabularDrift
names = sorted({r["output"] for r in rows})
table = np.array([[names.index(r["output"]), r["confidence"], len(r["text"])] for r in rows])
half = len(table) // 2
found = TabularDrift(table[:half], p_val=0.05, categories_per_feature={0: None}).predict(table[half:])["data"]
verdict = f"drift {bool(found['is_drift'])}, p {[float(f'{p:.2g}') for p in found['p_val']]} of output, confidence, length"
""",
    "NannyML univariate": """
import pandas as pd, nannyml as nml
table = pd.DataFrame({"output": [r["output"] for r in rows], "confidence": [r["confidence"] for r in rows], "length": [float(len(r["text"])) for r in rows]})
half = len(table) // 2
made = nml.UnivariateDriftCalculator(column_names=["output", "confidence", "length"], treat_as_categorical=["output"], chunk_number=100).fit(table[:half])
found = made.calculate(table[half:]).filter(period="analysis").to_df()
alerts = int(found.xs("alert", axis=1, level=2).sum().sum())
verdict = f"{alerts} alerts in 300 chunk tests"
""",
}
RUN = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
rows = [json.loads(line) for line in open(sys.argv[1])]
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
{body}
print(json.dumps({{"cpu s": round(time.process_time() - begun, 1), "MB more": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, "verdict": verdict}}))
"""


def request_path():
    count = 200_000
    best = 1e9
    for _ in range(5):
        note = Recorder(lambda _: None, queue=1 << 30, pause=1e6).note
        begun = time.perf_counter()
        for _ in range(count):
            note("a text of some length as it comes", "sport", 0.9)
        best = min(best, (time.perf_counter() - begun) / count)
    begun = time.perf_counter()
    for _ in range(count):
        pass
    return (best - (time.perf_counter() - begun) / count) * 1e6


def log(path, made, count, **more):
    with open(path, "wb") as file:
        file.writelines(
            b"".join(msgspec.json.encode(one) + b"\n" for one in batch) for batch in made.traffic(count, 7, **more)
        )


def replay(folder, path, records):
    done = run(
        [
            sys.executable,
            "-m",
            "weighbridge",
            "monitor",
            "replay",
            path,
            "--baseline",
            f"{folder}/b",
            "--format",
            "json",
            "--output",
            f"{folder}/out.json",
        ],
        limit=600,
    )
    return {
        "records": records,
        "MB of log": os.path.getsize(path) // 1_000_000,
        "cpu s": round(done.cpu, 2),
        "records/s of cpu": int(records / done.cpu),
        "peak MB": round(done.memory),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--peers", action="append", default=[], help="may be repeated")
    given = parser.parse_args()
    print(json.dumps({"request path, microseconds": round(request_path(), 2)}), flush=True)
    for name in ("SST-2", "AG News"):
        made = Texts(given.data, name)
        clean = [one for batch in made.traffic(20_000, 1) for one in batch]
        batches = list(made.traffic(300_000, 3))
        words = sum(len(one.text.split()) for one in batches[0]) / len(batches[0])
        for pairs in (True, False):
            baseline = learned(clean, name, pairs=pairs)
            stream = Stream(baseline)
            begun = time.process_time()
            for batch in batches:
                stream.feed(batch)
            rate = int(300_000 / (time.process_time() - begun))
            print(
                json.dumps(
                    {"set": name, "words a record": round(words, 1), "pairs": pairs, "counted, records/s": rate}
                ),
                flush=True,
            )
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/b", "wb") as file:
                file.write(dump(baseline))
            for count in (given.records // 10, given.records):
                log(f"{folder}/log.jsonl", made, count, drift=True)
                print(json.dumps({"set": name, **replay(folder, f"{folder}/log.jsonl", count)}), flush=True)
            if given.peers and name == "AG News":
                log(f"{folder}/log.jsonl", made, 200_000, trigger="cf", rate=0.01, onset=100_000)
                print(
                    json.dumps(
                        {"peer": "weighbridge monitor replay", **replay(folder, f"{folder}/log.jsonl", 200_000)}
                    ),
                    flush=True,
                )
                with open(f"{folder}/out.json", "rb") as file:
                    print(json.dumps([one["message"] for one in json.load(file)["findings"]], ensure_ascii=False))
                for peer, body in PEERS.items():
                    print(
                        json.dumps(
                            {"peer": peer, "said": said(given.peers, body, f"{folder}/log.jsonl")}, ensure_ascii=False
                        ),
                        flush=True,
                    )


def said(interpreters, body, log_):
    """What a peer says, in the first environment that it runs in."""
    last = ""
    for python in interpreters:
        done = subprocess.run([python, "-c", RUN.format(body=body), log_], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip().splitlines()[-1]
        last = done.stderr.strip().splitlines()[-1][:200]
    return last


if __name__ == "__main__":
    main()
