"""Flipped labels in text: how well rows are ranked, beside confident learning's ingredients (out-of-fold probabilities of scikit-learn).

python -m benchmarks.datasets.labels --data FOLDER        (FOLDER has sst2/train.tsv and ag_news_test.csv)
"""

import argparse
from pathlib import Path

import numpy
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors

from benchmarks.datasets.text import ag_news, sst2
from weighbridge.datasets.features import Features
from weighbridge.datasets.labels import suspicion
from weighbridge.datasets.triggers import Texts, read_texts


def flipped(labels, kind, seed):
    """(labels, mask): 5 % of all rows at random, or as many rows of class 1 as class 0 (at most 40 % of it)."""
    dice = numpy.random.default_rng(seed)
    kinds, many = labels.max() + 1, int(0.05 * len(labels))
    pool = numpy.arange(len(labels)) if kind == "uniform" else numpy.flatnonzero(labels == 1)
    rows = dice.choice(pool, min(many, len(pool) if kind == "uniform" else int(0.4 * len(pool))), replace=False)
    made, mask = labels.copy(), numpy.zeros(len(labels), bool)
    made[rows] = (labels[rows] + dice.integers(1, kinds, len(rows))) % kinds if kind == "uniform" else 0
    mask[rows] = True
    return made, mask


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    given = options.parse_args()
    for name, (texts, labels) in {"SST-2": sst2(given.data), "AG News": ag_news(given.data)}.items():
        features = Features()
        features.add(texts)
        ids, starts = features.arrays()
        table = TfidfVectorizer(token_pattern=r"(?u)[^\s]+", min_df=2, sublinear_tf=True).fit_transform(texts)
        near = (
            NearestNeighbors(n_neighbors=11, metric="cosine").fit(table).kneighbors(table, return_distance=False)[:, 1:]
        )
        for kind in ("uniform", "targeted"):
            found = []
            for seed in range(3):
                made, mask = flipped(labels, kind, seed)
                counted = Texts(
                    ids, starts, made, features.names, [str(k) for k in range(made.max() + 1)], features.lengths()
                )
                chances = cross_val_predict(
                    LogisticRegression(C=3, max_iter=200), table, made, cv=5, method="predict_proba"
                )
                scores = (
                    suspicion(counted, read_texts(counted)),
                    -chances[numpy.arange(len(made)), made],
                    (made[near] != made[:, None]).mean(1),
                )
                found.append([roc_auc_score(mask, score) for score in scores])
            ours, confident, neighbours = numpy.median(found, axis=0)
            print(
                f"{name:8} {kind:9} AUROC ours {ours:.3f}, TF-IDF and logistic regression {confident:.3f}, 10 nearest neighbours {neighbours:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
