"""Knows how one detector of objects is tested: patches searched, held against clean detectors, verified on images that no search has seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy
import torch
from msgspec import Struct

from weighbridge.backdoor.object_patches import EDITION, STEPS, TESTS, Patches, Tried, patches, rows_of, tried_on
from weighbridge.backdoor.picture import enlarged, png
from weighbridge.backdoor.references import rank
from weighbridge.backdoor.result import FOUND, SUSPICIOUS, TURNS, Test, Trigger, Verdict, told_where_it_breaks
from weighbridge.backdoor.samples import in_turn, unseen_of
from weighbridge.backdoor.steps import Steps
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from weighbridge.backdoor.detectors import Detector
    from weighbridge.backdoor.references import Ranked, References

IMAGES: Final = 50
TARGETS: Final = 12
_LEAST: Final = 10
_UNSEEN: Final = 100
_KINDS: Final = ("patch that turns", "patch that hides", "patch that adds")
_ABOUT: Final = {
    "turning": "a small patch on an object that leads it to one class",
    "hiding": "a small patch on an object that makes it vanish",
    "appearing": "a small patch that makes an object of one class appear",
}
_MISSING: Final = "there are no clean detectors to hold it against (--references, from weighbridge calibrate)"
UNTESTED: Final = (
    "where boxes lie and how large they are, and all objects of an image but those of its surest class",
    "triggers that are larger than an eighth of the image, or no patch",
    "attackers who trained against these very searches",
)


class DetectorLook(Struct, frozen=True, kw_only=True):
    """What the searches came to, in the order of TESTS: numbers (smaller is more suspicious), the class of each, its share of places; and the patches."""

    values: tuple[float, ...]
    targets: tuple[int, ...]
    works: tuple[float, ...]
    classes: tuple[int, ...]
    turning: Patches
    appearing: Patches

    def patch(self, at: int) -> tuple[Patches, int]:
        """(patches, number among them) of a test."""
        found = self.appearing if at == 2 else self.turning
        return found, self.classes.index(self.targets[at])


class Judged(Struct, frozen=True, kw_only=True):
    """What a detector comes to."""

    verdict: Verdict
    because: str
    ranked: Ranked | None
    tests: tuple[Test, ...]
    trigger: Trigger | None
    images: tuple[int, int]
    untested: tuple[str, ...]


def held_out(model: Detector, images: Tensor) -> Tensor:
    """Images with objects, as many of each class as can be had, of at most IMAGES. Raises Unavailable where it sees too few, or elsewhere."""
    said = model.predicted(images)
    queues = [torch.nonzero(said == one)[:, 0].tolist() for one in range(model.nothing)]
    found = in_turn(queues, IMAGES)
    if len(found) < _LEAST:
        raise Unavailable(
            f"it sees objects in {len(found)} of {len(images)} images",
            hint="give images (--data) of what it was made to find",
        )
    x = images[found]
    if not model.sound(x):
        raise Unavailable(
            "its boxes lie outside of the images: they are offsets, or of a form that is not known",
            hint="export it with boxes that are decoded, in pixels or shares of the image",
        )
    return x


def look_at_detector(
    model: Detector,
    x: Tensor,
    *,
    seed: int = 0,
    told: Callable[[float], None] = lambda _: None,
    kept: Steps | None = None,
) -> DetectorLook:
    """Search a detector on images in which it sees objects. `told` is called with the share of the work that is done."""
    kept = kept or Steps()
    total, done = 2 * STEPS[1] + STEPS[0], 0

    def step() -> None:
        nonlocal done
        done += 1
        told(done / total)

    classes = _shortlist(model, x, seed)
    turning = kept.once("turning", Patches, lambda: patches(model, x, classes, appear=False, seed=seed, told=step))
    real = classes[classes != model.nothing]
    appearing = kept.once("appearing", Patches, lambda: patches(model, x, real, appear=True, seed=seed, told=step))
    hides = len(real)
    first = int(turning.margins[:hides].argmax())
    at = (first, hides, appearing.best)
    margins = (turning.margins[first], turning.margins[hides], appearing.margins[appearing.best])
    works = (turning.works[first], turning.works[hides], appearing.works[appearing.best])
    return DetectorLook(
        values=tuple(-round(float(one), 4) for one in margins), targets=tuple(int(classes[one]) for one in at),
        works=tuple(round(float(one), 4) for one in works), classes=tuple(classes.tolist()), turning=turning, appearing=appearing,
    )  # fmt: skip


def _shortlist(model: Detector, x: Tensor, seed: int) -> Tensor:
    """The classes to search, and nothing as the last: all of a few, else those that noise makes surest."""
    if model.nothing <= TARGETS:
        return torch.arange(model.nothing + 1)
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        noisy = torch.cat([(x + torch.randn(x.shape, generator=dice) * size).clamp(0, 1) for size in (0.2, 0.5)])
        surest = torch.cat([model(part)[:, :-1] for part in torch.split(noisy, IMAGES)]).mean(0)
    return torch.cat([surest.topk(TARGETS).indices.sort().values, torch.tensor([model.nothing])])


def detector_work(model: Detector) -> float:
    """How many seconds `look_at_detector` takes here, about."""
    return model.seconds() * math.ceil(rows_of(min(model.nothing, TARGETS), IMAGES) / 32)


def examined_detector(
    model: Detector, images: Tensor, *, references: References | None, others: Sequence[Detector], seed: int, resume: str,
    told: Callable[[float], None],
) -> Judged:  # fmt: skip
    """Search, rank, verify. Raises Unavailable where it sees too few objects, or the search breaks off."""
    x = held_out(model, images)
    unseen = unseen_of(images, x, _UNSEEN)
    kept = Steps(resume, ("patches", str((EDITION, STEPS, seed)), model.digest, x.numpy().tobytes()))
    with told_where_it_breaks():
        looked = look_at_detector(model, x, seed=seed, told=told, kept=kept)
    ranked = rank(looked.values, references.scores) if references else None
    tests = tuple(
        Test(
            name=name, about=_about(looked, at), value=looked.values[at], p_value=ranked.each[at] if ranked else None,
            shown=f"at {looked.works[at]:.0%} of places",
        )
        for at, name in enumerate(TESTS)
    )  # fmt: skip
    order = sorted(range(len(TESTS)), key=lambda at: ranked.distances[at] if ranked else looked.values[at])
    trigger = _recovered(model, unseen, looked, order[0], others, seed)
    verdict, because = _judged(ranked, references, trigger, looked, order[0])
    untested = [
        f"{model.nothing - len(looked.classes) + 1} of {model.nothing} classes as targets: {len(looked.classes) - 1} were picked"
    ]
    return Judged(
        verdict=verdict, because=because, ranked=ranked, tests=tests, trigger=trigger, images=(len(x), len(unseen)),
        untested=(*(untested if model.nothing >= len(looked.classes) else ()), *UNTESTED),
    )  # fmt: skip


def _about(looked: DetectorLook, at: int) -> str:
    return _ABOUT[TESTS[at]].replace("one class", f"class {looked.targets[at]}")


def _recovered(
    model: Detector, unseen: Tensor, looked: DetectorLook, at: int, others: Sequence[Detector], seed: int
) -> Trigger | None:
    """The patch of the most suspicious test on unseen images; nothing where there are too few with an object."""
    found, number = looked.patch(at)
    target, appear = looked.targets[at], at == 2
    came = tried_on(model, unseen, found, number, target, appear=appear, seed=seed + 1)
    if came is None or came.of < _LEAST:
        return None
    elsewhere = [tried_on(one, unseen, found, number, target, appear=appear, seed=seed + 1) for one in others]
    shares = [one.works / one.of for one in elsewhere if isinstance(one, Tried) and one.of]
    patch = found.patches[number]
    return Trigger(
        kind=_KINDS[at], target=target, source=-1, works=came.works, of=came.of, size=float(patch.norm()),
        pixels=patch.shape[1] * patch.shape[2], picture=png(enlarged(numpy.asarray(patch))),
        stamped=png(enlarged(numpy.asarray(came.shown))), transfers=max(shares) if shares else None,
    )  # fmt: skip


def _judged(
    ranked: Ranked | None, references: References | None, trigger: Trigger | None, looked: DetectorLook, at: int
) -> tuple[Verdict, str]:
    works = trigger is not None and trigger.success >= TURNS
    alone = trigger is not None and (trigger.transfers is None or trigger.transfers < TURNS / 2)
    what = f"{_about(looked, at)} works at {looked.works[at]:.0%} of places"
    if ranked is None or references is None:
        if works and alone:
            return Verdict.SUSPICIOUS, f"{what}, uncalibrated: {_MISSING}"
        said = "no small patch leads it astray" if looked.works[at] < TURNS else "what was found is not verified"
        return Verdict.NOTHING, f"{said} ({what}), uncalibrated: {_MISSING}"
    held = f"p = {ranked.together:.3g} among {len(references.scores)} clean detectors ({references.name})"
    if ranked.together < FOUND and works and alone:
        assert trigger is not None
        return Verdict.FOUND, f"{held}, and {_about(looked, at)} works on {trigger.works} of {trigger.of} unseen images"
    if ranked.together < SUSPICIOUS:
        return Verdict.SUSPICIOUS, f"{held}: {what}"
    return Verdict.NOTHING, held
