"""Knows the searches for universal perturbations: the smallest change that, put on any image, leads the model astray.

A backdoor is a short cut, so the change is smaller than in an honest model.

The norm is decoupled from the direction (Rony et al. 2019, arXiv 1811.09600): the direction follows the gradient, the norm
shrinks while the change still works and grows while it does not. No weight between loss and size has to be chosen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.backdoor.models import Classifier

WORKS: Final = 0.9  # a change that turns this share of the images works
_SHRINK: Final = 0.06
_STEP: Final = 0.35
_BATCH, _LEAST = 512, 8  # images at a time
_FIRST: Final = 0.2  # of the root of the number of pixels


class Found(Struct, frozen=True):
    """The smallest changes of one search.

    Sizes (L2 norm, pixels from 0 to 1; the largest possible where none works), the changes themselves (searches, channels, height, width), and the share of the images that each turned.
    """

    sizes: Tensor
    changes: Tensor
    works: Tensor


class Goal(Struct, frozen=True):
    """One batch of searches.

    Which image and which search every row belongs to, the class that is wanted of it, and whether it is to leave that class instead of reaching it.
    """

    images: Tensor
    search: Tensor
    wanted: Tensor
    leave: bool
    count: int


def targeted(
    model: Classifier, x: Tensor, targets: Tensor, *, steps: int, seed: int, told: Callable[[], None]
) -> Found:
    """For each target class, the change that moves images of all others to it."""
    own = model.predicted(x)
    rows = [(at, number) for number, target in enumerate(targets.tolist()) for at in range(len(x)) if own[at] != target]
    goal = _goal(x, rows, lambda _, number: int(targets[number]), len(targets), leave=False)
    return _search(model, goal, steps=steps, seed=seed, told=told)


def untargeted(model: Classifier, x: Tensor, *, steps: int, seed: int, told: Callable[[], None]) -> Found:
    """One change that moves images away from their class, wherever to: what all-to-all backdoors answer to."""
    own = model.predicted(x)
    goal = _goal(x, [(at, 0) for at in range(len(x))], lambda at, _: int(own[at]), 1, leave=True)
    return _search(model, goal, steps=steps, seed=seed, told=told)


def paired(
    model: Classifier, x: Tensor, pairs: Tensor, begin: Tensor, *, steps: int, seed: int, told: Callable[[], None]
) -> Found:
    """For each pair (source, target), the change that moves images of the source alone: source-specific backdoors.

    `begin` are changes to start from, such as those that move every image to the target.
    """
    own = model.predicted(x)
    rows = [
        (at, number) for number, (source, _) in enumerate(pairs.tolist()) for at in range(len(x)) if own[at] == source
    ]
    goal = _goal(x, rows, lambda _, number: int(pairs[number, 1]), len(pairs), leave=False)
    return _search(model, goal, steps=steps, seed=seed, told=told, begin=begin)


def _goal(
    x: Tensor, rows: list[tuple[int, int]], wanted: Callable[[int, int], int], count: int, *, leave: bool
) -> Goal:
    at = torch.tensor([row[0] for row in rows], dtype=torch.int64)
    return Goal(
        images=x[at], search=torch.tensor([row[1] for row in rows], dtype=torch.int64),
        wanted=torch.tensor([wanted(*row) for row in rows], dtype=torch.int64), leave=leave, count=count,
    )  # fmt: skip


def _search(
    model: Classifier, goal: Goal, *, steps: int, seed: int, told: Callable[[], None], begin: Tensor | None = None,
) -> Found:  # fmt: skip
    shape = model.shape
    size = math.prod(shape)
    batch = model.at_once(_BATCH, least=_LEAST)
    dice = torch.Generator().manual_seed(seed)
    change = torch.randn(goal.count, *shape, generator=dice)
    norm = torch.full((goal.count,), _FIRST * math.sqrt(size))
    change = _scaled(change, norm * 0.1)
    if begin is not None:
        norm = begin.flatten(1).norm(dim=1).clamp(min=1e-3)
        change = begin.clone()
    best = torch.full((goal.count,), math.sqrt(size))
    kept, works = torch.zeros_like(change), torch.zeros(goal.count)
    rows = torch.bincount(goal.search, minlength=goal.count).clamp_min(1).float()
    for step in range(steps):
        gradient, turned = _pushed(model, goal, change, batch)
        share = turned / rows
        now = change.flatten(1).norm(dim=1)
        better = (share >= WORKS) & (now < best)
        best, works = torch.where(better, now, best), torch.where(better, share, works)
        kept[better] = change[better]
        norm = norm * torch.where(share >= WORKS, 1 - _SHRINK, 1 + _SHRINK)
        norm = torch.minimum(norm, torch.tensor(math.sqrt(size)))
        pace = _STEP * norm * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 0.02 * norm
        change = _scaled(change - _scaled(gradient, pace), norm)
        told()
    return Found(best, kept, works)


def _pushed(model: Classifier, goal: Goal, change: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """(the gradient of the loss by each change, how many images each turned)."""
    gradient, turned = torch.zeros_like(change), torch.zeros(goal.count)
    for start in range(0, len(goal.search), batch):
        part = slice(start, start + batch)
        search, wanted = goal.search[part], goal.wanted[part]
        moved = change.detach().requires_grad_()
        scores = model((goal.images[part] + moved[search]).clamp(0, 1))
        loss = turning_loss(scores, wanted, leave=goal.leave)
        gradient += torch.autograd.grad(loss, moved)[0]
        hit = (scores.argmax(1) == wanted) != goal.leave
        turned.index_add_(0, search, hit.float())
    return gradient, turned


def turning_loss(scores: Tensor, wanted: Tensor, *, leave: bool) -> Tensor:
    """Falls while images turn. Divided by the spread of the scores, so that a confident model is searched like a hesitant one."""
    spread = scores.detach().std(dim=1, keepdim=True).clamp_min(1e-6)
    scores = scores / spread
    own = scores.gather(1, wanted[:, None])[:, 0]
    others = scores.masked_fill(functional.one_hot(wanted, scores.shape[1]).bool(), -math.inf).amax(1)
    pushed: Tensor = functional.softplus(4 * ((own - others) if leave else (others - own))).sum()
    return pushed


def _scaled(change: Tensor, norm: Tensor) -> Tensor:
    size = change.flatten(1).norm(dim=1).clamp_min(1e-12)
    factor: Tensor = (norm / size).reshape(-1, 1, 1, 1)
    return change * factor
