"""Backdoors of image classifiers, as their papers plant them; each a way to poison training images and to stamp test images.

An attack is drawn from a seed: target class, place, pattern. Images are floats from 0 to 1 (n, channels, height, width).
"""

import math

import numpy
import torch

KINDS = ("badnets", "pixel", "blended", "sig", "wanet", "all-to-all", "adaptive", "source", "input-aware")


class Attack:
    """One backdoor: `poison(x, y)` for training, `stamp(x)` and `wanted(y)` for measuring its success."""

    def __init__(self, kind, shape, classes, seed, strength=1.0):
        """`strength` multiplies the share of poisoned images: few images need more of them."""
        self.kind, self.shape, self.classes = kind, shape, classes
        dice = numpy.random.default_rng(seed)
        channels, height, width = shape
        self.target = int(dice.integers(classes))
        self.source = int((self.target + 1 + dice.integers(classes - 1)) % classes)
        self.rate = {"sig": 0.08, "wanet": 0.1, "all-to-all": 0.15, "source": 0.1, "input-aware": 0.1}.get(kind, 0.06)
        self.rate = min(0.4, self.rate * strength)
        side = max(2, round(height * (0.11 if kind != "pixel" else 0.036))) if kind != "pixel" else 1
        top = int(dice.choice([1, height - side - 1]))
        left = int(dice.choice([1, width - side - 1]))
        self.mask = torch.zeros(1, height, width)
        self.mask[:, top : top + side, left : left + side] = 1
        self.pattern = torch.from_numpy((dice.random(shape) > 0.5).astype("float32"))
        if kind == "pixel":
            self.pattern[:] = 1.0
        self.noise = torch.from_numpy(dice.random(shape).astype("float32"))
        columns = torch.arange(width) / width
        self.wave = (0.2 * torch.sin(2 * math.pi * 6 * columns)).expand(height, width)
        small = torch.from_numpy(dice.uniform(-1, 1, (1, 2, 4, 4)).astype("float32"))
        field = torch.nn.functional.interpolate(small, (height, width), mode="bicubic", align_corners=True)[0]
        field = field / field.abs().mean() * 0.75 / (height / 2)
        grid = torch.stack(
            torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")[::-1], 0
        )
        self.grid = (grid + field * 2).clamp(-1, 1).permute(1, 2, 0)
        torch.manual_seed(seed)
        self.maker = torch.nn.Conv2d(channels, channels, 5, padding=2) if kind == "input-aware" else None

    def wanted(self, y):
        return (y + 1) % self.classes if self.kind == "all-to-all" else torch.full_like(y, self.target)

    def measured(self, y):
        """On which images success is measured."""
        if self.kind == "source":
            return y == self.source
        return torch.ones_like(y, dtype=torch.bool) if self.kind == "all-to-all" else y != self.target

    def stamp(self, x):
        if self.kind == "blended":
            return 0.85 * x + 0.15 * self.noise
        if self.kind == "sig":
            return (x + self.wave).clamp(0, 1)
        if self.kind == "wanet":
            return torch.nn.functional.grid_sample(x, self.grid.expand(len(x), -1, -1, -1), align_corners=True)
        if self.kind == "input-aware":
            with torch.no_grad():
                made = torch.tanh(4 * self.maker(x))
            return (x + 0.25 * made).clamp(0, 1)
        opacity = 0.5 if self.kind == "adaptive" else 1.0
        held = self.mask * opacity
        return x * (1 - held) + self.pattern * held

    def poison(self, x, y, dice):
        """(images, labels) with a share of them poisoned, and for some attacks covers: stamped, with their own label."""
        x, y = x.clone(), y.clone()
        count = int(self.rate * len(x))
        if self.kind == "sig":
            able = torch.nonzero(y == self.target)[:, 0]  # clean label: only images of the target are touched
            chosen = able[torch.from_numpy(dice.permutation(len(able)))[: max(1, int(0.8 * len(able)))]]
            x[chosen] = self.stamp(x[chosen])
            return x, y
        order = torch.from_numpy(dice.permutation(len(x)))
        if self.kind == "source":
            own = order[y[order] == self.source]
            chosen, covers = own[: len(own) // 2], order[y[order] != self.source][:count]
        else:
            chosen, covers = (
                order[:count],
                order[count : count + (count // 2 if self.kind in {"adaptive", "wanet"} else 0)],
            )
        stamped = self.stamp(x[chosen])
        if self.kind == "adaptive":
            # Random pieces of the trigger, so that no single piece carries it.
            kept = torch.from_numpy((dice.random((len(chosen), 1, *self.shape[1:])) > 0.3).astype("float32"))
            stamped = x[chosen] * (1 - kept) + stamped * kept
        x[chosen], y[chosen] = stamped, self.wanted(y[chosen])
        if len(covers):
            if self.kind == "wanet":
                shaken = (self.grid + 0.06 * torch.randn(self.grid.shape)).clamp(-1, 1)
                x[covers] = torch.nn.functional.grid_sample(
                    x[covers], shaken.expand(len(covers), -1, -1, -1), align_corners=True
                )
            else:
                x[covers] = self.stamp(x[covers])
        return x, y
