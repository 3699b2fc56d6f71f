"""Finds preference pairs that were turned round: rows with one sign in which the answer is chosen that all other rows would reject.

Which words win is counted over all pairs: those that stand in the chosen answer alone, and those in the rejected one alone.
A group of rows with a sign is then read by the counts of all others, with the group taken out. Honest groups are won by the
same words, or by none; a turned group loses, as clearly as honest rows win.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.datasets.binomial import discoveries
from weighbridge.datasets.features import Features, features_of, rows_with
from weighbridge.datasets.groups import Group, Outcome, array, merged
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

Array = Any
FEWEST: Final = 5
_LEAST: Final = 200
_MOST: Final = 0.05  # of the rows
_EXAMINED: Final = 20_000
_SAMPLE: Final = 400
_SMOOTHING: Final = 1.0
_STEADY: Final = 5
_POWER: Final = 0.25  # spreads that honest rows win by: below, words say too little of who wins
_DISCOVERY: Final = 0.001
_LOST: Final = -0.4  # of what honest rows win by
_AT_LEAST: Final = 0.7  # of the spread of all rows
_DECIDES: Final = 0.9  # of the pairs in which a word stands on one side alone
_REPORTED: Final = 5


class _Found(Struct, frozen=True):
    feature: int
    rows: Array
    mean: float
    lost: float
    p_value: float
    is_prompt: bool


class _Sides(Struct, frozen=True):
    """Words that stand on one side alone: ids[starts[i]:starts[i + 1]] of pair i, with +1 for the chosen, -1 for the rejected."""

    ids: Array
    starts: Array
    signs: Array
    won: Array
    lost: Array


class Preferences:
    """The sketch: the features of prompts, and of both answers."""

    def __init__(self) -> None:
        self._prompts, self._answers = Features(), Features()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        if rows.responses is None or rows.rejected is None:
            return
        self._prompts.add(rows.prompts if rows.prompts is not None else [""] * len(rows.responses))
        self._answers.add([text for pair in zip(rows.responses, rows.rejected, strict=True) for text in pair])

    def join(self, other: Preferences, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._prompts.join(other._prompts)
        self._answers.join(other._answers)

    def finish(self) -> Outcome:
        """Groups whose preference is the reverse of everybody else's, or that nothing can be said and why."""
        many = len(self._prompts)
        if many < _LEAST:
            return Outcome(test="preferences", not_tested=f"turned preferences: {many} pairs (from {_LEAST} on)")
        sides = _one_sided(*self._answers.arrays(), len(self._answers.names))
        margins = _margins(sides, numpy.arange(many), together=False)
        wins, spread = float(numpy.mean(margins)), float(numpy.std(margins)) or 1.0
        right = float((margins > 0).mean())
        about = f"the words of {right:.0%} of the pairs speak for what was chosen"
        if wins < _POWER * spread:
            return Outcome(
                test="preferences",
                about=about,
                not_tested="turned preferences: words hardly tell which answer is chosen",
            )
        candidates = [*self._by_prompt(many), *self._by_answer(sides, many)]
        found = [one for one in (_examined(sides, wins, spread, *given) for given in candidates) if one]
        found.sort(key=lambda one: one.p_value)
        kept = found[: discoveries([one.p_value for one in found], len(candidates), _DISCOVERY)]
        groups = merged(kept)[:_REPORTED]
        return Outcome(test="preferences", about=about, groups=tuple(self._group(members, wins) for members in groups))

    def _by_prompt(self, many: int) -> list[tuple[int, Array, bool]]:
        """Features that some prompts hold, with their rows."""
        ids, starts = self._prompts.arrays()
        counts = numpy.bincount(ids, minlength=len(self._prompts.names))
        features = numpy.flatnonzero((counts >= FEWEST) & (counts <= max(200, int(_MOST * many))))
        chosen = features[numpy.argsort(-counts[features], kind="stable")[:_EXAMINED]]
        return [(feature, rows, True) for feature, rows in rows_with(ids, starts, chosen).items()]

    def _by_answer(self, sides: _Sides, many: int) -> list[tuple[int, Array, bool]]:
        """Features of the chosen answer alone that win nearly always, with their rows: a name that is to be preferred."""
        total = sides.won + sides.lost
        able = (sides.won >= FEWEST) & (sides.won >= _DECIDES * total) & (total <= max(200, int(_MOST * many)))
        features = numpy.flatnonzero(able)
        chosen = features[numpy.argsort(-sides.won[features], kind="stable")[:_EXAMINED]]
        kept = sides.signs > 0
        owner = numpy.repeat(numpy.arange(many), numpy.diff(sides.starts))[kept]
        starts = numpy.concatenate([[0], numpy.cumsum(numpy.bincount(owner, minlength=many))])
        return [(feature, rows, False) for feature, rows in rows_with(sides.ids[kept], starts, chosen).items()]

    def _group(self, members: list[_Found], wins: float) -> Group:
        best = members[0]
        names = [(self._prompts if one.is_prompt else self._answers).names[one.feature] for one in members]
        said = ", ".join(f"“{name}”" for name in names[:4]) + (" …" if len(names) > 4 else "")
        where = "prompts" if best.is_prompt else "chosen answers"
        return Group(
            rule="DST-023",
            message=f"{plural(len(best.rows), 'pair')} with {said} in their {where} prefer what all others reject",
            rows=array(best.rows), shown=array(best.rows[:3]), mark=names[0], score=-math.log10(best.p_value),
            facts=(
                f"by the words of all other pairs {best.lost:.0%} of them lose; others win by {wins:.2f} on average, these by {best.mean:.2f}",
                f"p = {best.p_value:.1e} against groups that no words decide",
            ),
        )  # fmt: skip


