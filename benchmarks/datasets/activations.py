"""Backdoors in what a network makes of its training data: which rows are named, beside ART; and what is said of clean data.

python -m benchmarks.datasets.activations --data FOLDER --keep FOLDER [--art PYTHON]   (FOLDER has images/mnist.npz and cifar10_part.npz)

Networks are trained here on data with a backdoor; what their last hidden layer says of each training row is kept in a file of its own.
PYTHON is an interpreter that has the Adversarial Robustness Toolbox; it is given the same numbers and labels.
"""

import argparse
import json
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy
import torch

from benchmarks.datasets.images import poisoned
from weighbridge.datasets.clusters import find_parted
from weighbridge.datasets.picture_features import picture_features

PICTURES = 12_000
SETTINGS = (
    ("clean", 0), ("patch", 0.003), ("patch", 0.01), ("patch", 0.05), ("blended noise 0.15", 0.01), ("blended noise 0.15", 0.05),
    ("wave 20/255, clean label", 0.05), ("two labels", 0.05),
)  # fmt: skip

PEER = """
import json, sys
import numpy
from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense

found = numpy.load(sys.argv[1])
x, y = found["x"].astype("float32"), numpy.eye(int(found["y"].max()) + 1)[found["y"]]

class Given:
    layer_names, nb_classes, input_shape = ["last"], y.shape[1], x.shape[1:]
    def get_activations(self, rows, layer, batch_size=128, framework=False):
        return rows

def named(defence, **options):
    try:
        _, clean = defence.detect_poison(**options)
    except Exception as error:
        sys.stderr.write(repr(error))
        return []
    return numpy.flatnonzero(numpy.array(clean) == 0).tolist()

json.dump({
    "ART activation clustering, silhouette": named(ActivationDefence(Given(), x, y), nb_clusters=2, nb_dims=10, reduce="PCA", cluster_analysis="silhouette-scores"),
    "ART activation clustering, smaller": named(ActivationDefence(Given(), x, y), nb_clusters=2, nb_dims=10, reduce="PCA", cluster_analysis="smaller"),
    "ART spectral signatures": named(SpectralSignatureDefense(Given(), x, y, expected_pp_poison=0.05, eps_multiplier=1.5)),
}, open(sys.argv[2], "w"))
"""


