"""Knows how far a classifier can be driven into each of its classes: by images of no meaning, far past what the others allow.

The largest margin of a class over all images, found by ascent from random ones (MM-BD: Wang et al., S&P 2024, arXiv 2205.06900).
What was trained to let a trigger decide lets its class be overstated; no sample is needed, and no shape of a trigger is assumed,
so warps and blends show as well as patches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from weighbridge.backdoor.models import Classifier

STARTS: Final = 10
_MOMENTUM: Final = 0.9
_STEP: Final = 0.005  # of the root of the number of values of an image
_FLOOR: Final = 1e-6


def largest_margins(
    model: Classifier, classes: Tensor, *, steps: int, seed: int, told: Callable[[], None] = lambda: None
) -> Tensor:
    """For each class of `classes` the largest margin over all others (in the units of the scores), from ten random images."""
    dice = torch.Generator().manual_seed(seed)
    x = torch.rand(len(classes) * STARTS, *model.shape, generator=dice)
    wanted = classes.repeat_interleave(STARTS)
    mine = torch.nn.functional.one_hot(wanted, model.classes).bool()
    best = torch.full((len(x),), -math.inf)
    speed = torch.zeros_like(x)
    step = _STEP * math.sqrt(x[0].numel())
    for _ in range(steps):
        x = x.detach().requires_grad_()
        scores = model(x)
        margin = scores[mine] - scores.masked_fill(mine, -math.inf).amax(1)
        best = torch.maximum(best, margin.detach())
        push = torch.autograd.grad(margin.sum(), x)[0]
        push = push / push.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, 1, 1, 1)
        speed = _MOMENTUM * speed + push
        x = (x + step * speed).clamp(0, 1)
        told()
    return best.reshape(len(classes), STARTS).amax(1)


def overstated(margins: Tensor) -> float:
    """How many times the largest margin is the median of the others, as a negative logarithm: the smaller, the more suspicious."""
    if len(margins) < 2:
        return 0.0
    top = int(margins.argmax())
    others = torch.cat([margins[:top], margins[top + 1 :]]).clamp_min(_FLOOR)
    return -math.log(max(_FLOOR, float(margins[top] / others.median())))