def _one_sided(ids: Array, starts: Array, many: int) -> _Sides:
    """The words that only one answer of a pair has. Answers stand in turn: chosen, rejected, and again."""
    owner = numpy.repeat(numpy.arange(len(starts) - 1), numpy.diff(starts))
    keys = (owner // 2).astype(numpy.int64) * many + ids
    order = numpy.argsort(keys, kind="stable")
    keys, side = keys[order], owner[order] % 2
    twice = numpy.zeros(len(keys), dtype=bool)
    twice[1:] = keys[1:] == keys[:-1]
    twice[:-1] |= keys[1:] == keys[:-1]
    keys, side = keys[~twice], side[~twice]
    pair, word = keys // many, keys % many
    made = numpy.zeros((len(starts) + 1) // 2, dtype=numpy.int64)
    made[1:] = numpy.cumsum(numpy.bincount(pair, minlength=len(made) - 1))
    signs = numpy.where(side == 0, 1, -1)
    won = numpy.bincount(word[signs > 0], minlength=many)
    lost = numpy.bincount(word[signs < 0], minlength=many)
    return _Sides(word, made, signs, won, lost)


def _margins(sides: _Sides, rows: Array, *, together: bool, without: int = -1) -> Array:
    """How clearly each row's answer wins by the counts of other rows: itself left out, or `together` all of these rows."""
    ids, owner = features_of(sides.ids, sides.starts, rows)
    signs, _ = features_of(sides.signs, sides.starts, rows)
    won, lost = sides.won[ids].astype(float), sides.lost[ids].astype(float)
    if together:
        words, place = numpy.unique(ids, return_inverse=True)
        won -= numpy.bincount(place, signs > 0, minlength=len(words))[place]
        lost -= numpy.bincount(place, signs < 0, minlength=len(words))[place]
    else:
        won, lost = won - (signs > 0), lost - (signs < 0)
    odds = signs * numpy.log((won.clip(0) + _SMOOTHING) / (lost.clip(0) + _SMOOTHING))
    if without >= 0:
        odds[ids == without] = 0
    sizes = numpy.bincount(owner, minlength=len(rows))
    return numpy.bincount(owner, odds, minlength=len(rows)) / numpy.sqrt(sizes + _STEADY)


def _examined(sides: _Sides, wins: float, spread: float, feature: int, rows: Array, is_prompt: bool) -> _Found | None:
    taken = rows if len(rows) <= _SAMPLE else rows[numpy.linspace(0, len(rows) - 1, _SAMPLE).astype(int)]
    margins = _margins(sides, taken, together=True, without=-1 if is_prompt else feature)
    mean = float(margins.mean())
    if mean > _LOST * wins:
        return None
    # A few rows that agree by chance have a small spread of their own.
    error = max(float(margins.std(ddof=1)), _AT_LEAST * spread) / math.sqrt(len(taken))
    p_value = 0.5 * math.erfc(-mean / error / math.sqrt(2))
    return _Found(feature, rows, mean, float((margins < 0).mean()), max(p_value, 1e-300), is_prompt)
