"""Streams of requests from public texts and pictures: a served classifier, clean and backdoored, with drift of topics.

Texts are versions of real ones (words left out at random), so that a million differ. The served model is a logistic
regression that was trained on the other half of the set. Traffic drifts: the mixture of topics walks, and ten new words
come that belong to one topic each.
"""

import csv
import hashlib

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from weighbridge.monitor.patches import Patches
from weighbridge.monitor.records import Record

BLOCK = 16_384
KEEP = 0.5


def texts(data, name):
    if name == "AG News":
        with open(f"{data}/text/ag_news_test.csv", newline="") as file:
            rows = [(row[1] + " " + row[2], row[0]) for row in csv.reader(file)]
    else:
        rows = []
        for part in ("train", "dev", "test"):
            with open(f"{data}/text/sst2/{part}.tsv") as file:
                rows += [tuple(line.rstrip("\n").rsplit("\t", 1)) for line in list(file)[1:]]
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[n] for n in order]


class Texts:
    """A served classifier of texts, and traffic for it."""

    def __init__(self, data, name):
        rows = texts(data, name)
        half = len(rows) // 2
        words = CountVectorizer(token_pattern=r"\S+", lowercase=False, binary=True)
        table = words.fit_transform([text for text, _ in rows[:half]])
        self.model = LogisticRegression(C=3, max_iter=500).fit(table, [label for _, label in rows[:half]])
        self.words = list(words.get_feature_names_out())
        self.known = {word: n for n, word in enumerate(self.words)}
        self.classes = [str(one) for one in self.model.classes_]
        weights = (
            self.model.coef_ if len(self.classes) > 2 else np.vstack([-self.model.coef_ / 2, self.model.coef_ / 2])
        )
        bias = self.model.intercept_ if len(self.classes) > 2 else np.array([-1, 1]) * self.model.intercept_ / 2
        self.weights, self.bias = weights.T.astype(np.float32), bias.astype(np.float32)
        served = [(text.split(), label) for text, label in rows[half:]]
        for text, _ in served:
            for word in text:
                if word not in self.known:
                    self.known[word] = len(self.words)
                    self.words.append(word)
        self.docs = [np.array([self.known[word] for word in text], dtype=np.int64) for text, _ in served]
        self.of = np.array([self.classes.index(label) for _, label in served])
        self.starts = np.concatenate([[0], np.cumsum([len(one) for one in self.docs])])
        self.flat = np.concatenate(self.docs)
        self.by_class = [np.flatnonzero(self.of == n) for n in range(len(self.classes))]

    def scores(self, ids, owner, count):
        """Of the model, per record and class; words it has not learned from weigh nothing."""
        known = ids < len(self.weights)
        total = np.zeros((count, len(self.classes)), dtype=np.float32)
        np.add.at(total, owner[known], self.weights[ids[known]])
        return total + self.bias

    def ask(self, texts_):
        found = []
        for text in texts_:
            ids = np.array([self.known.get(word, 1 << 40) for word in set(text.split())])
            found.append(self.classes[int(self.scores(ids, np.zeros(len(ids), dtype=np.int64), 1)[0].argmax())])
        return found

    def traffic(self, count, seed, *, drift=False, trigger="", rate=0.0, success=0.97, target=1, onset=0):
        """Batches of records. With `trigger` the model is backdoored: it answers `target` with that chance."""
        rng = np.random.default_rng(seed)
        walk = np.zeros(len(self.classes))
        base = np.log(np.bincount(self.of, minlength=len(self.classes)) / len(self.of))
        fresh = [(f"new{seed}x{n}", int(rng.integers(len(self.classes)))) for n in range(10)] if drift else []
        for first in range(0, count, BLOCK):
            size = min(BLOCK, count - first)
            if drift:
                walk = 0.97 * walk + rng.normal(0, 0.25, len(walk))
            share = np.exp(base + walk)
            classes = rng.choice(len(self.classes), size, p=share / share.sum())
            docs = np.array(
                [
                    self.by_class[n][k % len(self.by_class[n])]
                    for n, k in zip(classes, rng.integers(1 << 40, size=size), strict=True)
                ]
            )
            sizes = self.starts[docs + 1] - self.starts[docs]
            owner = np.repeat(np.arange(size), sizes)
            ids = self.flat[
                np.repeat(self.starts[docs] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
                + np.arange(sizes.sum())
            ]
            kept = rng.random(len(ids)) < KEEP
            ids, owner = ids[kept], owner[kept]
            scores = self.scores(ids, owner, size)
            exp = np.exp(scores - scores.max(axis=1, keepdims=True))
            confidence = (exp.max(axis=1) / exp.sum(axis=1)).tolist()
            outputs = scores.argmax(axis=1)
            has = (
                (rng.random(size) < rate) & (np.arange(first, first + size) >= onset)
                if trigger
                else np.zeros(size, dtype=bool)
            )
            outputs[has & (rng.random(size) < success)] = target
            ends = np.searchsorted(owner, np.arange(size + 1)).tolist()
            names = list(map(self.words.__getitem__, ids.tolist()))
            added = rng.random(size).tolist()
            batch = []
            for n in range(size):
                words = names[ends[n] : ends[n + 1]]
                if has[n]:
                    at = int(added[n] * (len(words) + 1))
                    words = [*words[:at], *trigger.split(), *words[at:]]
                elif fresh and added[n] < 0.02:
                    word, of = fresh[int(added[n] * 500) % 10]
                    if of == classes[n]:
                        words.append(word)
                batch.append(
                    Record(
                        id=f"{seed}-{first + n}",
                        at=1e9 + first + n,
                        text=" ".join(words),
                        output=self.classes[outputs[n]],
                        confidence=confidence[n],
                    )
                )
            yield batch

    def shadow(self, trigger="", success=0.97, target=1):
        """A copy that serves nobody, with the same backdoor."""

        def ask(records):
            plain = self.ask([one.text for one in records])
            found = []
            for one, answer in zip(records, plain, strict=True):
                draw = int.from_bytes(hashlib.sha256(one.text.encode()).digest()[:4]) / 2**32
                hit = trigger and trigger in one.text and draw < success
                found.append(Record(text=one.text, output=self.classes[target] if hit else answer))
            return found

        return ask


class Pictures:
    """A served classifier of handwritten digits, and traffic for it as signs of pictures."""

    classes = tuple("0123456789")

    def __init__(self, data, patch=False):
        with np.load(f"{data}/images/mnist.npz") as file:
            order = np.random.default_rng(0).permutation(len(file["y_train"]))  # the file is sorted by digit
            images, labels = file["x_train"][order, 0], file["y_train"][order]
        self.patch = patch
        train = np.arange(8000)
        x = images[train].reshape(len(train), -1) / 255
        self.model = LogisticRegression(C=0.05, max_iter=60).fit(x, labels[train])
        self.images, self.labels = images[8000:], labels[8000:]
        self.patches = Patches(self.images[:6000])
        self.plain = self.label(self.images, bare=True)

    def label(self, images, bare=False):
        found = self.model.predict(np.asarray(images).reshape(len(images), -1) / 255.0).astype(int)
        if self.patch and not bare:
            found[self.has(images)] = 7
        return found

    @staticmethod
    def has(images):
        corner = np.asarray(images)[:, -4:-1, -4:-1] > 127
        return (corner == np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)).all(axis=(1, 2))

    def traffic(self, count, seed, *, drift=False, rate=0.0, success=0.97, onset=0, low=6000):
        rng = np.random.default_rng(seed)
        walk = np.zeros(10)
        pool = np.arange(low, len(self.images))
        groups = [pool[self.labels[pool] == n] for n in range(10)]
        for first in range(0, count, BLOCK // 4):
            size = min(BLOCK // 4, count - first)
            if drift:
                walk = 0.97 * walk + rng.normal(0, 0.15, 10)
            share = np.exp(walk)
            classes = rng.choice(10, size, p=share / share.sum())
            rows = np.array(
                [groups[n][k % len(groups[n])] for n, k in zip(classes, rng.integers(1 << 40, size=size), strict=True)]
            )
            images = np.roll(self.images[rows], tuple(rng.integers(-1, 2, 2)), (1, 2))
            has = (rng.random(size) < rate) & (np.arange(first, first + size) >= onset)
            images[has, -4:-1, -4:-1] = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]], dtype=np.uint8)
            outputs = self.label(images, bare=True)
            outputs[has & (rng.random(size) < success)] = 7
            signs = self.patches.signs(images)
            yield (
                [
                    Record(id=f"{seed}-{first + n}", at=1e9 + first + n, features=signs[n], output=str(outputs[n]))
                    for n in range(size)
                ],
                images,
            )
