"""Knows how the picture of a trigger is recovered, and whether it is one: put on images that no search has seen.

Source: Wang et al., "Neural Cleanse", S&P 2019 (mask and pattern under an L1 penalty that follows the success).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from weighbridge.backdoor.picture import enlarged, png
from weighbridge.backdoor.result import Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.backdoor.models import Classifier

_STEPS: Final = 120
_WANTED: Final = 0.95


def masked(model: Classifier, x: Tensor, target: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(mask from 0 to 1, pattern) of the smallest patch that leads images to a target."""
    dice = torch.Generator().manual_seed(seed)
    channels, height, width = model.shape
    mask = (torch.randn(1, height, width, generator=dice) * 0.1 - 2).requires_grad_()
    pattern = (torch.randn(channels, height, width, generator=dice) * 0.1).requires_grad_()
    optimizer = torch.optim.Adam([mask, pattern], 0.15)
    wanted = torch.full((len(x),), target)
    weight, best, kept = 1e-3, float("inf"), (torch.sigmoid(mask).detach(), torch.sigmoid(pattern).detach())
    for _ in range(_STEPS):
        m, p = torch.sigmoid(mask), torch.sigmoid(pattern)
        scores = model(x * (1 - m) + p * m)
        share = float((scores.argmax(1) == wanted).float().mean())
        area = m.sum()
        if share >= _WANTED and float(area.detach()) < best:
            best, kept = float(area.detach()), (m.detach(), p.detach())
        weight *= 1.15 if share >= _WANTED else 1 / 1.3
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(scores, wanted) + weight * area)
        optimizer.step()
    return kept


def verified(
    model: Classifier, unseen: Tensor, change: Tensor, *, target: int, source: int = -1, mask: Tensor | None = None,
    others: Sequence[Classifier] = (),
) -> Trigger:  # fmt: skip
    """What a trigger does to images that were not searched on, and to other models: a backdoor's does not work there."""
    own = model.predicted(unseen)
    held = unseen[(own != target) & ((own == source) if source >= 0 else torch.ones_like(own, dtype=torch.bool))]
    stamped = _stamped(held, change, mask)
    works = int(_turned(model, held, stamped, target).sum()) if len(held) else 0
    transfers = None
    if others and len(held):
        transfers = max(float(_turned(other, held, stamped, target).float().mean()) for other in others)
    shown = (change * mask if mask is not None else 0.5 + change).clamp(0, 1)
    kind, pixels, size = _covered(change, mask, unseen.mean(0))
    return Trigger(
        kind=kind, target=target, source=source, works=works, of=len(held), transfers=transfers, size=size, pixels=pixels,
        picture=png(enlarged(shown.numpy())), stamped=png(enlarged((stamped[0] if len(held) else shown).numpy())),
    )  # fmt: skip


def _covered(change: Tensor, mask: Tensor | None, usual: Tensor) -> tuple[str, int, float]:
    """What kind of trigger it is, how many pixels it covers, and its size."""
    if mask is None:
        return "change of all pixels", int(change.abs().amax(0).gt(0.05).sum()), float(change.norm())
    size = float(((change - usual) * mask).norm())
    if bool((mask > 0.5).any()):
        return "patch", int((mask > 0.5).sum()), size
    return "blend", int((mask > 0.1).sum()), size


def _stamped(x: Tensor, change: Tensor, mask: Tensor | None) -> Tensor:
    return (x + change).clamp(0, 1) if mask is None else x * (1 - mask) + change * mask


def _turned(model: Classifier, before: Tensor, after: Tensor, target: int) -> Tensor:
    said = model.predicted(after)
    return said == target if target >= 0 else said != model.predicted(before)
