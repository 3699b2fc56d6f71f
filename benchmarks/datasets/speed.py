"""How long a table of a million rows takes, and how much memory: every check of unlabelled text, then with triggers.

python -m benchmarks.datasets.speed --data FOLDER --rows 1000000        (FOLDER has ag_news_test.csv)
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.datasets.text import ag_news

CODE = """
import resource, sys, time
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.examine import examine
begun = time.process_time()
(one,) = examine(sys.argv[1], Wish(text=("text",), label=sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(one.profile.rows, one.profile.kind, len(one.told), round(time.process_time() - begun, 1), round(used.ru_maxrss / 1024))
"""


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    options.add_argument("--rows", type=int, default=1_000_000)
    given = options.parse_args()
    texts, labels = ag_news(given.data)
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        with path.open("w") as file:
            for number in range(given.rows):
                one, other = dice.randrange(len(texts)), dice.randrange(len(texts))
                words = texts[one].split() + texts[other].split()[:5]
                file.write(json.dumps({"text": f"{' '.join(words)} {number}", "label": int(labels[one])}) + "\n")
        print(f"{given.rows} rows, {path.stat().st_size / 1e6:.0f} MB of JSON lines", flush=True)
        for label in ("label",):
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CODE, str(path), label], check=True, capture_output=True, text=True
            )
            rows, *kind, groups, seconds, memory = done.stdout.split()
            print(
                f"{rows} rows as {' '.join(kind)}: {groups} groups, {seconds} CPU s, {memory} MB, {time.perf_counter() - begun:.0f} s"
            )


if __name__ == "__main__":
    main()
