"""Flipped labels of tables and pictures: how well rows are ranked, beside cleanlab and nearest neighbours; and what is said of clean data.

python -m benchmarks.datasets.exchanged --data FOLDER [--cleanlab PYTHON]   (FOLDER has images/mnist.npz and cifar10_part.npz)

PYTHON is an interpreter that has cleanlab and scikit-learn; it is given the same features and labels, and ranks by its
self-confidence from five-fold probabilities of logistic regression.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from benchmarks.datasets.labels import flipped
from weighbridge.datasets.learned import find_exchanged
from weighbridge.datasets.neighbours import read_labels, scaled
from weighbridge.datasets.picture_features import picture_features

PEER = """
import sys, numpy
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
found = numpy.load(sys.argv[1])
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
chances = cross_val_predict(model, found["x"], found["y"], cv=5, method="predict_proba")
numpy.save(sys.argv[2], -get_label_quality_scores(found["y"], chances))
"""


def cleanlab(python, x, y):
    with tempfile.TemporaryDirectory() as folder:
        numpy.savez(f"{folder}/given.npz", x=x, y=y)
        subprocess.run([python, "-W", "ignore", "-c", PEER, f"{folder}/given.npz", f"{folder}/made.npy"], check=True)
        return numpy.load(f"{folder}/made.npy")


def sets(folder, count):
    for name, load in (("digits", load_digits), ("breast cancer", load_breast_cancer), ("wine", load_wine)):
        found = load()
        yield name, scaled(found.data), found.target
    for name, file in (("MNIST", "mnist.npz"), ("CIFAR-10", "cifar10_part.npz")):
        found = numpy.load(folder / "images" / file)
        chosen = numpy.random.default_rng(0).permutation(len(found["y_train"]))[:count]
        pixels = found["x_train"][chosen]
        pixels = pixels if pixels.shape[-1] == 3 else pixels.transpose(0, 2, 3, 1)
        begun = time.process_time()
        features = picture_features(pixels)
        print(f"{name}: {len(pixels)} pictures, features in {time.process_time() - begun:.0f} CPU s")
        yield name, features, found["y_train"][chosen]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    options.add_argument("--cleanlab", default="")
    options.add_argument("--pictures", type=int, default=6000)
    options.add_argument("--seeds", type=int, default=3)
    given = options.parse_args()
    for name, x, y in sets(given.data, given.pictures):
        classes = [str(kind) for kind in range(int(y.max()) + 1)]
        clean = find_exchanged(x, y, classes, "rows")
        print(f"{name}: clean: {len(clean.groups)} groups; {clean.about}", flush=True)
        for rate in (0.003, 0.01, 0.03):
            hit = []
            for seed in range(given.seeds):
                dice = numpy.random.default_rng(seed)
                target = int(dice.integers(0, len(classes)))
                planted = dice.choice(numpy.flatnonzero(y != target), round(rate * len(y)), replace=False)
                made = y.copy()
                made[planted] = target
                told = {row for one in find_exchanged(x, made, classes, "rows").groups for row in one.rows}
                both = len(told & set(planted.tolist()))
                hit.append(f"{both} of {len(planted)}, {len(told) - both} others")
            print(f"  {rate:.1%} of all classes under one label: named {'; '.join(hit)}", flush=True)
        near = NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x, return_distance=False)[:, 1:]
        for kind in ("uniform", "targeted"):
            found, groups = [], []
            for seed in range(given.seeds):
                made, mask = flipped(y, kind, seed)
                begun = time.process_time()
                ours = read_labels(x, made).margin
                seconds = time.process_time() - begun
                scores = [ours, (made[near] != made[:, None]).mean(1)]
                scores += [cleanlab(given.cleanlab, x, made)] if given.cleanlab else []
                found.append([roc_auc_score(mask, score) for score in scores])
                groups.append(
                    [
                        (one.message, len(set(one.rows) & set(numpy.flatnonzero(mask))))
                        for one in find_exchanged(x, made, classes, "rows").groups
                    ]
                )
            said = ", ".join(
                f"{which} {value:.3f}"
                for which, value in zip(
                    ("ours", "10 neighbours", "cleanlab"), numpy.median(found, axis=0), strict=False
                )
            )
            print(f"  {kind:9} AUROC {said}; {seconds:.1f} CPU s; groups: {groups}", flush=True)


if __name__ == "__main__":
    main()
