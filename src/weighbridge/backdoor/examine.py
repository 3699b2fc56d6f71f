"""Knows how one model is tested from end to end: opened, its pixels settled, searched, ranked, its trigger verified."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct

from weighbridge.backdoor.detectors import Detector
from weighbridge.backdoor.examine_detector import detector_work, examined_detector
from weighbridge.backdoor.inversion import masked, verified
from weighbridge.backdoor.models import Classifier, open_classifier
from weighbridge.backdoor.pixels import settle_pixels
from weighbridge.backdoor.references import Ranked, References, rank
from weighbridge.backdoor.result import (
    ALWAYS_UNTESTED,
    FOUND,
    SUSPICIOUS,
    TURNS,
    Result,
    Test,
    Trigger,
    Verdict,
    affordable,
    duration,
    told_where_it_breaks,
)
from weighbridge.backdoor.samples import Samples, noise, read_samples, unseen_of
from weighbridge.backdoor.steps import Steps
from weighbridge.backdoor.threads import one_thread
from weighbridge.backdoor.unlearning import Unlearned, unlearned
from weighbridge.backdoor.vision import IMAGES, NAMES, SEARCHES, STEPS, Looked, chosen, look, work
from weighbridge.schema import LimitExceeded, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UNSEEN: Final = 300
_LEAST: Final = 10
_LONG: Final = 60.0  # seconds of searching from which more than one thread pays
_OUTLIER: Final = 3.5  # without references, in absolute deviations; honest models exceed the customary 2 too often
_RISE: Final = 0.25  # of the logarithm of a size; no honest model of two tasks reached it
_MISSING: Final = "there are no clean models to hold it against (--references, from weighbridge calibrate)"
_ABOUT: Final = {
    "targeted": "the smallest change that leads any image to one class",
    "untargeted": "the smallest change that leads any image away from its class",
    "paired": "the smallest change that leads images of one class to another",
    "margin": "how far images of no meaning drive one class, held against the others",
}


class Wish(Struct, frozen=True, kw_only=True):
    """What somebody wants tested, and with what."""

    model: str
    samples: str = ""
    references: References | None = None
    others: tuple[str, ...] = ()
    pixels: str = ""
    budget: float = 0.0
    resume: str = ""
    seed: int = 0


def examine(
    wish: Wish, *, said: Callable[[str], None] = lambda _: None, told: Callable[[float], None] = lambda _: None
) -> Result:
    """Test a classifier of images. What cannot be tested is a result, and says what is missing.

    Raises UsageError and SourceError for samples and references that cannot be read.
    """
    with one_thread() as threads:
        return _examined(wish, said, told, threads)


def _examined(wish: Wish, said: Callable[[str], None], told: Callable[[float], None], threads: int) -> Result:
    begun = time.process_time()
    # The same numbers on every run: scores are held against those of other models.
    torch.manual_seed(wish.seed)
    try:
        model = open_classifier(wish.model)
        samples = _samples(model, wish.samples)
        pixels = settle_pixels(model, samples, wish.pixels)
        again = bool(wish.samples) and wish.references is None
        seconds = _work(model, again=again)
        if seconds > _LONG:
            torch.set_num_threads(threads)
            seconds = _work(model, again=again)
        said(f"{model.about}, {model.classes} classes; {pixels}; about {duration(seconds)} of searching")
        affordable(seconds, wish.budget)
        images = torch.from_numpy(samples.images)
        if isinstance(model, Detector):
            return _of_detector(model, samples, wish, pixels, told, begun)
        labels = torch.from_numpy(samples.labels) if samples.labels is not None else None
        x = chosen(model, images, labels)
        looked = _searched(model, x, wish, told)
    except (Unavailable, LimitExceeded) as error:
        return Result(
            model=wish.model, digest="", about="", verdict=Verdict.UNTESTABLE, because=f"{error.message} ({error.hint})",
            untested=("everything",), seconds=time.process_time() - begun,
        )  # fmt: skip
    references = _comparable(wish, model)
    taught = _unlearned(model, x, looked, wish) if again else None
    ranked = rank(looked.scores.values, references.scores) if references else None
    unseen = unseen_of(images, x, _UNSEEN)
    suspect = ranked is None or ranked.together < SUSPICIOUS or looked.scores.outlier > _OUTLIER
    others = [open_like(path, model) for path in wish.others]
    order = sorted(range(len(NAMES)), key=lambda at: ranked.distances[at] if ranked else 0.0)
    trigger = recovered(model, x, unseen, looked, order, others) if suspect and wish.samples else None
    verdict, because = _judged(looked, ranked, references, trigger, taught)
    return Result(
        model=wish.model, digest=model.digest, about=model.about, verdict=verdict, because=because,
        p_value=ranked.together if ranked else None, reference=references.name if references else "",
        references=len(references.scores) if references else 0, pixels=pixels, samples=_told(samples, len(x), len(unseen)),
        tests=tuple(
            Test(name=name, about=_ABOUT[name], value=looked.scores.values[at], p_value=ranked.each[at] if ranked else None)
            for at, name in enumerate(NAMES)
        ) + ((_told_of(taught),) if taught else ()),
        trigger=trigger, alarms=references.alarms if references else (0, 0),
        power=references.power if references else (),
        untested=tuple(_untested(looked, samples, untaught=again and taught is None)), seconds=time.process_time() - begun,
    )  # fmt: skip


def _samples(model: Classifier, given: str) -> Samples:
    """The images to search on, noise where nobody gives any. Raises Unavailable for a detector without."""
    if isinstance(model, Detector) and not given:
        raise Unavailable("a detector is tested on what it finds", hint="give images (--data) with such objects")
    return read_samples(given, model.shape) if given else noise(model.shape)


def _work(model: Classifier, *, again: bool) -> float:
    """How many seconds the searches take here, about."""
    return detector_work(model) if isinstance(model, Detector) else work(model, again=again)


def _of_detector(
    model: Detector, samples: Samples, wish: Wish, pixels: str, told: Callable[[float], None], begun: float
) -> Result:
    """What the tests of detectors come to."""
    references = _comparable(wish, model)
    others = [one for one in (open_like(path, model) for path in wish.others) if isinstance(one, Detector)]
    found = examined_detector(
        model,
        torch.from_numpy(samples.images),
        references=references,
        others=others,
        seed=wish.seed,
        resume=wish.resume,
        told=told,
    )
    return Result(
        model=wish.model, digest=model.digest, about=model.about, verdict=found.verdict, because=found.because,
        p_value=found.ranked.together if found.ranked else None, reference=references.name if references else "",
        references=len(references.scores) if references else 0, pixels=pixels,
        samples=_told(samples, *found.images),
        tests=found.tests, trigger=found.trigger, alarms=references.alarms if references else (0, 0),
        power=references.power if references else (), untested=found.untested, seconds=time.process_time() - begun,
    )  # fmt: skip


def _searched(model: Classifier, x: torch.Tensor, wish: Wish, told: Callable[[float], None]) -> Looked:
    about = ("images", str((SEARCHES, STEPS, wish.seed)), model.digest, x.numpy().tobytes())
    with told_where_it_breaks():
        return look(model, x, seed=wish.seed, told=told, kept=Steps(wish.resume, about))


def _unlearned(model: Classifier, x: torch.Tensor, looked: Looked, wish: Wish) -> Unlearned | None:
    """What a model without references to hold it against says of itself; nothing where it cannot be taught."""
    shortlist, sizes = torch.tensor(looked.scores.shortlist), torch.tensor(looked.scores.sizes)
    kept = Steps(wish.resume, ("unlearning", str((SEARCHES, STEPS, wish.seed)), model.digest, x.numpy().tobytes()))
    try:
        found = kept.once(
            "unlearned", Unlearned, lambda: unlearned(model, x, shortlist, sizes, steps=STEPS[0], seed=wish.seed)
        )
    except (RuntimeError, MemoryError):
        return None
    return found if found.target >= 0 else None


def _told_of(taught: Unlearned) -> Test:
    return Test(
        name="unlearning", value=-taught.rise, shown=f"{math.exp(taught.rise):.2f} times",
        about=f"how much more the change towards class {taught.target} has to grow than others once the model is taught anew",
    )  # fmt: skip


def _comparable(wish: Wish, model: Classifier) -> References | None:
    """The references, where they can be held against this model. Raises UsageError where they are of another task.

    Without samples nothing can: sizes on noise are not sizes on images.
    """
    references = wish.references
    if references is None or not wish.samples:
        return None
    if not references.fits(model.shape, model.classes, detector=isinstance(model, Detector)):
        kind = "objects in images" if references.detector else "images"
        task = f"{references.classes} classes of {kind} of {' x '.join(map(str, references.shape))}"
        raise UsageError(
            f"the references {references.name} are of {task}, and the model is not",
            hint="weighbridge calibrate makes others",
        )
    return references


def open_like(path: str, model: Classifier) -> Classifier:
    """Another model of the same task, seen through the same pixels."""
    other = open_classifier(path)
    if (type(other), other.shape, other.classes) != (type(model), model.shape, model.classes):
        raise Unavailable(f"{path} is of another task", hint="give a clean model of the same inputs and classes")
    other.pixels = model.pixels
    return other


def recovered(
    model: Classifier,
    x: torch.Tensor,
    unseen: torch.Tensor,
    looked: Looked,
    order: Sequence[int],
    others: Sequence[Classifier] = (),
) -> Trigger | None:
    """The trigger that the most suspicious test points at, of those that work on unseen images, else the one that works best.

    `order` numbers the tests, most suspicious first. Nothing where there are too few unseen images.
    """
    if len(unseen) < _LEAST:
        return None
    scores = looked.scores
    place = scores.shortlist.index(scores.target)
    pair = min(looked.by_pair, key=lambda one: float(looked.by_pair[one].norm()) or 1e9)
    found = [
        (0, verified(model, unseen, looked.changes[place], target=scores.target, others=others)),
        (1, verified(model, unseen, looked.away, target=-1, others=others)),
        (2, verified(model, unseen, looked.by_pair[pair], target=pair[1], source=pair[0], others=others)),
    ]
    if scores.overstated != scores.target:
        change = looked.changes[scores.shortlist.index(scores.overstated)]
        found.append((3, verified(model, unseen, change, target=scores.overstated, others=others)))
    towards = x[model.predicted(x) != scores.target]
    if len(towards):
        mask, pattern = masked(model, towards, scores.target)
        found.append((0, verified(model, unseen, pattern, target=scores.target, mask=mask, others=others)))
    working = [one for one in found if one[1].of >= _LEAST and one[1].success >= TURNS]
    if not working:
        return max((one for _, one in found), key=lambda one: one.success)
    # A patch says most to people.
    return min(working, key=lambda one: (order.index(one[0]), one[1].kind == "change of all pixels"))[1]


def _judged(
    looked: Looked,
    ranked: Ranked | None,
    references: References | None,
    trigger: Trigger | None,
    taught: Unlearned | None,
) -> tuple[Verdict, str]:
    works = trigger is not None and trigger.of >= _LEAST and trigger.success >= TURNS
    alone = trigger is not None and (trigger.transfers is None or trigger.transfers < TURNS / 2)
    if ranked is None or references is None:
        index = looked.scores.outlier
        if index > _OUTLIER and works:
            return Verdict.SUSPICIOUS, (
                f"class {looked.scores.target} is reached by far less than the others (anomaly index {index:.1f}), uncalibrated: {_MISSING}"
            )
        if taught is not None and taught.rise > _RISE and works:
            return Verdict.SUSPICIOUS, (
                f"once it is taught anew on the samples, class {taught.target} takes {math.exp(taught.rise):.1f} times as large a change as the others would have it, uncalibrated: {_MISSING}"
            )
        return Verdict.NOTHING, (
            f"nothing stands out among its classes (anomaly index {index:.1f}), uncalibrated: {_MISSING}, so weak backdoors and "
            "those without a target stay unseen"
        )
    floor = 1 / (len(references.scores) + 1)
    held = f"p = {ranked.together:.3g} among {len(references.scores)} clean models ({references.name})"
    if ranked.together < FOUND and works and alone:
        assert trigger is not None
        return Verdict.FOUND, f"{held}, and the recovered trigger turns {trigger.works} of {trigger.of} unseen images"
    if ranked.together < SUSPICIOUS:
        more = "" if works else ", but no trigger that was recovered works on unseen images"
        more = more or ("" if ranked.together < FOUND else f"; with so many references p cannot be below {floor:.3g}")
        return Verdict.SUSPICIOUS, held + (
            more if alone or trigger is None else ", but the trigger works on honest models too"
        )
    return Verdict.NOTHING, held


def _told(samples: Samples, searched: int, unseen: int) -> str:
    labels = "" if samples.labels is not None else ", without labels"
    # Results are shown to others: where samples lie on this machine is nothing to them.
    source = os.path.basename(samples.source.rstrip("/")) or samples.source
    return f"{len(samples)} from {source}{labels}: {searched} searched on, {unseen} kept unseen"


def _untested(looked: Looked, samples: Samples, *, untaught: bool) -> list[str]:
    scores = looked.scores
    found = ["unlearning: it has no weights that could be taught anew without spoiling it"] if untaught else []
    if len(scores.shortlist) < scores.classes:
        found.append(
            f"{scores.classes - len(scores.shortlist)} of {scores.classes} classes as targets: {len(scores.shortlist)} were picked"
        )
    if samples.source == "noise":
        found.append("the model on real images: noise finds a part of what samples would")
    elif len(samples) < IMAGES:
        found.append(f"the model on more than {len(samples)} images: {IMAGES} make the numbers steadier")
    return [*found, *ALWAYS_UNTESTED]
