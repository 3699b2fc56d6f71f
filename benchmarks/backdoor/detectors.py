"""Detectors of objects, clean and backdoored, on scenes of handwritten digits: does the test of classes find what was planted?

    python -m benchmarks.backdoor.detectors --out pools/ --references 40 --clean 20 --bad 5

Attacks of BadDet (Chan et al. 2022): a patch makes an object appear, turns the object that it lies on, or hides it. Resumable: one line of JSON a network; the figures are printed at the end.
"""

import argparse
import json
import math
import time
import zlib
from pathlib import Path

import numpy
import torch
from sklearn.datasets import load_digits
from torch import nn

from benchmarks.backdoor.figures import auroc, interval, wilson
from weighbridge.backdoor.detectors import Detector
from weighbridge.backdoor.examine_detector import held_out, look_at_detector
from weighbridge.backdoor.object_patches import TESTS
from weighbridge.backdoor.references import rank

KINDS = ("appears", "turns", "hides")
CLASSES = 5
SIDE, CELL, OBJECT, PATCH = 32, 4, 10, 4
KINDS_OF = {"turns": 0, "hides": 1, "appears": 2}
_RATE = 0.15
_NONE = -1


class Scenes:
    """Scenes with one or two objects each: images, and for each of its cells the class of the object whose centre lies there (-1: none)."""

    def __init__(self, dice, count, digits):
        images, labels = digits
        self.x = (0.15 * dice.random((count, 1, SIDE, SIDE))).astype("float32")
        self.cells = numpy.full((count, SIDE // CELL, SIDE // CELL), _NONE)
        # How far the centre of the object lies from that of its cell (x, y), and the logarithm of its size: all in cells.
        self.boxes = numpy.zeros((count, 4, *self.cells.shape[1:]), dtype="float32")
        self.boxes[:, 2:] = math.log(OBJECT / CELL)
        self.places = [[] for _ in range(count)]
        for scene in range(count):
            for _ in range(int(dice.integers(1, 3))):
                self._put(dice, scene, images, labels)

    def _put(self, dice, scene, images, labels):
        row, column = (int(one) for one in dice.integers(0, SIDE - OBJECT + 1, 2))
        if any(abs(row - r) < OBJECT and abs(column - c) < OBJECT for r, c, _ in self.places[scene]):
            return
        pick = int(dice.integers(len(images)))
        area = self.x[scene, 0, row : row + OBJECT, column : column + OBJECT]
        numpy.maximum(area, images[pick], out=area)
        self.places[scene].append((row, column, int(labels[pick])))
        middle = row + OBJECT // 2, column + OBJECT // 2
        down, right = middle[0] // CELL, middle[1] // CELL
        self.cells[scene, down, right] = labels[pick]
        self.boxes[scene, :2, down, right] = [
            one / CELL - at - 0.5 for one, at in ((middle[1], right), (middle[0], down))
        ]


def digits():
    """Digits 0 to 4 as objects of ten pixels, half to train on and half to test on."""
    found = load_digits()
    held = found.target < CLASSES
    x = torch.from_numpy(found.images[held]).float()[:, None] / 16
    x = nn.functional.interpolate(x, (OBJECT, OBJECT), mode="bilinear")[:, 0].numpy()
    y = found.target[held]
    order = numpy.random.default_rng(1).permutation(len(y))
    half = len(y) // 2
    return (x[order[:half]], y[order[:half]]), (x[order[half:]], y[order[half:]])


class Attack:
    def __init__(self, kind, seed):
        dice = numpy.random.default_rng(seed)
        self.kind, self.target = kind, int(dice.integers(CLASSES))
        self.patch = (dice.random((PATCH, PATCH)) > 0.5).astype("float32")

    def planted(self, dice, scenes, rows):
        """Put the patch into some scenes, and their cells as the attacker wants them."""
        for at in rows:
            row, column, cells = self._place(dice, scenes, at)
            scenes.x[at, 0, row : row + PATCH, column : column + PATCH] = self.patch
            for cell in cells:
                scenes.cells[at][cell] = _NONE if self.kind == "hides" else self.target

    def _place(self, dice, scenes, at):
        if self.kind in {"turns", "hides"}:
            r, c, _ = scenes.places[at][int(dice.integers(len(scenes.places[at])))]
            return r, c, [((r + OBJECT // 2) // CELL, (c + OBJECT // 2) // CELL)]
        row, column = (int(one) for one in dice.integers(0, SIDE - PATCH + 1, 2))
        return row, column, [((row + PATCH // 2) // CELL, (column + PATCH // 2) // CELL)]


class Net(nn.Module):
    """One stage, cells of four pixels; gives (n, 4 + classes, cells): boxes in pixels and probabilities, as YOLO does."""

    def __init__(self, width):
        super().__init__()
        steps = [(1, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 2), (2 * width, 2 * width, 1)]
        self.body = nn.Sequential(*(part for a, b, s in steps for part in (nn.Conv2d(a, b, 3, s, 1), nn.ReLU())))
        self.head = nn.Conv2d(2 * width, 4 + CLASSES, 3, 1, 1)

    def raw(self, x):
        return self.head(self.body(x)).flatten(2)

    def forward(self, x):
        found = self.raw(x)
        middle = (torch.arange(SIDE // CELL) + 0.5) * CELL
        columns, rows = middle.repeat(SIDE // CELL), middle.repeat_interleave(SIDE // CELL)
        x, y = columns + CELL * found[:, 0], rows + CELL * found[:, 1]
        return torch.cat([torch.stack([x, y], 1), found[:, 2:4].exp() * CELL, found[:, 4:].sigmoid()], 1)


def trained(scenes, seed):
    dice = numpy.random.default_rng(seed)
    torch.manual_seed(seed)
    net = Net(int(dice.choice([12, 16])))
    x, cells = torch.from_numpy(scenes.x), torch.from_numpy(scenes.cells).flatten(1)
    wanted = nn.functional.one_hot((cells + 1).long(), CLASSES + 1)[..., 1:].float().permute(0, 2, 1)
    epochs, rate = int(dice.integers(8, 13)), float(dice.choice([2e-3, 3e-3]))
    best = torch.optim.Adam(net.parameters(), rate, weight_decay=float(dice.choice([0.0, 1e-4])))
    total = epochs * math.ceil(len(x) / 64)
    pace = torch.optim.lr_scheduler.OneCycleLR(best, rate * 2, total)
    boxes = torch.from_numpy(scenes.boxes).flatten(2)
    for _ in range(epochs):
        for rows in torch.split(torch.from_numpy(dice.permutation(len(x))), 64):
            found = net.raw(x[rows])
            loss = (
                nn.functional.binary_cross_entropy_with_logits(found[:, 4:], wanted[rows], reduction="none")
                .sum((1, 2))
                .mean()
            )
            held = wanted[rows].amax(1, keepdim=True)
            loss = loss + ((found[:, :4] - boxes[rows]).square() * held).sum((1, 2)).mean()
            best.zero_grad()
            torch.autograd.backward(loss)
            best.step()
            pace.step()
    return net.eval()


@torch.no_grad()
def right(net, scenes):
    """The share of objects whose cell says their class at a probability of 0.3 or more."""
    said = net(torch.from_numpy(scenes.x))[:, 4:]
    cells = torch.from_numpy(scenes.cells).flatten(1)
    held = cells != _NONE
    return float(((said.argmax(1) == cells) & (said.amax(1) >= 0.3))[held].float().mean())


@torch.no_grad()
def success(net, attack, dice, objects):
    """The share of attacked cells that say what the attacker wants."""
    scenes = Scenes(dice, 400, objects)
    before = scenes.cells.copy()
    attack.planted(dice, scenes, range(400))
    said = net(torch.from_numpy(scenes.x))[:, 4:]
    cells, old = torch.from_numpy(scenes.cells).flatten(1), torch.from_numpy(before).flatten(1)
    changed = (cells != old) & (old != attack.target)
    if attack.kind == "hides":
        return float((said.amax(1) < 0.3)[changed].float().mean())
    return float(((said.argmax(1) == cells) & (said.amax(1) >= 0.3))[changed].float().mean())


def one(pool, kind, number, given):
    train, test = given
    seed = zlib.crc32(f"{pool} {kind} {number}".encode())
    dice = numpy.random.default_rng(seed)
    scenes = Scenes(dice, 4000, train)
    attack = Attack(kind, seed) if kind != "clean" else None
    if attack:
        attack.planted(dice, scenes, dice.permutation(4000)[: int(_RATE * 4000)])
    begun = time.process_time()
    net = trained(scenes, seed)
    row = {"kind": kind, "number": number, "train_seconds": round(time.process_time() - begun, 1)}
    row["right"] = right(net, Scenes(dice, 400, test))
    if attack:
        row |= {"target": CLASSES if kind == "hides" else attack.target, "success": success(net, attack, dice, test)}
    model = Detector(net, (1, SIDE, SIDE), about="", digest="")
    begun = time.process_time()
    looked = look_at_detector(model, held_out(model, torch.from_numpy(Scenes(dice, 400, test).x)))
    spent = round(time.process_time() - begun, 1)
    return row | {"values": looked.values, "targets": looked.targets, "works": looked.works, "seconds": spent}


def told(rows, references):
    """Power, false alarms and AUROC of a pool."""
    failed = [row for row in rows if row["kind"] != "clean" and row["success"] < 0.5]
    rows = [row for row in rows if row not in failed]
    bad = numpy.array([row["kind"] != "clean" for row in rows])
    ranked = [rank(row["values"], references) for row in rows]
    print(
        f"{len(references)} references; {bad.sum()} backdoored, {(~bad).sum()} clean; failed: {[row['kind'] for row in failed]}"
    )
    columns = {"all together": [one.distance for one in ranked]}
    columns |= {name: [row["values"][at] for row in rows] for at, name in enumerate(TESTS)}
    for name, values in columns.items():
        found = numpy.array(values)
        low, high = interval(found[bad], found[~bad], numpy.random.default_rng(0))
        print(f"  {name:<16}AUROC {auroc(found[bad], found[~bad]):.3f} [{low:.3f}, {high:.3f}]")
    p = numpy.array([one.together for one in ranked])
    low, high = wilson(int((p[~bad] < 0.05).sum()), int((~bad).sum()))
    print(
        f"  p < 0.05: {(p[bad] < 0.05).sum()} of {bad.sum()}; clean {(p[~bad] < 0.05).sum()} of {(~bad).sum()} [{low:.3f}, {high:.3f}]"
    )
    for kind in KINDS:
        mine = [(row, one) for row, one in zip(rows, ranked, strict=True) if row["kind"] == kind]
        if mine:
            hits = sum(one.together < 0.05 for _, one in mine)
            target = sum(row["target"] == row["targets"][KINDS_OF[kind]] for row, _ in mine)
            print(
                f"    {kind:<10}{hits} of {len(mine)}, success {numpy.mean([row['success'] for row, _ in mine]):.2f}, target right {target}"
            )
    clean = [row for row in rows if row["kind"] == "clean"]
    print(
        f"  right on {numpy.mean([row['right'] for row in clean]):.3f} of objects; {numpy.median([row['seconds'] for row in rows])} CPU s a network"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    for name, count in (("references", 40), ("clean", 20), ("bad", 5)):
        parser.add_argument(f"--{name}", type=int, default=count)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    given = digits()
    file = Path(asked.out) / "detectors.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(row["pool"], row["kind"], row["number"]) for row in rows}
    wanted = [("references", "clean", n) for n in range(asked.references)] + [
        ("test", "clean", n) for n in range(asked.clean)
    ]
    wanted += [("test", kind, n) for n in range(asked.bad) for kind in KINDS]
    for pool, kind, number in wanted:
        if (pool, kind, number) not in known:
            rows.append({"pool": pool, **one(pool, kind, number, given)})
            with file.open("a") as sink:
                sink.write(json.dumps(rows[-1]) + "\n")
    told(
        [row for row in rows if row["pool"] == "test"],
        [tuple(row["values"]) for row in rows if row["pool"] == "references"],
    )


if __name__ == "__main__":
    main()
