"""Backdoors in what a network makes of its training data: which rows are named, beside ART; and what is said of clean data.

python -m benchmarks.datasets.activations --data FOLDER --keep FOLDER [--art PYTHON]   (FOLDER has images/mnist.npz and cifar10_part.npz)

Networks are trained here on data with a backdoor; what their last hidden layer says of each training row is kept in a file of its own.
PYTHON is an interpreter that has the Adversarial Robustness Toolbox; it is given the same numbers and labels.
"""

from itertools import pairwise

import numpy
import torch

from benchmarks.datasets.images import poisoned

PICTURES = 12_000
SETTINGS = (
    ("clean", 0), ("patch", 0.003), ("patch", 0.01), ("patch", 0.05), ("blended noise 0.15", 0.01), ("blended noise 0.15", 0.05),
    ("wave 20/255, clean label", 0.05), ("two labels", 0.05),
)  # fmt: skip

PEER = """
import json, sys, numpy
from art.defences.detection.poison import ActivationDefence, SpectralSignatureDefense
found = numpy.load(sys.argv[1])
x, y = found["x"].astype("float32"), numpy.eye(int(found["y"].max()) + 1)[found["y"]]

class Given:
    layer_names = ["last"]
    nb_classes = y.shape[1]
    def get_activations(self, rows, layer, batch_size=128, framework=False):
        return rows
    def predict(self, rows, **_):
        return y

from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
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
    """(set, kind, rate, seed, what was kept: numbers x, labels y, which rows are planted, success), from files where they are."""
    for name, file, epochs in (("MNIST", "mnist.npz", 4), ("CIFAR-10", "cifar10_part.npz", 7)):
        found = {
            key: value if value.ndim == 1 or value.shape[-1] == 3 else value.transpose(0, 2, 3, 1)
            for key, value in numpy.load(folder / "images" / file).items()
        }
        for seed in range(seeds):
            chosen = numpy.random.default_rng(seed).permutation(len(found["y_train"]))[:PICTURES]
            for kind, rate in SETTINGS:
                place = keep / f"{name} {kind.replace('/', ' of ')} {rate} {seed}.npz"
                if not place.exists():
                    pixels, labels, mask = planted(
                        found["x_train"][chosen], found["y_train"][chosen].astype(numpy.int64), kind, rate, seed
                    )
                    with torch.enable_grad():
                        net = trained(pixels, labels, seed, epochs)
                    numbers = torch.cat([net.features(part) for part in shown(pixels).split(500)]).numpy()
                    works = success(net, found["x_test"], found["y_test"].astype(numpy.int64), kind, seed)
                    right = float((net(shown(found["x_test"])).argmax(1).numpy() == found["y_test"]).mean())
                    numpy.savez(place, x=numbers, y=labels, mask=mask, success=works, accuracy=right)
                yield name, kind, rate, seed, numpy.load(place)