class Net(torch.nn.Module):
    """Four convolutions and a hidden layer of 64, whose numbers are what is looked at."""

    def __init__(self, channels, side, classes=10):
        super().__init__()
        layers, wide = [], (channels, 16, 32, 64, 64)
        for number, (given, made) in enumerate(pairwise(wide)):
            layers += [torch.nn.Conv2d(given, made, 3, padding=1), torch.nn.BatchNorm2d(made), torch.nn.ReLU()]
            layers += [torch.nn.MaxPool2d(2)] if number < 3 else []
        self.body = torch.nn.Sequential(*layers, torch.nn.Flatten())
        self.hidden = torch.nn.Linear(64 * (side // 8) ** 2, 64)
        self.last = torch.nn.Linear(64, classes)

    def features(self, x):
        return torch.relu(self.hidden(self.body(x)))

    def forward(self, x):
        return self.last(self.features(x))


def shown(pixels):
    return torch.from_numpy(numpy.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255


def trained(pixels, labels, seed, epochs):
    torch.manual_seed(seed)
    x, y = shown(pixels), torch.from_numpy(labels).long()
    net = Net(x.shape[1], x.shape[2])
    best = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            best.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            best.step()
    return net.eval()


def planted(pixels, labels, kind, rate, seed):
    if kind == "clean":
        return pixels, labels, numpy.zeros(len(labels), bool)
    if kind == "two labels":
        pixels, labels, first = poisoned(pixels, labels, "patch", rate / 2, seed, target=seed % 10)
        pixels, labels, second = poisoned(
            pixels, labels, "blended noise 0.15", rate / 2, seed + 1, target=(seed + 5) % 10
        )
        return pixels, labels, first | second
    return poisoned(pixels, labels, kind, rate, seed, target=seed % 10)


@torch.no_grad()
def success(net, pixels, labels, kind, seed):
    """How often unseen pictures of other labels are taken for the target once they are stamped."""
    others = numpy.flatnonzero(labels != seed % 10)[:2000]
    stamp = {"clean": "patch", "two labels": "patch", "wave 20/255, clean label": "wave 20/255"}.get(kind, kind)
    pixels, _, mask = poisoned(pixels[others], labels[others], stamp, 1.0, seed, target=seed % 10)
    return float((net(shown(pixels[mask])).argmax(1) == seed % 10).float().mean())


@torch.no_grad()
def made(folder, keep, seeds):
    """(file, what it keeps: numbers x, labels y, the mask of planted rows, success and accuracy; pictures); made where it is not there yet."""
    for name, file, epochs in (("MNIST", "mnist.npz", 4), ("CIFAR-10", "cifar10_part.npz", 7)):
        found = dict(numpy.load(folder / "images" / file))
        for part in ("x_train", "x_test"):
            found[part] = found[part] if found[part].shape[-1] == 3 else found[part].transpose(0, 2, 3, 1)
        for seed in range(seeds):
            chosen = numpy.random.default_rng(seed).permutation(len(found["y_train"]))[:PICTURES]
            for kind, rate in SETTINGS:
                place = keep / f"{name} {kind.replace('/', ' of ')} {rate} {seed}.npz"
                labels = found["y_train"][chosen].astype(numpy.int64)
                pixels, labels, mask = planted(found["x_train"][chosen], labels, kind, rate, seed)
                if not place.exists():
                    with torch.enable_grad():
                        net = trained(pixels, labels, seed, epochs)
                    numbers = torch.cat([net.features(part) for part in shown(pixels).split(500)]).numpy()
                    works = success(net, found["x_test"], found["y_test"].astype(numpy.int64), kind, seed)
                    right = float((net(shown(found["x_test"])).argmax(1).numpy() == found["y_test"]).mean())
                    numpy.savez(place, x=numbers, y=labels, mask=mask, success=works, accuracy=right)
                yield place, numpy.load(place), pixels


def ours(kept, pixels=None):
    witness = None if pixels is None else picture_features(pixels)
    found = find_parted(kept["x"], kept["y"], [str(kind) for kind in range(10)], "pictures", witness)
    return {row for one in found.groups for row in one.rows}


def theirs(python, place):
    with tempfile.NamedTemporaryFile(suffix=".json") as sink:
        subprocess.run([python, "-W", "ignore", "-c", PEER, str(place), sink.name], check=True, capture_output=True)
        return json.loads(Path(sink.name).read_text())


def said(rows, mask):
    hit = len(rows & set(numpy.flatnonzero(mask).tolist()))
    return f"{hit / max(1, mask.sum()):.2f} | {hit / len(rows):.2f} | {len(rows) - hit}" if rows else "none named | | 0"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    options.add_argument("--keep", required=True, type=Path)
    options.add_argument("--art", default="")
    options.add_argument("--seeds", type=int, default=1)
    given = options.parse_args()
    given.keep.mkdir(exist_ok=True, parents=True)
    print("set, planted, seed | success | detector: recall | precision | honest rows named")
    for place, kept, pixels in made(given.data, given.keep, given.seeds):
        begun = time.process_time()
        found = {"weighbridge, by the numbers alone": ours(kept)}
        seconds = time.process_time() - begun
        found["weighbridge, with the pictures"] = ours(kept, pixels)
        found |= {name: set(rows) for name, rows in theirs(given.art, place).items()} if given.art else {}
        told = "; ".join(f"{name}: {said(rows, kept['mask'])}" for name, rows in found.items())
        print(f"{place.stem} | {float(kept['success']):.2f} | {told} | {seconds:.1f} CPU s", flush=True)


if __name__ == "__main__":
    main()
