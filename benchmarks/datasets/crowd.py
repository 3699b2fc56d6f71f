"""Bad annotators added to real tables: how they rank, who is named by the fixed rule, and how many honest ones with them.

python -m benchmarks.datasets.crowd --data FOLDER [--peers PYTHON]        (FOLDER has dog/ and duck/ with answer.csv and truth.csv)

With the interpreter of an environment that has crowd-kit, its skills rank the same annotators in the same run. `gold` is how far
anybody could come by skill: each annotator's share of right answers by the known truth.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path

import numpy

from weighbridge.datasets.annotators import Annotators, dawid_skene, excess_agreement
from weighbridge.datasets.columns import CROWD, Roles
from weighbridge.datasets.view import Rows

PEER = """
import json, sys
import numpy, pandas
from crowdkit.aggregation import DawidSkene, MMSR, Wawa
answers, names = json.load(open(sys.argv[1]))
table = pandas.DataFrame(answers, columns=["task", "worker", "label"])
errors = DawidSkene(n_iter=25).fit(table).errors_
kinds = sorted(set(table.label))
found = {"Dawid-Skene": {one: float(numpy.mean([errors.loc[one].get(kind, {}).get(kind, 0.0) if kind in errors.loc[one].index else 0.0 for kind in kinds])) for one in names}}
found["MMSR"] = MMSR().fit(table).skills_.to_dict()
found["Wawa"] = Wawa().fit(table).skills_.to_dict()
print(json.dumps({name: [float(skills.get(one, 0.0)) for one in names] for name, skills in found.items()}))
"""
KINDS = ("random", "constant", "flip", "collude", "sleeper")


def table(path):
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def attacked(answers, truth, kind, seed=0, share=0.1):
    """The answers with a tenth of bad annotators among them."""
    dice = numpy.random.default_rng(seed)
    workers = sorted({worker for _, worker, _ in answers})
    items, labels = sorted({item for item, _, _ in answers}), sorted({label for _, _, label in answers})
    bad = max(2, round(len(workers) * share / (1 - share)))
    each = int(
        numpy.clip(
            numpy.quantile([sum(worker == one for _, worker, _ in answers) for one in workers], 0.75), 20, len(items)
        )
    )
    shared = list(dice.choice(items, each, replace=False))
    agreed = {item: dice.choice(labels) for item in items}
    targets = set(dice.choice(shared, max(3, each // 5), replace=False))
    made = list(answers)
    for number in range(bad):
        for item in shared if kind in {"collude", "sleeper"} else dice.choice(items, each, replace=False):
            true = truth.get(item)
            wrong = [label for label in labels if label != true]
            if kind == "random" or (true is None and kind in {"flip", "sleeper"}):
                said = dice.choice(labels)
            elif kind == "constant":
                said = labels[0]
            elif kind == "flip":
                said = dice.choice(wrong) if dice.random() < 0.8 else true
            elif kind == "collude":
                said = agreed[item] if dice.random() < 0.9 else dice.choice(labels)
            else:
                said = (
                    wrong[int(item) % len(wrong)]
                    if item in targets
                    else true
                    if dice.random() < 0.85
                    else dice.choice(labels)
                )
            made.append((item, f"BAD{number}", said))
    return made


def auroc(score, bad):
    score, bad = numpy.asarray(score, float), numpy.asarray(bad)
    above = score[bad][:, None] > score[~bad][None]
    return float((above + 0.5 * (score[bad][:, None] == score[~bad][None])).mean())


def judged(answers):
    test = Annotators(Roles(kind=CROWD, item="item", annotator="worker", label="label"))
    cells = dict(zip(("item", "worker", "label"), map(list, zip(*answers, strict=True)), strict=True))
    test.add(Rows(first=0, split="", texts=[""] * len(answers), cells=cells))
    outcome = test.finish()
    given = test.answers()
    found = dawid_skene(given)
    excess, _ = excess_agreement(given, found)
    named = {answers[row][1] for group in outcome.groups for row in group.rows}
    return given.worker_names, excess, found, named


def peers(python, answers, names):
    """The skills of crowd-kit, by method, in the order of the names."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([[tuple(map(str, row)) for row in answers], list(names)], file)
        file.flush()
        done = subprocess.run(
            [python, "-W", "ignore", "-c", PEER, file.name], capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def by_gold(answers, truth, names):
    """The share of right answers of each annotator, by the known truth."""
    right, many = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for item, worker, label in answers:
        if item in truth:
            many[worker] += 1
            right[worker] += label == truth[item]
    return numpy.array([right[one] / max(1, many[one]) for one in names])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    options.add_argument("--peers")
    given = options.parse_args()
    for name in ("duck", "dog"):
        answers, truth = table(given.data / name / "answer.csv"), dict(table(given.data / name / "truth.csv"))
        _, _, _, named = judged(answers)
        workers = len({worker for _, worker, _ in answers})
        print(f"{name}: {len(answers)} answers, {workers} annotators; named in the table as it is: {len(named)}")
        for kind in KINDS:
            for seed in range(3):
                table_of = attacked(answers, truth, kind, seed)
                names, excess, found, named = judged(table_of)
                bad = numpy.array([one.startswith("BAD") for one in names])
                both = numpy.maximum(excess - 2.5, 0) + (1 - found.skill)
                hit = sum(one.startswith("BAD") for one in named)
                print(
                    f"  {kind:10}seed {seed}: AUROC by skill {auroc(-found.skill, bad):.2f}, by pairs {auroc(excess, bad):.2f}, both {auroc(both, bad):.2f}, gold {auroc(-by_gold(table_of, truth, names), bad):.2f}; "
                    f"named {hit} of {bad.sum()}, honest ones {len(named) - hit} of {(~bad).sum()}"
                )
                if given.peers:
                    others = peers(given.peers, table_of, names)
                    print(
                        "      crowd-kit:",
                        ", ".join(f"{peer} {auroc(-numpy.array(skills), bad):.2f}" for peer, skills in others.items()),
                    )


if __name__ == "__main__":
    main()
