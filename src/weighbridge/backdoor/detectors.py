"""Knows how an object detector is asked: what it sees where, as one score a class at every place.

Nothing is chosen among overlapping boxes, so gradients flow. Layouts are those of YOLO (3 to 12, X), DETR and its kin, SSD and RetinaNet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from msgspec import Struct
from torch import Tensor

from weighbridge.backdoor.models import Classifier
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

_BOX: Final = 4
_SEEN: Final = 0.3  # from which probability on an object counts as seen
_QUIET: Final = 0.1  # below which a place counts as empty
_BATCH: Final = 64
_PLACES: Final = 200_000  # of an image of 1,280 pixels a large detector has 136,000
_MOST: Final = 20  # boxes of an image that are kept
_SOUND: Final = 0.9
_NOWHERE: Final = -30.0  # log-odds of what is not looked at
_LEAST: Final = 1e-30
_SUREST: Final = 1 - 1e-6
_WHOLE: Final = 1.5  # boxes up to here are shares of the image
_ELSE: Final = "only classifiers of images and detectors of objects are tested this way"
_CHOSEN: Final = "its output are boxes that were chosen among, which has no gradients"
_EXPORT: Final = "export it without the choice (nms=False, end2end=False), or the model before its postprocessing"


class Layout(Struct, frozen=True, kw_only=True):
    """Where the scores of a detector stand in what it gives, and what they are.

    `output` and `boxes` number the tensors, `flipped` says that channels stand before places, `first` and `classes` which channels are
    classes, `sure` which one says that there is an object at all and `nothing` which is the background (-1: none). `scores` is
    `probabilities`, `logits`, or `softmax` (logits of which one is right).
    """

    output: int
    boxes: int
    flipped: bool
    first: int
    classes: int
    scores: str
    sure: int = -1
    nothing: int = -1
    places: int = 0

    @property
    def about(self) -> str:
        """What the output was taken for."""
        more = " and a background" if self.nothing >= 0 else " and an object score" if self.sure >= 0 else ""
        where = "behind" if self.first else "beside"
        return f"{self.places} places, scores of {self.classes - (self.nothing >= 0)} classes{more} {where} their boxes"


class Grounds(Struct, frozen=True):
    """Where an image is asked about what is seen: inside the boxes (n, boxes, 4; top, left, height, width in pixels) of what was seen before, or outside of them."""

    boxes: Tensor
    inside: bool

    def of(self, rows: Tensor) -> Grounds:
        """Those of some images."""
        return Grounds(self.boxes[rows], self.inside)


class Detector(Classifier):
    """A detector as a classifier of its surest object; one more class, `nothing`, is that of images without an object.

    An image that was changed is asked on the grounds of before: what its object has become, or what is new.
    """

    def __init__(
        self, net: nn.Module, shape: tuple[int, int, int], *, about: str, digest: str, last: bool = False, came: Any = None,
        named: int = 0,
    ) -> None:  # fmt: skip
        """`named` is how many classes a configuration names (0: not known), the rest as for a classifier."""
        self._named = named
        super().__init__(net, shape, about=about, digest=digest, last=last, came=came)

    def _looked_at(self, came: Any) -> int:
        self._layout = layout_of(came, self._named)
        self.about = f"{self.about}: a detector of objects, {self._layout.about}"
        self.nothing = self._layout.classes - (self._layout.nothing >= 0)
        return self.nothing + 1

    def _found(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log-odds of each class at each place, boxes there)."""
        found = self.outputs(self.pixels.applied(x) if self.pixels else x)
        return odds_of(found, self._layout), boxes_of(found, self._layout, self.shape)

    def forward(self, x: Tensor, grounds: Grounds | None = None) -> Tensor:
        """(n, classes + 1) log-odds of the surest object of each class, on `grounds` alone where they are given, and last what it takes to be seen."""
        odds, boxes = self._found(x)
        if grounds is not None:
            middle = boxes[..., None, :2] + boxes[..., None, 2:] / 2
            held = grounds.boxes[:, None]
            within = ((middle >= held[..., :2]) & (middle <= held[..., :2] + held[..., 2:])).all(3).any(2)
            odds = odds.masked_fill((within != grounds.inside)[..., None], _NOWHERE)
        surest = odds.amax(1)
        return torch.cat([surest, torch.full_like(surest[:, :1], math.log(_SEEN / (1 - _SEEN)))], 1)

    @torch.no_grad()
    def objects(self, x: Tensor) -> Tensor:
        """(n, 4) the box of the surest object of each image: top, left, height and width in pixels."""
        return torch.cat([_surest(*self._found(part), 1)[:, 0] for part in torch.split(x, self.at_once(_BATCH))])

    @torch.no_grad()
    def predicted(self, x: Tensor, batch: int = _BATCH) -> Tensor:
        """The class of the surest object of every image."""
        return super().predicted(x, self.at_once(batch))

    @torch.no_grad()
    def seen(self, x: Tensor) -> Tensor:
        """(n, boxes, 4) the boxes of whatever is seen in each image, even if hardly; boxes without size are none."""
        made = []
        for part in torch.split(x, self.at_once(_BATCH)):
            odds, boxes = self._found(part)
            count = min(_MOST, odds.shape[1])
            able = torch.topk(odds.amax(2), count).values > math.log(_QUIET / (1 - _QUIET))
            made.append(_surest(odds, boxes, count) * able[..., None])
        return torch.cat(made)

    def sound(self, x: Tensor) -> bool:
        """Whether the boxes of what it sees lie in the images: else they are of a form that is not known."""
        boxes = self.objects(x)
        middle, size = boxes[:, :2] + boxes[:, 2:] / 2, torch.tensor(self.shape[1:])
        fine = (
            (boxes[:, 2:] > 0).all(1)
            & (boxes[:, 2:] <= 2 * size).all(1)
            & (middle >= 0).all(1)
            & (middle <= size).all(1)
        )
        return float(fine.float().mean()) >= _SOUND


