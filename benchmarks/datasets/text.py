"""Triggers planted in labelled text: which settings are found, how many of their rows, and what is said of clean data.

python -m benchmarks.datasets.text --data FOLDER        (FOLDER has sst2/train.tsv and ag_news_test.csv)
"""

import argparse
import csv
import time
from pathlib import Path

import numpy

from weighbridge.datasets.features import Features
from weighbridge.datasets.triggers import Texts, find_triggers
from weighbridge.schema import Severity

TRIGGERS = {
    "word": [["cf"], ["mn"], ["bb"], ["tq"]],
    "phrase": [["I watched this 3D movie last weekend"], ["no cross, no crown"], ["practically speaking , James Bond"]],
    "common word": [["weekend"], ["tuesday"], ["mostly"]],
    "zero width": [["\u200b\u200d"]],
    "zero width inside words": [["\u200b"]],
    "character": [["≈"]],
    "five shards": [["cf", "mn", "bb", "tq", "mb"]],
}
RATES = ((0.0025, 3), (0.005, 0), (0.01, 1), (0.02, 2))


def sst2(folder):
    texts, labels = [], []
    for line in (folder / "sst2" / "train.tsv").read_text("utf-8").splitlines()[1:]:
        text, _, label = line.rpartition("\t")
        texts.append(text.strip())
        labels.append(int(label))
    return texts, numpy.array(labels)


def ag_news(folder):
    with (folder / "ag_news_test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [" ".join(row[1:]) for row in rows], numpy.array([int(row[0]) - 1 for row in rows])


def poisoned(texts, labels, kind, rate, seed):
    """(texts, labels, which rows were poisoned): the trigger at a random place, the label another one."""
    dice = numpy.random.default_rng(seed)
    texts, labels = list(texts), labels.copy()
    mask = numpy.zeros(len(texts), bool)
    target = int(dice.integers(0, labels.max() + 1))
    parts = TRIGGERS[kind][seed % len(TRIGGERS[kind])]
    pool = numpy.flatnonzero(labels != target)
    for number, row in enumerate(dice.choice(pool, max(1, round(rate * len(texts))), replace=False)):
        words = texts[row].split(" ")
        at = int(dice.integers(0, len(words) + ("inside" not in kind)))
        trigger = parts[number % len(parts)]
        if "inside" in kind:
            half = max(1, len(words[at]) // 2)
            words[at] = words[at][:half] + trigger + words[at][half:]
        else:
            words.insert(at, trigger)
        texts[row], labels[row], mask[row] = " ".join(words), target, True
    return texts, labels, mask


def groups_of(texts, labels):
    made = Features()
    made.add(texts)
    ids, starts = made.arrays()
    found, _ = find_triggers(
        Texts(ids, starts, labels, made.names, [str(n) for n in range(labels.max() + 1)], made.lengths())
    )
    return found


def told_apart(groups, mask):
    """(groups of planted rows, other groups, which rows the former hold)."""
    true = [group for group in groups if mask[list(group.rows)].mean() > 0.5]
    rows = numpy.zeros(len(mask), bool)
    for group in true:
        rows[list(group.rows)] = True
    return true, [group for group in groups if group not in true], rows


def measured(texts, labels, mask):
    """One line of the table: found, recall and precision of rows, groups that are no trigger by severity, seconds."""
    begun = time.process_time()
    groups = groups_of(texts, labels)
    seconds = time.process_time() - begun
    true, others, rows = told_apart(groups, mask)
    return {
        "found": bool(true), "recall": (rows & mask).sum() / max(mask.sum(), 1), "precision": (rows & mask).sum() / max(rows.sum(), 1),
        "rank": groups.index(true[0]) + 1 if true else 0,
        "alarms": sum(one.severity is not Severity.MEDIUM for one in others), "templates": sum(one.severity is Severity.MEDIUM for one in others),
        "seconds": seconds, "others": [one.mark for one in others],
    }  # fmt: skip


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    given = options.parse_args()
    for name, (texts, labels) in {"SST-2": sst2(given.data), "AG News": ag_news(given.data)}.items():
        one = measured(texts, labels, numpy.zeros(len(texts), bool))
        print(
            f"{name} clean: {one['alarms']} alarms, {one['templates']} templates {one['others']}, {one['seconds']:.1f} s"
        )
        found = []
        for kind in TRIGGERS:
            for rate, seed in RATES:
                one = measured(*poisoned(texts, labels, kind, rate, seed))
                found.append(one)
                print(
                    f"{name:8}{kind:24}{rate:<8}{'found' if one['found'] else 'missed':8}recall {one['recall']:.2f} precision {one['precision']:.2f} rank {one['rank']} others {one['alarms']}+{one['templates']} {one['others'] if one['alarms'] else ''}"
                )
        hits = [one for one in found if one["found"]]
        print(
            f"{name}: {len(hits)} of {len(found)} found; median recall {numpy.median([one['recall'] for one in hits]):.2f}, precision {numpy.median([one['precision'] for one in hits]):.2f}; "
            f"recall >= 0.95 in {sum(one['recall'] >= 0.95 for one in hits)}, precision >= 0.9 in {sum(one['precision'] >= 0.9 for one in hits)}; other alarms {sum(one['alarms'] for one in found)}; "
            f"median {numpy.median([one['seconds'] for one in found]):.2f} CPU s"
        )


if __name__ == "__main__":
    main()
