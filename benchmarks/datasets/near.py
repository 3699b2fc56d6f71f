"""Versions of texts planted in news: how many are found, what is said of the news as it is, and how fast; beside datasketch.

python -m benchmarks.datasets.near --data FOLDER [--rows 100000] [--peers PYTHON]        (FOLDER has ag_news_test.csv)
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
from weighbridge.datasets.near_duplicates import NearDuplicates
from weighbridge.datasets.view import Rows

PEER = """
import json, sys, time
from datasketch import MinHash, MinHashLSH
rows = json.load(open(sys.argv[1]))
begun = time.process_time()
lsh = MinHashLSH(threshold=0.6, num_perm=32)
for n, text in enumerate(rows):
    words = text.lower().split()
    made = MinHash(num_perm=32)
    made.update_batch([" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)])
    lsh.insert(n, made)
print(round(len(rows) / (time.process_time() - begun)))
"""


def ours(rows):
    sketch = NearDuplicates()
    begun = time.process_time()
    for first in range(0, len(rows), 8192):
        sketch.add(Rows(first=first, split="", texts=rows[first : first + 8192]))
    return sketch.finish(), time.process_time() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--peers", default="")
    given = parser.parse_args()
    texts, _ = ag_news(given.data)
    dice = random.Random(0)
    found, _ = ours(texts)
    print(f"{len(texts)} news as they are: {found.about}; groups: {len(found.groups)}")
    words = sorted({word for text in texts for word in text.split()})
    for changed in (1, 2, 4):
        planted = {}
        rows = list(texts)
        seeds = dice.sample([text for text in texts if len(text.split()) > 30], 5)
        for number, seed in enumerate(seeds):
            for _ in range(50):
                made = seed.split()
                for place in dice.sample(range(len(made)), changed):
                    made[place] = dice.choice(words)
                planted[len(rows)] = number
                rows.append(" ".join(made))
        found, _ = ours(rows)
        named = {row for group in found.groups for row in group.rows}
        wrong = sum(row not in planted and rows[row] not in seeds for row in named)
        print(
            f"{changed} words changed: {len(named & planted.keys())} of {len(planted)} versions named in {len(found.groups)} groups, {wrong} others"
        )
    many = [" ".join(dice.choice(texts).split()[:20] + dice.choice(texts).split()[-18:]) for _ in range(given.rows)]
    _, seconds = ours(many)
    print(f"{given.rows} texts: {given.rows / seconds:.0f} a CPU second")
    if given.peers:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(many[: given.rows // 5], file)
            file.flush()
            done = subprocess.run([given.peers, "-c", PEER, file.name], capture_output=True, text=True, check=False)
        print(
            f"datasketch, 32 permutations: {done.stdout.strip() or done.stderr.strip().splitlines()[-1]} a CPU second",
            file=sys.stdout,
        )


if __name__ == "__main__":
    main()
