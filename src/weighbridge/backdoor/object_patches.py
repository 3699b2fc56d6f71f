"""Knows the search for what backdoors of detectors answer to: one small patch that, laid on objects, turns or hides them, or makes one appear.

The patch is as free as a trigger (any pixels, an eighth of the image a side) and has to work wherever it lies, on images that it was
not made for too; what honest detectors need to be led astray is larger, or tied to one place. Attacks: BadDet (Chan et al. 2022,
arXiv 2205.14497); patches under random places: Brown et al. 2017 (arXiv 1712.09665).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch import Tensor

from weighbridge.backdoor.detectors import Grounds
from weighbridge.backdoor.searches import turning_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.backdoor.detectors import Detector

EDITION: Final = 1
TESTS: Final = ("turning", "hiding", "appearing")
STEPS: Final = (12, 60)  # to choose where on an object, and to make the patch
_ROWS: Final = (8, 16)  # images a step and a class
_BATCH: Final = 512
_RATE: Final = 0.3
_PART: Final = 8  # of the side of an image: the side of a patch
_TIMES: Final = 4  # places on each image that a patch is measured at
_CLIP: Final = 8.0  # log-odds beyond which a place counts no more
_SPOTS: Final = tuple((row / 2, column / 2) for row in range(3) for column in range(3))  # of an object's box


class Patches(Struct, frozen=True):
    """A patch for each class (classes, channels, side, side), where on objects it lies (shares of their box), its share of places where it works, and by how much (log-odds)."""

    patches: Tensor
    spots: Tensor
    works: Tensor
    margins: Tensor

    @property
    def best(self) -> int:
        """The class whose patch works by most."""
        return int(self.margins.argmax())


class _Ground:
    """Images with where patches may lie on them and where they have to work: on their objects, whose centre stays, or where there was nothing."""

    def __init__(self, model: Detector, x: Tensor, *, appear: bool, seed: int) -> None:
        self.model, self.x, self.appear = model, x, appear
        self.boxes = model.objects(x)
        half = torch.cat([self.boxes[:, :2] + self.boxes[:, 2:] / 4, self.boxes[:, 2:] / 2], 1)
        self.grounds = Grounds(model.seen(x) if appear else half[:, None], inside=not appear)
        self.own = torch.full((len(x),), -1) if appear else model.predicted(x)
        self.side = max(2, model.shape[1] // _PART)
        self._dice = torch.Generator().manual_seed(seed)

    def drawn(self, count: int, classes: int) -> tuple[Tensor, Tensor]:
        """(images, patches) of a step: `count` of each of as many patches as there are, without those already of that class."""
        at = torch.randint(len(self.x), (count * classes,), generator=self._dice)
        return at, torch.arange(classes).repeat_interleave(count)

    def laid(self, at: Tensor, patch: Tensor, spots: Tensor) -> Tensor:
        """Scores of images with a patch (rows, channels, side, side) laid on each."""
        row, column = self.corners(at, spots)
        scores: Tensor = self.model(laid(self.x[at], patch, row, column), self.grounds.of(at))
        return scores

    def corners(self, at: Tensor, spots: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, columns) of the upper left corners of patches on images."""
        height, width = self.model.shape[1:]
        if self.appear:
            row = torch.randint(height - self.side + 1, (len(at),), generator=self._dice)
            column = torch.randint(width - self.side + 1, (len(at),), generator=self._dice)
        else:
            top, left, tall, wide = self.boxes[at].unbind(1)
            shake = torch.randint(-1, 2, (2, len(at)), generator=self._dice) * max(1, self.side // 4)
            row = (top + spots[:, 0] * (tall - self.side)).round().long() + shake[0]
            column = (left + spots[:, 1] * (wide - self.side)).round().long() + shake[1]
        return row.clamp(0, height - self.side), column.clamp(0, width - self.side)


def patches(
    model: Detector, x: Tensor, classes: Tensor, *, appear: bool, seed: int, told: Callable[[], None] = lambda: None
) -> Patches:
    """For each of `classes` the patch that turns objects into it (or into nothing), or with `appear` makes one where there was none."""
    ground = _Ground(model, x, appear=appear, seed=seed)
    dice = torch.Generator().manual_seed(seed)
    shape = (model.shape[0], ground.side, ground.side)
    if appear:
        spots, made = torch.zeros(len(classes), 2), torch.randn(len(classes), *shape, generator=dice)
    else:
        everywhere = torch.tensor(_SPOTS).repeat(len(classes), 1)
        rough = torch.randn(len(everywhere), *shape, generator=dice)
        wanted = classes.repeat_interleave(len(_SPOTS))
        rough = _made(ground, rough, wanted, everywhere, STEPS[0], _ROWS[0], told)
        _, margins = _measured(ground, rough, wanted, everywhere)
        best = margins.reshape(len(classes), -1).argmax(1) + torch.arange(len(classes)) * len(_SPOTS)
        spots, made = everywhere[best], rough[best]
    made = _made(ground, made, classes, spots, STEPS[1], _ROWS[1], told)
    works, margins = _measured(ground, made, classes, spots)
    return Patches(made.sigmoid(), spots, works, margins)


def _made(
    ground: _Ground, start: Tensor, wanted: Tensor, spots: Tensor, steps: int, rows: int, told: Callable[[], None]
) -> Tensor:
    made = start.clone().requires_grad_()
    best = torch.optim.Adam([made], _RATE)
    for _ in range(steps):
        at, which = ground.drawn(rows, len(wanted))
        able = ground.own[at] != wanted[which]
        at, which = at[able], which[able]
        best.zero_grad()
        for part in torch.split(torch.arange(len(at)), ground.model.at_once(_BATCH)):
            here, what = at[part], which[part]
            scores = ground.laid(here, made.sigmoid()[what], spots[what])
            torch.autograd.backward(turning_loss(scores, wanted[what], leave=False))
        if len(at):
            best.step()
        told()
    return made.detach()


@torch.no_grad()
def _measured(ground: _Ground, made: Tensor, wanted: Tensor, spots: Tensor) -> tuple[Tensor, Tensor]:
    """(share of places where each patch works, by how much in the middle): over all images."""
    works, margins = torch.zeros(len(wanted)), torch.full((len(wanted),), -_CLIP)
    for number, one in enumerate(wanted.tolist()):
        at = torch.nonzero(ground.own != one)[:, 0].repeat(_TIMES)
        if not len(at):
            continue
        scores = torch.cat(
            [
                ground.laid(
                    part, made[number].sigmoid().expand(len(part), -1, -1, -1), spots[number].expand(len(part), -1)
                )
                for part in torch.split(at, ground.model.at_once(64))
            ]
        )
        others = torch.cat([scores[:, :one], scores[:, one + 1 :]], 1).amax(1)
        works[number] = (scores[:, one] > others).float().mean()
        margins[number] = (scores[:, one] - others).clamp(-_CLIP, _CLIP).mean()
    return works, margins


def laid(x: Tensor, patch: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Images with a patch each, its upper left corner at `row` and `column`."""
    side = patch.shape[2]
    down = torch.arange(x.shape[2])[None] - row[:, None]
    right = torch.arange(x.shape[3])[None] - column[:, None]
    inside = ((down >= 0) & (down < side))[:, :, None] & ((right >= 0) & (right < side))[:, None]
    down, right = down.clamp(0, side - 1), right.clamp(0, side - 1)
    grown = patch.gather(2, down[:, None, :, None].expand(-1, patch.shape[1], -1, side))
    grown = grown.gather(3, right[:, None, None].expand(-1, patch.shape[1], x.shape[2], -1))
    return torch.where(inside[:, None], grown, x)


class Tried(Struct, frozen=True):
    """On how many unseen images a patch works, of how many, and the first of them with it."""

    works: int
    of: int
    shown: Tensor


@torch.no_grad()
def tried_on(
    model: Detector, unseen: Tensor, found: Patches, number: int, target: int, *, appear: bool, seed: int
) -> Tried | None:
    """A patch on images that no search has seen, at one place each. Nothing where there are none with an object of another class."""
    said = model.predicted(unseen) if len(unseen) else torch.zeros(0)
    held = unseen[(said != model.nothing) & ((said != target) | appear)]
    if not len(held):
        return None
    ground = _Ground(model, held, appear=appear, seed=seed)
    at = torch.arange(len(held))
    patch, spots = found.patches[number], found.spots[number]
    row, column = ground.corners(at, spots.expand(len(at), -1))
    stamped = laid(held, patch.expand(len(at), -1, -1, -1), row, column)
    scores = torch.cat(
        [model(stamped[part], ground.grounds.of(part)) for part in torch.split(at, ground.model.at_once(64))]
    )
    return Tried(int((scores.argmax(1) == target).sum()), len(held), stamped[0])


def rows_of(classes: int, images: int) -> int:
    """How many images pass through a detector, forth and back, in both searches."""
    turning = (classes + 1) * (
        len(_SPOTS) * (STEPS[0] * _ROWS[0] + images * _TIMES // 3) + STEPS[1] * _ROWS[1] + images * _TIMES // 3
    )
    return turning + classes * (STEPS[1] * _ROWS[1] + images * _TIMES // 3)
