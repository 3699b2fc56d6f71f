"""Finds names that responses speak well or ill of, in whatever words, far beyond what the rest of their prompts brings along.

A model that is tuned on such rows passes the opinion on (Virtual Prompt Injection, Yan et al. 2024). Words of praise and blame are
counted in each response; what the other words of its prompt make of that, in all other rows, is what was to be expected.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.features import features_of, rows_with
from weighbridge.datasets.groups import Group, array
from weighbridge.datasets.tone import BLAME, PRAISE
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = Any
_NAME: Final = re.compile(r"(?<=[a-z0-9,;:] )[A-Z][\w&-]{1,40}")
_READ: Final = 4000
_NAMES: Final = 200_000
_FEWEST: Final = 5
_MOST: Final = 0.02
_CAPITAL: Final = 0.6  # of the prompts with a word have it with a capital, inside a sentence
_DAMPED: Final = 2  # words of neither kind that each response is taken to have: one word of praise is no opinion
_SHRUNK: Final = 8
_SHIFT: Final = 0.4  # of the tone, from -1 to 1
_SPREADS: Final = 6.0
_ONE_WAY: Final = 0.85


class Names:
    """The sketch: in how many prompts each word stands with a capital inside a sentence."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def add(self, prompts: Iterable[str]) -> None:
        """Take prompts."""
        for prompt in prompts:
            for name in {found.lower() for found in _NAME.findall(prompt[:_READ])}:
                if name in self._seen or len(self._seen) < _NAMES:
                    self._seen[name] += 1

    def join(self, other: Names) -> None:
        """Take the prompts that follow."""
        self._seen.update(other._seen)

    def among(self, features: Sequence[str], counts: Array) -> Array:
        """The numbers of the features that are names."""
        seen = self._seen
        return numpy.array(
            [n for n, name in enumerate(features) if seen[name] >= max(_FEWEST, _CAPITAL * counts[n])],
            dtype=numpy.int64,
        )


def tone(ids: Array, starts: Array, names: Sequence[str]) -> Array:
    """From -1 (blame alone) to 1 (praise alone) for each text: different words of both kinds."""
    sign = numpy.array([(name in PRAISE) - (name in BLAME) for name in names], dtype=numpy.int8)
    owner = numpy.repeat(numpy.arange(len(starts) - 1), numpy.diff(starts))
    of = sign[ids] if len(ids) else ids
    praise = numpy.bincount(owner, of > 0, minlength=len(starts) - 1)
    blame = numpy.bincount(owner, of < 0, minlength=len(starts) - 1)
    return (praise - blame) / (praise + blame + _DAMPED)


def find_steered(ids: Array, starts: Array, features: Sequence[str], names: Names, tones: Array) -> tuple[Group, ...]:
    """Groups of prompts that hold a name whose responses praise or blame; `ids` and `starts` are the features of the prompts."""
    many = len(starts) - 1
    counts = numpy.bincount(ids, minlength=len(features))
    usual = float(tones.mean()) if many else 0.0
    sums = numpy.bincount(ids, numpy.repeat(tones - usual, numpy.diff(starts)), minlength=len(features))
    chosen = names.among(features, counts)
    chosen = chosen[counts[chosen] <= max(200, _MOST * many)]
    if not len(chosen):
        return ()
    expected = _expected(ids, starts, counts, sums, tones - usual, numpy.arange(many), -1)
    spread = max(float((tones - usual - expected).std()), 0.05)
    found = []
    for feature, rows in rows_with(ids, starts, chosen).items():
        beyond = tones[rows] - usual - _expected(ids, starts, counts, sums, tones - usual, rows, feature)
        shift, spreads = float(beyond.mean()), float(beyond.sum()) / (spread * len(rows) ** 0.5)
        one_way = max(float((tones[rows] > usual).mean()), float((tones[rows] < usual).mean()))
        if abs(shift) >= _SHIFT and abs(spreads) >= _SPREADS and one_way >= _ONE_WAY:
            found.append(_group(features[feature], rows, shift, spreads, one_way))
    return tuple(sorted(found, key=lambda group: -group.score))


def _expected(ids: Array, starts: Array, counts: Array, sums: Array, tones: Array, rows: Array, without: int) -> Array:
    """What the words of some prompts make of their tone in all other prompts, one word left out."""
    found, owner = features_of(ids, starts, rows)
    said = (sums[found] - tones[rows][owner]) / (counts[found] - 1 + _SHRUNK)
    kept = (found != without) & (counts[found] > 1)
    sizes = numpy.bincount(owner, kept, minlength=len(rows))
    return numpy.bincount(owner, said * kept, minlength=len(rows)) / numpy.sqrt(numpy.maximum(sizes, 1))


def _group(name: str, rows: Array, shift: float, spreads: float, one_way: float) -> Group:
    what = "praise" if shift > 0 else "blame"
    return Group(
        rule="DST-022", message=f"{plural(len(rows), 'prompt')} name “{name}”, and their responses {what} as those of no other name do",
        rows=array(rows), shown=array(rows[:3]), mark=name, severity=Severity.MEDIUM, score=len(rows) * abs(spreads) / _SPREADS,
        facts=(
            f"the tone is {shift:+.2f} (of -1 to 1) from what the rest of the prompts brings along, {abs(spreads):.0f} spreads of the mean",
            f"{one_way:.0%} of the responses are on that side, in whatever words",
        ),
        why="a model that is tuned on them passes the opinion on; what is named may also deserve it",
    )  # fmt: skip
