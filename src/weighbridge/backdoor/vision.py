"""Knows how a classifier of images is looked over for backdoors: four searches, each with the number that it comes to.

All numbers are natural logarithms, three of sizes (L2, pixels from 0 to 1), one of a ratio: the smaller, the more a backdoor is suspected.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch import Tensor

from weighbridge.backdoor.margins import STARTS, largest_margins, overstated
from weighbridge.backdoor.samples import in_turn
from weighbridge.backdoor.searches import Found, paired, targeted, untargeted
from weighbridge.backdoor.steps import Steps
from weighbridge.backdoor.unlearning import ROUNDS
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.backdoor.models import Classifier

SEARCHES: Final = 2  # edition: numbers of another one are not compared
STEPS: Final = (36, 36, 24, 100)  # targeted, untargeted, paired, margin
IMAGES: Final = 50
TARGETS: Final = 12
NAMES: Final = ("targeted", "untargeted", "paired", "margin")


class Scores(Struct, frozen=True, kw_only=True):
    """What the searches came to.

    `overstated` is the class with the largest margin. `outlier` is how far the smallest target lies from the others of this model, in median
    absolute deviations: what there is to go by without references. `shortlist` are the classes that were searched.
    """

    values: tuple[float, ...]
    target: int
    overstated: int
    outlier: float
    sizes: tuple[float, ...]
    shortlist: tuple[int, ...]
    classes: int
    seconds: float = 0.0


class Looked(Struct, frozen=True):
    """Scores with the changes that belong to them: towards each class of the shortlist, away from any, for each pair."""

    scores: Scores
    changes: Tensor
    away: Tensor
    by_pair: dict[tuple[int, int], Tensor]


def chosen(model: Classifier, images: Tensor, labels: Tensor | None, count: int = IMAGES) -> Tensor:
    """At most `count` images, as many of each class as can be had, that the model gets right where that is known.

    Raises Unavailable for fewer than two classes.
    """
    said = model.predicted(images)
    able = said == labels if labels is not None else torch.ones(len(images), dtype=torch.bool)
    queues = [torch.nonzero((said == one) & able)[:, 0].tolist() for one in torch.unique(said[able]).tolist()]
    if len(queues) < 2:
        raise Unavailable("the samples are all of one class for this model", hint="give samples of several classes")
    return images[in_turn(queues, count)]


def look(
    model: Classifier,
    x: Tensor,
    *,
    seed: int = 0,
    told: Callable[[float], None] = lambda _: None,
    kept: Steps | None = None,
) -> Looked:
    """Search a model on images that it gets right. `told` is called with the share of the work that is done."""
    kept = kept or Steps()
    begun, total, done = time.process_time(), sum(STEPS), 0

    def step() -> None:
        nonlocal done
        done += 1
        told(done / total)

    away = kept.once("untargeted", Found, lambda: untargeted(model, x, steps=STEPS[1], seed=seed, told=step))
    shortlist = _shortlist(model, x, away)
    toward = kept.once("targeted", Found, lambda: targeted(model, x, shortlist, steps=STEPS[0], seed=seed, told=step))
    sources = torch.unique(model.predicted(x))
    pairs = torch.tensor([(s, t) for s in sources.tolist()[:TARGETS] for t in shortlist.tolist() if s != t])
    places = {int(target): at for at, target in enumerate(shortlist.tolist())}
    begin = torch.stack(
        [toward.changes[places[t]] if toward.works[places[t]] else away.changes[0] for _, t in pairs.tolist()]
    )
    begin = torch.where(begin.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) > 0, begin, torch.full_like(begin, 0.1))
    by_pair = kept.once("paired", Found, lambda: paired(model, x, pairs, begin, steps=STEPS[2], seed=seed, told=step))
    margins = kept.once(
        "margin", Tensor, lambda: largest_margins(model, shortlist, steps=STEPS[3], seed=seed, told=step)
    )
    logs = toward.sizes.log()
    scores = Scores(
        values=(float(logs.min()), float(away.sizes.log()[0]), float(by_pair.sizes.log().min()), overstated(margins)),
        target=int(shortlist[int(logs.argmin())]), overstated=int(shortlist[int(margins.argmax())]), outlier=anomaly_index(toward.sizes),
        sizes=tuple(round(float(one), 4) for one in toward.sizes), shortlist=tuple(shortlist.tolist()), classes=model.classes,
        seconds=time.process_time() - begun,
    )  # fmt: skip
    changes = {(int(s), int(t)): by_pair.changes[at] for at, (s, t) in enumerate(pairs.tolist())}
    return Looked(scores, toward.changes, away.changes[0], changes)


def _shortlist(model: Classifier, x: Tensor, away: Found) -> Tensor:
    """The classes to search: all of a few, else those that images fall into most when they are pushed about."""
    if model.classes <= TARGETS:
        return torch.arange(model.classes)
    with torch.no_grad():
        pushed = away.changes if bool(away.works[0]) else torch.randn_like(away.changes)
        scores = torch.stack([model((x + scale * pushed).clamp(0, 1)).softmax(1).mean(0) for scale in (0.5, 1.0, 2.0)])
    return scores.mean(0).topk(TARGETS).indices.sort().values


def anomaly_index(sizes: Tensor) -> float:
    """The anomaly index of Neural Cleanse (Wang et al. 2019), of sizes of changes; 0 where there are too few classes."""
    if len(sizes) < 4:
        return 0.0
    middle = sizes.median()
    spread = 1.4826 * (sizes - middle).abs().median()
    return max(0.0, float((middle - sizes.min()) / spread.clamp_min(1e-6)))


def work(model: Classifier, *, again: bool = False) -> float:
    """How many seconds `look` takes here, about; with `again` also what unlearning takes."""
    classes = min(model.classes, TARGETS)
    rows = IMAGES * (STEPS[1] + (STEPS[0] + STEPS[2]) * classes) + STARTS * STEPS[3] * classes
    rows += IMAGES * (STEPS[0] * classes + ROUNDS) if again else 0
    return model.seconds() * math.ceil(rows / 32)
