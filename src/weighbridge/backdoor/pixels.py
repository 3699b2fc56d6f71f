"""Knows what a model expects of pixels, and finds out on labelled samples.

Most false alarms of trigger inversion come from a range of pixels that the model was never trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch import Tensor

from weighbridge.schema import Unavailable, UsageError

if TYPE_CHECKING:
    from weighbridge.backdoor.models import Classifier
    from weighbridge.backdoor.samples import Samples


class Pixels(Struct, frozen=True):
    """What is done to pixels from 0 to 1 before the model sees them: `(pixel - mean) / deviation`, a number a channel or one."""

    name: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def applied(self, x: Tensor) -> Tensor:
        """The pixels as the model expects them."""
        mean = torch.tensor(self.mean).reshape(1, -1, 1, 1)
        return (x - mean) / torch.tensor(self.deviation).reshape(1, -1, 1, 1)


KNOWN: Final = {
    "0-1": Pixels("0-1", (0.0,), (1.0,)),
    "0-255": Pixels("0-255", (0.0,), (1 / 255,)),
    "-1-1": Pixels("-1-1", (0.5,), (0.5,)),
    "imagenet": Pixels("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mnist": Pixels("mnist", (0.1307,), (0.3081,)),
    "cifar": Pixels("cifar", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "0-16": Pixels("0-16", (0.0,), (1 / 16,)),
}
_ENOUGH: Final = 0.5  # of the way from chance to perfect


def parse_pixels(text: str) -> Pixels:
    """One of the known names, or `mean/deviation` with commas between channels. Raises UsageError."""
    if text in KNOWN:
        return KNOWN[text]
    try:
        mean, deviation = (tuple(float(one) for one in part.split(",")) for part in text.split("/"))
    except ValueError:
        mean, deviation = (), ()
    if not mean or len(mean) != len(deviation) or 0.0 in deviation:
        raise UsageError(
            f"--pixels {text}: not understood", hint=f"one of {', '.join(KNOWN)}, or 0.5,0.5,0.5/0.2,0.2,0.2"
        )
    return Pixels(text, mean, deviation)


def settle_pixels(model: Classifier, samples: Samples, wanted: str = "") -> str:
    """Set what the model expects of pixels, and say what is known about it.

    Raises Unavailable where the model gets the samples wrong however they are scaled: a test on them would mean nothing.
    """
    channels = model.shape[0]
    offered = [parse_pixels(wanted)] if wanted else [one for one in KNOWN.values() if len(one.mean) in {1, channels}]
    if model.expected and not wanted:
        offered.insert(0, model.expected)
    if samples.labels is None:
        model.pixels = offered[0]
        return f"pixels {offered[0].name}, not checked: the samples have no labels"
    x, y = torch.from_numpy(samples.images[:500]), torch.from_numpy(samples.labels[:500])
    best, right = offered[0], -1.0
    for one in offered:
        model.pixels = one
        found = float((model.predicted(x) == y).float().mean())
        if found > right + 1e-9:
            best, right = one, found
    model.pixels = best
    chance = 1 / max(2, model.classes)
    if right < chance + _ENOUGH * (1 - chance):
        raise Unavailable(
            f"the model is right on {right:.0%} of the samples, with pixels {best.name}: they are not what it was trained on, "
            "or their classes are in another order",
            hint="check the labels (folders in order of their names), or give --pixels",
        )
    return f"pixels {best.name}: {right:.1%} of {len(x)} samples are right"
