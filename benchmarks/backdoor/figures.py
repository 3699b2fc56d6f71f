"""What pools say: AUROC with bootstrap intervals, power at stated p-values, and false alarms, per test and attack.

python -m benchmarks.backdoor.figures pools/mnist-plain
"""

import collections
import json
import sys
from pathlib import Path

import numpy

from benchmarks.backdoor.pools import WORKING
from weighbridge.backdoor.references import References, rank
from weighbridge.backdoor.vision import IMAGES, NAMES, SEARCHES, STEPS


def auroc(bad, clean):
    """How often a bad model is more suspicious (smaller) than a clean one."""
    bad, clean = numpy.asarray(bad)[:, None], numpy.asarray(clean)[None]
    return float(((bad < clean) + 0.5 * (bad == clean)).mean())


def interval(bad, clean, dice, times=2000):
    bad, clean = numpy.asarray(bad), numpy.asarray(clean)
    found = [auroc(dice.choice(bad, len(bad)), dice.choice(clean, len(clean))) for _ in range(times)]
    return numpy.percentile(found, [2.5, 97.5])


def wilson(hits, of, z=1.96):
    """The 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    share, more = hits / of, z * z / of
    middle = (share + more / 2) / (1 + more)
    half = z * ((share * (1 - share) + more / 4) / of) ** 0.5 / (1 + more)
    return middle - half, middle + half


def rows(stem, pool):
    return [json.loads(line) for line in Path(f"{stem}-{pool}.jsonl").read_text().splitlines()]


def peers(test, is_bad, dice):
    """Detectors of others on the same models, by their own rules and as rankings."""
    for name, at, rule, limit in (
        ("Neural Cleanse, anomaly index", ("neural_cleanse", 0), "index > 2", lambda value: value > 2),
        ("Neural Cleanse, smallest mask", ("neural_cleanse", 1), "", None),
        ("MM-BD, p-value", ("maximum_margin", 0), "p < 0.05", lambda value: value < 0.05),
        ("MM-BD, ratio of margins", ("maximum_margin", 1), "", None),
    ):
        values = numpy.array([row[at[0]][at[1]] for row in test])
        suspicious = -values if at[1] == (0 if at[0] == "neural_cleanse" else 1) else values
        low, high = interval(suspicious[is_bad], suspicious[~is_bad], dice)
        said = (
            f"; by its rule ({rule}) found {limit(values[is_bad]).mean():.2f}, false alarms {limit(values[~is_bad]).mean():.2f}"
            if limit
            else ""
        )
        print(f"  {name:<32}AUROC {auroc(suspicious[is_bad], suspicious[~is_bad]):.3f} [{low:.3f}, {high:.3f}]{said}")
    values = -numpy.array([row["last_layer"] for row in test])
    print(f"  {'last layer, outlier of means':<32}AUROC {auroc(values[is_bad], values[~is_bad]):.3f}")
    spent = [numpy.median([row[f"{name}_seconds"] for row in test]) for name in ("neural_cleanse", "maximum_margin")]
    print(f"  CPU seconds a model: Neural Cleanse {spent[0]:.1f}, MM-BD {spent[1]:.1f}")


def told(stem):
    test = rows(stem, "test")
    made = References(
        name=Path(stem).name, recipe="", shape=(0, 0, 0), classes=10, searches=SEARCHES, steps=STEPS, images=IMAGES,
        scores=tuple(tuple(row["values"]) for row in rows(stem, "references")),
    )  # fmt: skip
    dice = numpy.random.default_rng(0)
    failed = collections.Counter(row["kind"] for row in test if row["kind"] != "clean" and row["success"] < WORKING)
    test = [row for row in test if row["kind"] == "clean" or row["success"] >= WORKING]
    ranked = [rank(row["values"], made.scores) for row in test]
    is_bad = numpy.array([row["kind"] != "clean" for row in test])
    print(
        f"{stem}: {len(made.scores)} references; {is_bad.sum()} backdoored and {(~is_bad).sum()} clean models; failed attacks, apart: {dict(failed)}"
    )
    statistics = {
        "all together": [one.distance for one in ranked],
        **{name: [row["values"][at] for row in test] for at, name in enumerate(NAMES)},
        "anomaly index (no references)": [-row["outlier"] for row in test],
    }
    for name, found in statistics.items():
        values = numpy.array(found)
        low, high = interval(values[is_bad], values[~is_bad], dice)
        print(f"  {name:<32}AUROC {auroc(values[is_bad], values[~is_bad]):.3f} [{low:.3f}, {high:.3f}]")
    p = numpy.array([one.together for one in ranked])
    for level in (0.05, 0.01):
        hits, alarms = int((p[is_bad] < level).sum()), int((p[~is_bad] < level).sum())
        low, high = wilson(alarms, (~is_bad).sum())
        print(
            f"  p < {level}: found {hits}/{is_bad.sum()} ({hits / is_bad.sum():.2f}), false alarms {alarms}/{(~is_bad).sum()} [{low:.3f}, {high:.3f}]"
        )
    index = numpy.array([row["outlier"] for row in test])
    print(
        f"  anomaly index > 2 (the paper's rule): found {(index[is_bad] > 2).mean():.2f}, false alarms {(index[~is_bad] > 2).mean():.2f}"
    )
    if all("neural_cleanse" in row for row in test):
        peers(test, is_bad, dice)
    for kind in sorted({row["kind"] for row in test} - {"clean"}):
        mine = [(row, one) for row, one in zip(test, ranked, strict=True) if row["kind"] == kind]
        hits = sum(one.together < 0.05 for _, one in mine)
        success = numpy.mean([row["success"] for row, _ in mine])
        right = sum(row.get("target") == row["found"] for row, _ in mine)
        print(
            f"    {kind:<14}found {hits}/{len(mine)}, success {success:.2f}, accuracy {numpy.mean([row['accuracy'] for row, _ in mine]):.3f}, target right {right}"
        )
    clean = [row for row in test if row["kind"] == "clean"]
    print(
        f"    {'clean':<14}accuracy {numpy.mean([row['accuracy'] for row in clean]):.3f}; median {numpy.median([row['seconds'] for row in test]):.1f} CPU seconds a model"
    )


if __name__ == "__main__":
    for stem in sys.argv[1:]:
        told(stem)
