"""Finds rows that a model keeps apart from all others of their label: what a backdoor looks like from within.

A network that learned a trigger knows the stamped rows by it and the honest rows of that label by what is on them, so in its numbers
the label falls in two (activation clustering, Chen et al. 2018), along a direction in which it is wider than other labels are (spectral
signatures, Tran et al. 2018; whitened, as Hayase et al. 2021 do). The rules of the first two name rows in any set. Here a direction is
looked for in one half of the rows and judged by the other, both ways, and hardly a row may stand between the two parts. Where pictures can be read without the model, two parts may be less clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.datasets.binomial import at_least
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.datasets.neighbours import read_without, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = Any
_LEAST: Final = 60  # rows of a label
_FEWEST: Final = 8
_MOST: Final = 200_000
_WIDEST: Final = 2048
_MOST_LABELS: Final = 200
_RIDGE: Final = 0.1
_WIDE: Final = 3  # directions in which a label is widest
_PROBES: Final = 48  # rows far from the middle, whose neighbours give a direction
_FAR: Final = 0.4
_FLOOR: Final = 0.02  # of the variance of all: a part that lies on one value is not infinitely likely
_APART: Final = 3.2
_GAIN: Final = 0.1
_EMPTIER: Final = 1.4
_HINT: Final = 0.08  # of a gain: enough where something else reads another label of these rows
_TIMES: Final = 1.5
_CHANCE: Final = 1e-6
_RELABELLED: Final = 0.6
_MANY_LABELS: Final = 0.3
_FEWER: Final = 4  # times fewer of them read as another label than usual: whatever they share reads as their label
_PLACES: Final = 40
_USUAL: Final = 0.5  # of the labels: where more fall in two, that is how these numbers are


class Split(Struct, frozen=True):
    """Values in two parts at `at`, the smaller above it or below.

    Their means are `apart` (in spreads), two parts are `gain` nats a value likelier than one, and the thinner of both has `emptier`
    times more values than what is between.
    """

    at: float
    above: bool
    apart: float
    gain: float
    emptier: float

    @property
    def is_clear(self) -> bool:
        """Whether these are two parts, whatever else is known."""
        return self.gain >= _GAIN and self.apart >= _APART and self.emptier >= _EMPTIER

    @property
    def is_hint(self) -> bool:
        """Whether these may be two parts."""
        return self.gain >= _HINT and self.apart >= _APART


class Parted(Struct, frozen=True):
    """A label that may fall in two: the rows of the smaller part, and the less clear split of both halves.

    `witness` says how often something else reads another label, of these rows and of the others of the label.
    """

    label: int
    rows: Array
    split: Split
    witness: tuple[float, float] | None = None

    @property
    def is_relabelled(self) -> bool:
        """Whether they read as another label, and hardly any of the others do."""
        return self.witness is not None and self.witness[0] >= max(_RELABELLED, _TIMES * self.witness[1])


def find_parted(
    numbers: Array, labels: Array, classes: Sequence[str], what: str, witness: Array | None = None
) -> Outcome:
    """Labels that fall in two, by numbers (rows, columns) that a model made of the rows; labels from 0.

    `witness` are numbers of the same rows that the model had no part in: what they read of a part that it took no part in teaching.
    """
    test = f"{what} that a model keeps apart from their label"
    sizes = numpy.bincount(labels, minlength=len(classes))
    able = int((sizes >= _LEAST).sum())
    if not able or len(labels) > _MOST or numbers.shape[1] > _WIDEST or not 2 <= len(classes) <= _MOST_LABELS:
        why = f"{len(labels)} rows, {numbers.shape[1]} columns, {able} of {len(classes)} labels with {_LEAST} rows or more (up to {_MOST} rows, {_WIDEST} columns, {_MOST_LABELS} labels are read)"
        return Outcome(test=test, not_tested=f"{test}: {why}")
    found = [made for one in parted_labels(numbers, labels) if (made := _witnessed(one, labels, witness)) is not None]
    about = f"{len(found)} of {able} labels fall in two"
    if len(found) > max(1, _USUAL * able):
        return Outcome(test=test, about=f"{about}: these numbers know kinds within labels, or all labels are attacked")
    groups = tuple(_group(one, classes, what, sizes) for one in found)
    return Outcome(test=test, about=about, groups=groups)


def parted_labels(numbers: Array, labels: Array) -> Iterator[Parted]:
    """The labels that may fall in two, each with the rows of its smaller part; `is_clear` of its split says whether that is enough alone."""
    kinds = int(labels.max()) + 1
    numbers = scaled(numbers)
    middle = numpy.zeros((kinds, numbers.shape[1]), dtype=numpy.float64)
    for kind in range(kinds):
        if (labels == kind).any():
            middle[kind] = numpy.median(numbers[labels == kind], axis=0)
    left = numbers - middle[labels]
    spread = left.std(0)
    kept = spread > 1e-6 * spread.max(initial=0.0)
    left = left[:, kept] / spread[kept]
    for kind in range(kinds):
        mine = labels == kind
        if mine.sum() >= _LEAST and (~mine).any() and left.shape[1]:
            found = _parted(left[mine] @ _whitening(left[~mine]))
            if found is not None:
                chosen, split = found
                yield Parted(kind, numpy.flatnonzero(mine)[chosen], split)


def _whitening(others: Array) -> Array:
    """What gives the rows of all other labels one spread in every direction, directions that they hardly use held back."""
    spread = numpy.atleast_2d(numpy.cov(others, rowvar=False))
    spread = spread + _RIDGE * numpy.trace(spread) / len(spread) * numpy.eye(len(spread))
    values, axes = numpy.linalg.eigh(spread)
    return axes / numpy.sqrt(values)


def _parted(rows: Array) -> tuple[Array, Split] | None:
    """(the rows of the smaller part, how clearly), where both halves of the rows find the other one in two parts."""
    rows = rows - numpy.median(rows, axis=0)
    order = numpy.random.default_rng(0).permutation(len(rows))
    halves = order[: len(rows) // 2], order[len(rows) // 2 :]
    found = []
    for here, there in (halves, halves[::-1]):
        direction = _direction(rows[here])
        split = two_parts(rows[there] @ direction)
        if split is None or not split.is_hint:
            return None
        values = rows @ direction
        found.append((numpy.flatnonzero(values >= split.at if split.above else values < split.at), split))
    chosen, split = min(found, key=lambda one: (one[1].is_clear, one[1].gain))
    return chosen, split


def _witnessed(one: Parted, labels: Array, numbers: Array | None) -> Parted | None:
    """What is left of a label that may fall in two: clear ones, and those whose smaller part other numbers read as no part of any label reads by chance."""
    if numbers is None:
        return one if one.split.is_clear else None
    read = read_without(numbers, labels, one.rows)
    other = read != labels
    rest = numpy.setdiff1d(numpy.flatnonzero(labels == one.label), one.rows)
    usual = float((other[rest].sum() + 1) / (len(rest) + 2))
    made = replace(one, witness=(float(other[one.rows].mean()), usual))
    if one.split.is_clear:
        return made
    many, strange = len(one.rows), one.rows[other[one.rows]]
    if made.is_relabelled and len(strange) >= _FEWEST and at_least(len(strange), many, usual) < _CHANCE:
        # Rows of many labels under one; a kind of its own reads as the label or two that it lies next to.
        most = numpy.bincount(read[strange]).max() / len(strange)
        return replace(made, rows=strange) if most <= _MANY_LABELS else None
    is_same = made.witness is not None and made.witness[0] <= usual / _FEWER
    return made if is_same and at_least(many - len(strange), many, 1 - usual) < _CHANCE else None


def _direction(rows: Array) -> Array:
    """The direction that parts some rows most clearly: one in which they are widest, or one towards rows far from the middle that lie together."""
    _, _, axes = numpy.linalg.svd(rows - rows.mean(0), full_matrices=False)
    length = numpy.linalg.norm(rows, axis=1)
    unit = rows / numpy.maximum(length, 1e-9)[:, None]
    far = numpy.argsort(-length)[: max(_FEWEST, int(_FAR * len(rows)))]
    probes = far[numpy.unique(numpy.linspace(0, len(far) - 1, _PROBES).astype(int))]
    near = numpy.argpartition(-(unit[probes] @ unit.T), _FEWEST, axis=1)[:, :_FEWEST]
    towards = rows[near].mean(1)
    towards = towards / numpy.maximum(numpy.linalg.norm(towards, axis=1), 1e-9)[:, None]
    tried = [(split, one) for one in (*axes[:_WIDE], *towards) if (split := two_parts(rows @ one)) is not None]
    _, best = max(tried, key=lambda pair: (pair[0].is_clear, pair[0].is_hint, pair[0].gain), default=(None, axes[0]))
    return best


def two_parts(values: Array) -> Split | None:
    """The likeliest way to see values as two normal parts of at least eight each; None where there are too few or all are one."""
    ordered = numpy.sort(values)
    many = len(ordered)
    if many < 2 * _FEWEST + 1:
        return None
    whole = float(ordered.var())
    if whole <= 1e-12 * float(numpy.abs(ordered).max()) ** 2 or whole < 1e-200:
        return None
    sums, squares = numpy.cumsum(ordered), numpy.cumsum(ordered**2)
    low = numpy.arange(_FEWEST, many - _FEWEST)
    high = many - low
    means = sums[low - 1] / low, (sums[-1] - sums[low - 1]) / high
    floor = _FLOOR * whole
    first = numpy.maximum(squares[low - 1] / low - means[0] ** 2, floor)
    second = numpy.maximum((squares[-1] - squares[low - 1]) / high - means[1] ** 2, floor)
    likely = low * (numpy.log(low / many) - numpy.log(first) / 2) + high * (
        numpy.log(high / many) - numpy.log(second) / 2
    )
    best = int(likely.argmax())
    count = int(low[best])
    apart = float(abs(means[1][best] - means[0][best]) / numpy.sqrt((first[best] + second[best]) / 2))
    gain = float(likely[best] / many + numpy.log(whole) / 2)
    return Split(float(ordered[count]), count >= many - count, apart, gain, _emptier(ordered, count))


def _emptier(ordered: Array, count: int) -> float:
    """How many times more values stand around the middle of the smaller part than in the emptiest place of that width between both."""
    low, high = ordered[:count], ordered[count:]
    small, large = (high, low) if len(low) >= len(high) else (low, high)
    ends = sorted((float(numpy.median(small)), float(numpy.median(large))))
    width = max(2 * float(small.std()), 1e-9)
    places = numpy.linspace(ends[0], ends[1], _PLACES)
    seen = numpy.searchsorted(ordered, places + width / 2, "right") - numpy.searchsorted(ordered, places - width / 2)
    at_small = seen[0] if small is low else seen[-1]
    return float((at_small + 1) / (seen.min() + 1))


def _group(one: Parted, classes: Sequence[str], what: str, sizes: Array) -> Group:
    name, many, of = classes[one.label], len(one.rows), int(sizes[one.label])
    facts = [
        f"{many / of:.1%} of this label, {one.split.apart:.1f} spreads away; two parts are {one.split.gain:.2f} nats a row likelier than one, by rows that did not choose the direction",
        f"{one.split.emptier:.1f} times as many rows around the middle of the smaller part as in the emptiest place between both",
    ]
    if one.witness is not None:
        share, usual = one.witness
        facts.append(f"{share:.0%} of them read as another label by what is on them, {usual:.0%} of the others")
    return Group(
        rule="DST-019" if one.is_relabelled else "DST-020",
        message=f"{many} {what} labelled “{name}” stand apart from all others of this label in the model's numbers",
        rows=array(one.rows), shown=array(one.rows[:3]), facts=tuple(facts), score=one.split.gain,
        why="a model that learned a trigger knows the rows that hold it by that alone" + ("" if one.is_relabelled else "; a kind of its own within a label looks the same"),
    )  # fmt: skip
