"""Whether short cuts go when a model is taught anew: how changes towards classes grow in honest and in backdoored networks.

python -m benchmarks.backdoor.unlearning [--data mnist.npz] --clean 20 --bad 3      (without --data, scikit-learn's digits)
"""

import argparse
import math
import zlib

import numpy
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from benchmarks.backdoor.attacks import KINDS, Attack
from benchmarks.backdoor.pools import WORKING, data
from weighbridge.backdoor.models import Classifier
from weighbridge.backdoor.recipes import NETS, train
from weighbridge.backdoor.searches import targeted
from weighbridge.backdoor.unlearning import unlearned
from weighbridge.backdoor.vision import STEPS, anomaly_index, chosen


def digits():
    found = load_digits()
    order = numpy.random.default_rng(1).permutation(len(found.target))
    x = torch.from_numpy(found.images[order]).float()[:, None] / 16
    y = torch.from_numpy(found.target[order]).long()
    return x[:1200], y[:1200], x[1200:], y[1200:]


def one(kind, number, given):
    """(success, anomaly index, rise) of a network; nothing for an attack that failed."""
    x, y, tx, ty = given
    seed = zlib.crc32(f"unlearning {kind} {number}".encode())
    dice = numpy.random.default_rng(seed)
    own = torch.from_numpy(dice.permutation(len(x))[: len(x) * 2 // 3])
    x, y, shape = x[own], y[own], tuple(x.shape[1:])
    attack = Attack(kind, shape, 10, seed, 1.0 if len(x) > 2000 else 3.0) if kind != "clean" else None
    if attack:
        x, y = attack.poison(x, y, dice)
    model = Classifier(train(NETS["plain"], x, y, 10, seed, 1), shape, about="plain", digest="")
    half = len(tx) * 3 // 4 if len(tx) < 4000 else 3000
    success = 0.0
    if attack:
        held = attack.measured(ty[:half])
        stamped = attack.stamp(tx[:half][held])
        success = float((model.predicted(stamped) == attack.wanted(ty[:half][held])).float().mean())
        if success < WORKING:
            return None
    samples = chosen(model, tx[half:][:1000], ty[half:][:1000])
    every = torch.arange(10)
    sizes = targeted(model, samples, every, steps=STEPS[0], seed=0, told=lambda: None).sizes
    found = unlearned(model, samples, every, sizes, steps=STEPS[0], seed=0)
    return success, anomaly_index(sizes), found.rise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="")
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--bad", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    given = data(asked.data, 12_000) if asked.data else digits()
    rows = []
    for kind, number in [("clean", n) for n in range(asked.clean)] + [(k, n) for n in range(asked.bad) for k in KINDS]:
        came = one(kind, number, given)
        if came is None:
            print(f"{kind} {number}: failed", flush=True)
            continue
        rows.append((kind != "clean", *came))
        print(
            f"{kind} {number}: success {came[0]:.2f}, anomaly index {came[1]:.1f}, grows {math.exp(came[2]):.2f} times",
            flush=True,
        )
    bad = numpy.array([row[0] for row in rows])
    for name, at, least in (("anomaly index, above 3.5", 2, 3.5), ("growth, above 1.28 times", 3, 0.25)):
        values = numpy.array([row[at] for row in rows])
        print(
            f"{name}: AUROC {roc_auc_score(bad, values):.3f}, {(values[bad] > least).sum()} of {bad.sum()} backdoored, {(values[~bad] > least).sum()} of {(~bad).sum()} clean"
        )
    both = numpy.array([row[2] > 3.5 or row[3] > 0.25 for row in rows])
    print(f"either: {both[bad].sum()} of {bad.sum()} backdoored, {both[~bad].sum()} of {(~bad).sum()} clean")


if __name__ == "__main__":
    main()
