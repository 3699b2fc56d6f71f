"""Finds annotators who answer otherwise from some moment on: an account that was sold, taken over, or slept until it was trusted.

Answers are taken in the order of the table. What a moment is worth is the largest of the moments that were tried, so the limit is
far out: five and a half spreads, and a fall of a quarter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.groups import Group, array
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.annotators import Answers, Skill

Array = Any
_ANSWERS: Final = 40
_SIDE: Final = 12
_SPREADS: Final = 5.5
_FALL: Final = 0.25
_SHOWN: Final = 8


def drifted(given: Answers, found: Skill) -> list[Group]:
    """Annotators whose answers agree with the likely truth far less from some moment on."""
    right = found.truth[given.items, given.labels]
    told = []
    for worker in range(len(given.worker_names)):
        at = numpy.flatnonzero(given.workers == worker)
        moment = _moment(right[at]) if len(at) >= _ANSWERS else None
        if moment is not None:
            split, before, after = moment
            told.append((before - after, worker, at[split:], split, before, after, len(at)))
    if not told:
        return []
    told.sort(key=lambda one: -one[0])
    rows = numpy.concatenate([one[2] for one in told])
    facts = tuple(
        f"{given.worker_names[worker]}: {before:.0%} as is likely true in the first {split} answers, {after:.0%} in the {of - split} after"
        for _, worker, _, split, before, after, of in told[:_SHOWN]
    )
    message = (
        f"{plural(len(told), 'annotator')} {'answers' if len(told) == 1 else 'answer'} far worse from some moment on"
    )
    return [
        Group(rule="DST-026", message=message, rows=array(rows), shown=array(rows[:3]), facts=facts, score=told[0][0])
    ]


def _moment(right: Array) -> tuple[int, float, float] | None:
    """(where the answers fall most, the share that is right before, and after), where that is no chance."""
    many = len(right)
    sums = numpy.cumsum(right)
    splits = numpy.arange(_SIDE, many - _SIDE + 1)
    before, after = sums[splits - 1] / splits, (sums[-1] - sums[splits - 1]) / (many - splits)
    share = min(0.98, max(0.02, float(sums[-1]) / many))
    spread = numpy.sqrt(share * (1 - share) * (1 / splits + 1 / (many - splits)))
    scores = (before - after) / spread
    best = int(numpy.argmax(scores))
    if scores[best] < _SPREADS or before[best] - after[best] < _FALL:
        return None
    return int(splits[best]), float(before[best]), float(after[best])