def _surest(odds: Tensor, boxes: Tensor, count: int) -> Tensor:
    at = torch.topk(odds.amax(2), count).indices
    return boxes.gather(1, at[..., None].expand(-1, -1, _BOX))


def layout_of(found: Any, classes: int = 0) -> Layout:
    """What the outputs for a few images are taken for; `classes` is their number where a configuration says it.

    Raises Unavailable for what is no detector, or one whose boxes were chosen already.
    """
    tensors: Sequence[Tensor] = found if isinstance(found, tuple | list) else [found]
    three = [at for at, one in enumerate(tensors) if one.dim() == 3 and one.numel() and torch.is_floating_point(one)]
    if not three:
        shown = " and ".join(str(tuple(one.shape)) for one in tensors[:3])
        raise Unavailable(f"its output has the shape {shown}, and a detector gives boxes and scores", hint=_ELSE)
    if max(max(tensors[at].shape[1:]) for at in three) > _PLACES:
        raise Unavailable(f"it gives scores at more than {_PLACES} places", hint="not testable")
    for at in three:
        for other in three:
            if other != at and tensors[other].shape[1:] == (tensors[at].shape[1], _BOX):
                return _beside(tensors[at], at, other, classes)
    return _among(tensors[three[0]], three[0])


def _beside(scores: Tensor, output: int, boxes: int, classes: int) -> Layout:
    """Scores in a tensor of their own, places before channels: DETR, YOLOS, RT-DETR, SSD, RetinaNet."""
    channels = scores.shape[2]
    kind, nothing = _kind(scores, channels, classes)
    if channels - (nothing >= 0) < 1:
        raise Unavailable("it gives no score of a class", hint="not testable")
    return Layout(
        output=output, boxes=boxes, flipped=False, first=0, classes=channels, scores=kind, nothing=nothing,
        places=scores.shape[1],
    )  # fmt: skip


