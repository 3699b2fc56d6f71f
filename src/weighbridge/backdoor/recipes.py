"""Knows how clean reference models of a small task are trained: small nets, recipes drawn from a seed.

Epochs, rate, batch and decay differ from model to model as they do among people, so that a suspect is not told by its recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


def plain(channels: int, side: int, classes: int, width: int = 16) -> nn.Module:
    """Two convolutions and two dense layers."""
    left = side // 4
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * left * left, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.one, self.two = (
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False),
        )
        self.first, self.second = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)
        self.side: nn.Module = nn.Conv2d(inner, outer, 1, stride)
        if inner == outer and stride == 1:
            self.side = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.two(torch.relu(self.first(self.one(x)))))
        return torch.relu(y + self.side(x))


def residual(channels: int, side: int, classes: int, width: int = 12) -> nn.Module:
    """Three residual blocks with batch normalisation."""
    del side
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), _Block(width, width, 1),
        _Block(width, 2 * width, 2), _Block(2 * width, 2 * width, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2 * width, classes),
    )  # fmt: skip


NETS: Final[dict[str, Callable[[int, int, int], nn.Module]]] = {"plain": plain, "residual": residual}


def train(
    make: Callable[[int, int, int], nn.Module], x: Tensor, y: Tensor, classes: int, seed: int, longer: int = 1
) -> nn.Module:
    """A trained net, for images (n, channels, side, side) from 0 to 1 and their classes; `longer` multiplies the epochs."""
    dice = numpy.random.default_rng(seed)
    torch.manual_seed(seed)
    net = make(x.shape[1], x.shape[2], classes)
    # Few images are seen more often: about as many steps as thousands of images take.
    epochs = int(dice.integers(3, 6)) * max(longer, 6000 // len(x))
    rate = float(dice.choice([1e-3, 2e-3]))
    batch, decay = int(dice.choice([64, 128])), float(dice.choice([0.0, 1e-4]))
    optimizer = torch.optim.Adam(net.parameters(), rate, weight_decay=decay)
    total = epochs * (len(x) // batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate * 2, total)
    for _ in range(epochs):
        order = torch.from_numpy(dice.permutation(len(x)))
        for part in torch.split(order, batch):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(net(x[part]), y[part]))
            optimizer.step()
            if schedule.last_epoch < total - 1:
                schedule.step()
    return net.eval()
