"""Train pools of clean and backdoored nets and score them, resumably: one line of JSON a model.

    python -m benchmarks.backdoor.pools --data mnist.npz --out pools/ --net plain --pool references --clean 100
    python -m benchmarks.backdoor.pools --data mnist.npz --out pools/ --net plain --pool test --clean 40 --bad 5

Pools differ by seed, and so by recipe, order and initial weights; `--bad` counts nets of each attack.
"""

import argparse
import json
import time
import zlib
from pathlib import Path

import numpy
import torch

from benchmarks.backdoor.attacks import KINDS, Attack
from benchmarks.backdoor.peers import last_layer, maximum_margin, neural_cleanse
from weighbridge.backdoor.models import Classifier
from weighbridge.backdoor.recipes import NETS, train
from weighbridge.backdoor.vision import chosen, look

WORKING = 0.5  # an attack below this success has failed, and is reported apart


def data(path, train_count, seed=1):
    """(training images, labels, test images, labels), shuffled alike in every run."""
    found = numpy.load(path)
    dice = numpy.random.default_rng(seed)
    made = []
    for part, count in (("train", train_count), ("test", None)):
        order = dice.permutation(len(found[f"y_{part}"]))[:count]
        x, y = found[f"x_{part}"][order], found[f"y_{part}"][order]
        x = x.transpose(0, 3, 1, 2) if x.shape[-1] == 3 else x
        made += [torch.from_numpy(x).float() / 255, torch.from_numpy(y).long()]
    return made


def one(net, pool, number, kind, given, *, peers=False, longer=1):
    """A model and its scores, and with `peers` those of other people's detectors."""
    x, y, tx, ty = given
    shape, classes = tuple(x.shape[1:]), int(y.max()) + 1
    seed = zlib.crc32(f"{pool} {net} {kind} {number}".encode())
    dice = numpy.random.default_rng(seed)
    # Each model has training images of its own: models of one recipe differ by data too.
    own = torch.from_numpy(dice.permutation(len(x))[: len(x) * 2 // 3])
    x, y = x[own], y[own]
    attack = Attack(kind, shape, classes, seed, 1.0 if len(x) > 2000 else 3.0) if kind != "clean" else None
    if attack:
        x, y = attack.poison(x, y, dice)
    begun = time.process_time()
    model = Classifier(train(NETS[net], x, y, classes, seed, longer), shape, about=net, digest="")
    trained = time.process_time() - begun
    row = {"net": net, "pool": pool, "kind": kind, "number": number, "train_seconds": round(trained, 1)}
    # Success is measured on the first part of the test images, the model searched on others.
    held_out = len(tx) * 3 // 4 if len(tx) < 4000 else 3000
    tx, ty, sx, sy = tx[:held_out], ty[:held_out], tx[held_out:], ty[held_out:]
    row["accuracy"] = float((model.predicted(tx) == ty).float().mean())
    if attack:
        held = attack.measured(ty)
        stamped = attack.stamp(tx[held])
        row["success"] = float((model.predicted(stamped) == attack.wanted(ty[held])).float().mean())
        row["target"] = attack.target
    samples = chosen(model, sx[:1000], sy[:1000])
    looked = look(model, samples)
    scores = looked.scores
    row |= {
        "values": scores.values,
        "found": scores.target,
        "outlier": scores.outlier,
        "seconds": round(scores.seconds, 1),
    }
    if peers:
        begun = time.process_time()
        row["neural_cleanse"] = neural_cleanse(model, samples)
        row["neural_cleanse_seconds"] = round(time.process_time() - begun, 1)
        begun = time.process_time()
        row["maximum_margin"] = maximum_margin(model)
        row["maximum_margin_seconds"] = round(time.process_time() - begun, 1)
        row["last_layer"] = last_layer(model)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--net", choices=sorted(NETS), required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--clean", type=int, default=0)
    parser.add_argument("--bad", type=int, default=0)
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--longer", type=int, default=1, help="times the epochs of the recipe")
    parser.add_argument("--peers", action="store_true", help="other people's detectors as well")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{Path(given.data).stem}-{given.net}-{given.pool}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    known = {(row["kind"], row["number"]) for row in map(json.loads, lines)}
    images = data(given.data, given.images)
    wanted = [("clean", n) for n in range(given.clean)] + [(kind, n) for n in range(given.bad) for kind in KINDS]
    for kind, number in wanted:
        if (kind, number) not in known:
            row = one(given.net, given.pool, number, kind, images, peers=given.peers, longer=given.longer)
            with file.open("a") as sink:
                sink.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
