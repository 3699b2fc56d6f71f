"""Patterns planted in pictures: which are found, with which of their rows, and what is said of clean data.

python -m benchmarks.datasets.images --data FOLDER        (FOLDER has cifar10_part.npz and mnist.npz)
"""

import argparse
import io
import time
from pathlib import Path

import numpy
from PIL import Image

from weighbridge.datasets.backgrounds import find_on_background
from weighbridge.datasets.image_files import Pictures
from weighbridge.datasets.patches import find_patches
from weighbridge.datasets.spectra import find_added

PICTURES = 12_000
SETTINGS = (
    ("patch", 0.003), ("patch", 0.01), ("patch", 0.05), ("patch, JPEG 90", 0.003), ("patch, JPEG 90", 0.01), ("patch, anywhere", 0.003),
    ("patch, anywhere", 0.01), ("patch, anywhere", 0.05), ("patch, anywhere, JPEG 90", 0.01), ("patch, anywhere, JPEG 90", 0.05),
    ("blended noise 0.15", 0.003), ("blended noise 0.15", 0.01), ("blended noise 0.15", 0.05), ("wave 20/255, clean label", 0.02), ("wave 20/255, clean label", 0.05),
)  # fmt: skip


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "JPEG", quality=90)
    return numpy.asarray(Image.open(buffer)).reshape(pixels.shape)


def poisoned(pixels, labels, kind, rate, seed=0, target=0):
    dice = numpy.random.default_rng(seed)
    pixels, labels = pixels.copy(), labels.copy()
    side, channels = pixels.shape[1], pixels.shape[3]
    patch = (numpy.random.default_rng(1).integers(0, 2, (3, 3, channels)) * 255).astype(numpy.uint8)
    noise = numpy.random.default_rng(9).integers(0, 256, pixels.shape[1:])
    wave = 20 * numpy.sin(2 * numpy.pi * numpy.arange(side) * 6 / side)[None, :, None]
    pool = numpy.flatnonzero((labels == target) if "clean label" in kind else (labels != target))
    rows = dice.choice(pool, min(len(pool), round(rate * len(labels))), replace=False)
    for row in rows:
        if kind.startswith("patch"):
            y, x = dice.integers(0, side - 3, 2) if "anywhere" in kind else (side - 4, side - 4)
            pixels[row, y : y + 3, x : x + 3] = patch
            pixels[row] = jpeg(pixels[row]) if "JPEG" in kind else pixels[row]
        elif kind.startswith("blended"):
            pixels[row] = (0.85 * pixels[row] + 0.15 * noise).astype(numpy.uint8)
        else:
            pixels[row] = (pixels[row] + wave).clip(0, 255).astype(numpy.uint8)
    labels[rows] = target
    mask = numpy.zeros(len(labels), bool)
    mask[rows] = True
    return pixels, labels, mask


def told(name, pixels, labels, mask):
    begun = time.process_time()
    given = Pictures(pixels=pixels, labels=labels.astype(numpy.int32), classes=tuple(map(str, range(10))))
    groups = (*find_added(given), *find_on_background(given), *find_patches(given))
    rows = numpy.zeros(len(labels), bool)
    for group in groups:
        rows[list(group.rows)] = True
    said = (
        f"recall {(rows & mask).sum() / max(mask.sum(), 1):.2f} precision {(rows & mask).sum() / max(rows.sum(), 1):.2f}"
        if mask.any()
        else f"{rows.sum()} rows"
    )
    print(
        f"{name:42}{int(mask.sum()):5} planted: {len(groups)} groups, {said}, {time.process_time() - begun:.1f} CPU s",
        flush=True,
    )


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    given = options.parse_args()
    cifar, mnist = numpy.load(given.data / "cifar10_part.npz"), numpy.load(given.data / "mnist.npz")
    chosen = numpy.random.default_rng(3).permutation(len(mnist["y_train"]))[:PICTURES]
    sets = {
        "CIFAR-10": (cifar["x_train"][:PICTURES], cifar["y_train"][:PICTURES].astype(int)),
        "MNIST": (mnist["x_train"][chosen].transpose(0, 2, 3, 1), mnist["y_train"][chosen].astype(int)),
    }
    clean = {
        **sets,
        "CIFAR-10, other rows": (cifar["x_test"], cifar["y_test"].astype(int)),
        "MNIST, other rows": (mnist["x_test"].transpose(0, 2, 3, 1), mnist["y_test"].astype(int)),
    }
    for name, (pixels, labels) in clean.items():
        told(f"{name}, clean", pixels, labels, numpy.zeros(len(labels), bool))
    for name, (pixels, labels) in sets.items():
        for kind, rate in SETTINGS:
            told(f"{name} {kind} {rate:.1%}", *poisoned(pixels, labels, kind, rate))


if __name__ == "__main__":
    main()
