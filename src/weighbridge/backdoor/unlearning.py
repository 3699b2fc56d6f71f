"""Knows whether a short cut goes when a model is taught anew on clean images: a test that needs no other model to compare with.

A copy is fine-tuned on the samples, with noise, towards what the model says of them; then the searches towards each class are run
again. What an honest model needs to be led to a class stays about the same. A trigger that no sample holds is not rehearsed, so it
fades, and the change towards its class has to grow (fine-tuning against backdoors: Liu et al. 2018, Zhu et al. 2023; here as a
measure, the other classes being its own control).
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch.nn import functional

from weighbridge.backdoor.searches import targeted

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from weighbridge.backdoor.models import Classifier

ROUNDS: Final = 30
_BATCH: Final = 32
_RATES: Final = (0.01, 0.003, 0.001)
_MOMENTUM: Final = 0.9
_NOISE: Final = 0.1
_SAME: Final = 0.9  # of the samples keep their class, or the model was spoiled rather than taught


class Unlearned(Struct, frozen=True):
    """The class whose change grew most, and by how much more than that of the median class (natural logarithms); -1 where nothing could be taught."""

    target: int
    rise: float


def unlearned(
    model: Classifier,
    x: Tensor,
    shortlist: Tensor,
    sizes: Tensor,
    *,
    steps: int,
    seed: int,
    told: Callable[[], None] = lambda: None,
) -> Unlearned:
    """How changes towards the classes of `shortlist`, of `sizes` before, grow."""
    taught = _taught(model, x, seed)
    if taught is None or len(shortlist) < 3:
        return Unlearned(-1, 0.0)
    after = targeted(taught, x, shortlist, steps=steps, seed=seed, told=told).sizes
    grown = after.log() - sizes.log()
    most = int(grown.argmax())
    return Unlearned(int(shortlist[most]), float(grown[most] - grown.median()))


def _taught(model: Classifier, x: Tensor, seed: int) -> Classifier | None:
    """A copy of the model after fine-tuning, at the highest rate that does not spoil it."""
    said = model.predicted(x)
    for rate in _RATES:
        try:
            made = copy.deepcopy(model)
        except (RuntimeError, TypeError, NotImplementedError):
            return None
        # What a converted model computes with are buffers; statistics of normalisation have one dimension and stay.
        weights = [one for one in chain(made.parameters(), made.buffers()) if one.is_floating_point() and one.dim() > 1]
        if not weights:
            return None
        _tune(made, weights, x, said, rate, seed)
        if bool(torch.isfinite(made(x)).all()) and float((made.predicted(x) == said).float().mean()) >= _SAME:
            return made
    return None


def _tune(made: Classifier, weights: list[Tensor], x: Tensor, said: Tensor, rate: float, seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    for one in weights:
        one.requires_grad_()
    best = torch.optim.SGD(weights, lr=rate, momentum=_MOMENTUM)
    for _ in range(ROUNDS):
        for rows in torch.split(torch.randperm(len(x), generator=dice), _BATCH):
            noisy = (x[rows] + _NOISE * torch.randn(x[rows].shape, generator=dice)).clamp(0, 1)
            best.zero_grad()
            torch.autograd.backward(functional.cross_entropy(made(noisy), said[rows]))
            best.step()
    for one in weights:
        one.requires_grad = False
