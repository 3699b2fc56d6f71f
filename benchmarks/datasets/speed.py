"""How long labelled texts take, and how much memory: each test apart, then the whole by one process, by two, and by Ray.

python -m benchmarks.datasets.speed --data FOLDER --rows 100000 1000000        (FOLDER has ag_news_test.csv)
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.datasets.text import ag_news

EACH = """
import resource, sys, time
from collections import Counter
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.sketches import Sketch, plan, tests_of
from weighbridge.datasets.table import open_file
from weighbridge.datasets.view import view
clock, spent, sketch, wanted = time.process_time, Counter(), None, sys.argv[2].split()
begun = clock()
for batch in open_file(sys.argv[1]).batches():
    spent["reading"] += clock() - begun
    if sketch is None:
        made = plan(batch, Wish(text=("text",), label="label"))
        makers = tests_of(made)
        sketch = Sketch(made, {name: makers[name] for name in wanted})
    begun = clock()
    rows = view(made.roles, batch.columns, len(batch), sketch.rows, "")
    spent["reading"] += clock() - begun
    for name, test in sketch.tests.items():
        begun = clock()
        test.add(rows)
        spent[name] += clock() - begun
    sketch.rows += len(batch)
    begun = clock()
for name, test in sketch.tests.items():
    begun = clock()
    test.finish()
    spent[name] += clock() - begun
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(*(f"{name} {seconds:.1f}" for name, seconds in spent.items()), f"all {sum(spent.values()):.1f} CPU s, {memory:.0f} MB", sep=", ")
"""
WHOLE = """
import resource, sys, time
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.engines import engine
from weighbridge.datasets.examine import Asked, examine
if __name__ == "__main__":
    begun = time.perf_counter()
    reader = engine(sys.argv[2], int(sys.argv[3]))
    ready = time.perf_counter()
    (one,) = examine(sys.argv[1], Wish(text=("text",), label="label"), Asked(engine=reader))
    took = time.perf_counter() - ready
    own, others = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    used = sum(one.ru_utime + one.ru_stime for one in (own, others))
    print(f"{one.profile.rows} rows, {len(one.told)} groups: {took:.0f} s ({ready - begun:.0f} s before), {used:.0f} CPU s, {own.ru_maxrss / 1024:.0f} MB, workers {others.ru_maxrss / 1024:.0f} MB")
"""
CHEAP, ALL = "formulas hidden duplicates", "formulas hidden duplicates versions labelled"


def run(code, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(code)
        file.flush()
        done = subprocess.run([sys.executable, file.name, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    options.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--engines", nargs="*", default=["local 1", "local 2", "ray 2"])
    given = options.parse_args()
    texts, labels = ag_news(given.data)
    for many in given.rows:
        dice = random.Random(0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            with path.open("w") as file:
                for number in range(many):
                    one, other = dice.randrange(len(texts)), dice.randrange(len(texts))
                    words = texts[one].split() + texts[other].split()[:5]
                    file.write(json.dumps({"text": f"{' '.join(words)} {number}", "label": int(labels[one])}) + "\n")
            print(f"{many} rows, {path.stat().st_size / 1e6:.0f} MB of JSON lines", flush=True)
            print("cheap checks:", run(EACH, str(path), CHEAP), flush=True)
            print("every check: ", run(EACH, str(path), ALL), flush=True)
            for engine in given.engines:
                print(f"{engine}:", run(WHOLE, str(path), *engine.split()), flush=True)


if __name__ == "__main__":
    main()