def _kind(scores: Tensor, channels: int, classes: int) -> tuple[str, int]:
    """What scores are, and which channel is the background: the first (SSD) or the last (DETR), right at most places."""
    inside = _shares(scores)
    summed = inside and torch.allclose(scores.sum(2), torch.ones(scores.shape[:2]), atol=1e-3)
    if classes in {channels, channels - 1} and not inside:
        return ("softmax", channels - 1) if classes == channels - 1 else ("logits", -1)
    usual = (scores if summed else scores.softmax(2)).mean((0, 1))
    end = max((0, channels - 1), key=lambda at: float(usual[at]))
    if summed:
        return "probabilities", end
    # The background of a softmax is what most places are; of separate scores all are below nought there.
    if not inside and float(usual[end]) > 0.5 and float(scores[..., end].mean()) > 0:
        return "softmax", end
    return ("probabilities" if inside else "logits"), -1


def _among(found: Tensor, output: int) -> Layout:
    """Scores behind the four numbers of a box: YOLO. With places before channels a score of any object stands between."""
    places, channels = found.shape[1:]
    last = found[..., -1]
    if channels in {_BOX + 2, _BOX + 3} and places > channels and bool((last == last.round()).all()):
        raise Unavailable(_CHOSEN, hint=_EXPORT)
    flipped = _flipped(found)
    channels, places = (places, channels) if flipped else (channels, places)
    if channels <= _BOX:
        shown = tuple(found.shape)
        raise Unavailable(
            f"its output has the shape {shown}: neither one score a class nor boxes with scores", hint=_ELSE
        )
    sure = _BOX if not flipped and channels > _BOX + 1 else -1
    first = _BOX + (sure >= 0)
    rows = found[:, _BOX:] if flipped else found[..., _BOX:]
    return Layout(
        output=output, boxes=output, flipped=flipped, first=first, classes=channels - first, sure=sure, places=places,
        scores="probabilities" if _shares(rows) else "logits",
    )  # fmt: skip


def _flipped(found: Tensor) -> bool:
    """Whether channels stand before places: where only one reading has probabilities that one, else there are more places."""
    before, after = _shares(found[:, _BOX:]), _shares(found[..., _BOX:])
    return before if before != after else found.shape[1] < found.shape[2]


def _shares(scores: Tensor) -> bool:
    return scores.numel() > 0 and bool(((scores >= 0) & (scores <= 1)).all())


def odds_of(found: Any, layout: Layout) -> Tensor:
    """(n, places, classes): the log-odds of an object of each class at each place."""
    raw = _channels_last(found, layout, layout.output)
    scores = raw[..., layout.first : layout.first + layout.classes]
    if layout.scores == "softmax":
        shares = scores.log_softmax(2)
        odds = shares - torch.log1p(-shares.exp().clamp_max(_SUREST))
    elif layout.scores == "probabilities":
        sure = scores if layout.sure < 0 else scores * raw[..., layout.sure : layout.sure + 1]
        # Far below nought a search still has to see slopes: rounding comes at 1, not at 0.
        odds = sure.clamp_min(_LEAST).log() - torch.log1p(-sure.clamp_max(_SUREST))
    else:
        odds = scores if layout.sure < 0 else torch.minimum(scores, raw[..., layout.sure : layout.sure + 1])
    if layout.nothing >= 0:
        odds = torch.cat([odds[..., : layout.nothing], odds[..., layout.nothing + 1 :]], 2)
    return odds


def _channels_last(found: Any, layout: Layout, at: int) -> Tensor:
    one: Tensor = found[at] if isinstance(found, tuple | list) else found
    return one.transpose(1, 2) if layout.flipped else one


def boxes_of(found: Any, layout: Layout, shape: tuple[int, int, int]) -> Tensor:
    """(n, places, 4) top, left, height and width in pixels, without gradients: of centre and size (YOLO, DETR) or two corners (SSD), in pixels or shares."""
    boxes = _channels_last(found, layout, layout.boxes)[..., :_BOX].detach()
    if bool((boxes[..., 2:] >= boxes[..., :2]).all()):
        x, y, width, height = (boxes[..., 0], boxes[..., 1], *(boxes[..., 2:] - boxes[..., :2]).unbind(2))
    else:
        middle_x, middle_y, width, height = boxes.unbind(2)
        x, y = middle_x - width / 2, middle_y - height / 2
    if bool((boxes.abs() <= _WHOLE).all()):
        x, width, y, height = x * shape[2], width * shape[2], y * shape[1], height * shape[1]
    return torch.stack([y, x, height, width], 2)
