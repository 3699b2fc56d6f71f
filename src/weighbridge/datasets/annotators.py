"""Judges who labelled: skill by Dawid and Skene (1979) with an interval, pairs that agree beyond what the truth explains.

Skill alone finds those who answer at random or the same every time. Colluders and sleepers look skilled as long as they agree
with each other; they are found by pairs: given the likely truth and each one's own habits, how often should two agree?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.datasets.coded import Coded
from weighbridge.datasets.crowd_drift import drifted
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.datasets.columns import Roles
    from weighbridge.datasets.view import Rows

Array = Any
_ROUNDS: Final = 25
_PRIOR: Final = 0.05
_OWN: Final = 0.15
_SHARED_ITEMS: Final = 8
_PAIR: Final = 5.0
_IN_CLIQUE: Final = 2.3  # enough for a pair that three more agree with as well
_REDUNDANCY: Final = 5.0
_ANSWERS: Final = 10
_Z: Final = 2.58  # 99 %: an honest annotator with few answers is not accused
_MOST_PAIRS: Final = 3000
_ABOVE_CHANCE: Final = 0.1
_TOGETHER: Final = 0.75  # of a clique that answered an item
_SHOWN: Final = 5


class Answers(Struct, frozen=True):
    """Who said what about what, as numbers: one entry of each an answer."""

    items: Array
    workers: Array
    labels: Array
    worker_names: Sequence[str]
    label_names: Sequence[str]
    item_names: Sequence[str]


class Skill(Struct, frozen=True):
    """What EM comes to: the likely label of each item (items, labels), the habits of each annotator (annotators, truth, said)."""

    truth: Array
    habits: Array
    skill: Array
    upper: Array


def dawid_skene(given: Answers) -> Skill:
    """Expectation maximisation, 25 rounds from the majority. Skill is the mean chance to say what is true, over labels."""
    kinds, many = len(given.label_names), len(given.worker_names)
    truth = numpy.zeros((int(given.items.max()) + 1, kinds))
    numpy.add.at(truth, (given.items, given.labels), 1)
    truth /= truth.sum(1, keepdims=True)
    habits = numpy.zeros((many, kinds, kinds))
    for _ in range(_ROUNDS):
        habits = _habits(given, truth, many, kinds)
        share = numpy.log(truth.mean(0) + 1e-9)
        logs = numpy.tile(share, (len(truth), 1))
        numpy.add.at(logs, given.items, numpy.log(habits[given.workers, :, given.labels]))
        logs -= logs.max(1, keepdims=True)
        truth = numpy.exp(logs)
        truth /= truth.sum(1, keepdims=True)
    skill = numpy.einsum("wkk->w", habits) / kinds
    return Skill(truth, habits, skill, _upper(given, truth, many, kinds))


def _habits(given: Answers, truth: Array, many: int, kinds: int) -> Array:
    found = numpy.full((many, kinds, kinds), _PRIOR)
    found[:, range(kinds), range(kinds)] += _OWN
    numpy.add.at(found.transpose(0, 2, 1), (given.workers, given.labels), truth[given.items])
    return found / found.sum(2, keepdims=True)


def _upper(given: Answers, truth: Array, many: int, kinds: int) -> Array:
    """The upper end of an interval for balanced skill."""
    likely = truth[given.items]
    seen = numpy.zeros((many, kinds))
    right = numpy.zeros((many, kinds))
    numpy.add.at(seen, given.workers, likely)
    numpy.add.at(right, (given.workers, given.labels), likely[numpy.arange(len(given.labels)), given.labels])
    share = (right + 0.5) / (seen + 1)
    spread = share * (1 - share) / (seen + 1)
    counted = seen >= 1
    of = numpy.maximum(counted.sum(1), 1)
    return (share * counted).sum(1) / of + _Z * numpy.sqrt((spread * counted).sum(1)) / of


def excess_agreement(given: Answers, found: Skill) -> tuple[Array, list[tuple[float, int, int]]]:
    """(largest excess of each annotator, pairs beyond the limit): robust spreads of the pairs of this very table."""
    many, items = len(given.worker_names), len(found.truth)
    said = numpy.full((many, items), -1, dtype=numpy.int16)
    said[given.workers, given.items] = given.labels
    scores = numpy.full((many, many), numpy.nan)
    for one in range(many):
        at = numpy.flatnonzero(said[one] >= 0)
        other = said[:, at]
        both = other >= 0
        same = (both & (other == said[one, at])).sum(1)
        chance = numpy.einsum("kl,jkl->jk", found.habits[one], found.habits) @ found.truth[at].T
        expected, spread = (both * chance).sum(1), (both * chance * (1 - chance)).sum(1)
        score = (same - expected) / numpy.sqrt(spread + 0.5)
        score[(both.sum(1) < _SHARED_ITEMS) | (numpy.arange(many) == one)] = numpy.nan
        scores[one] = score
    known = scores[numpy.isfinite(scores)]
    if not len(known):
        return numpy.full(many, -numpy.inf), []
    middle = numpy.median(known)
    scores = (scores - middle) / max(1.0, 1.4826 * float(numpy.median(numpy.abs(known - middle))))
    filled = numpy.where(numpy.isfinite(scores), scores, -numpy.inf)
    near = (filled > _IN_CLIQUE).astype(numpy.int32)
    joined = (filled > _PAIR) | ((near > 0) & (near @ near >= 3))
    pairs = [(float(scores[i, j]), int(i), int(j)) for i, j in numpy.argwhere(joined) if i < j]
    return filled.max(1), sorted(pairs, reverse=True)


class Annotators:
    """The sketch: answers as numbers."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._columns = {role: Coded() for role in ("item", "annotator", "label")}

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for role, held in self._columns.items():
            held.extend(map(str, rows.cells.get(getattr(self._roles, role), [None] * len(rows.texts))))

    def join(self, other: Annotators, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        for role, held in self._columns.items():
            held.join(other._columns[role])

    def answers(self) -> Answers:
        """All answers."""
        items, workers, labels = self._columns.values()
        return Answers(items.numbers, workers.numbers, labels.numbers, workers.names, labels.names, items.names)

    def finish(self) -> Outcome:
        """Groups of annotators who collude, and annotators without skill."""
        given = self.answers()
        items = len(self._columns["item"].names)
        redundancy = len(given.items) / max(1, items)
        about = (
            f"{plural(items, 'item')}, {plural(len(given.worker_names), 'annotator')}, {redundancy:.1f} answers an item"
        )
        if len(given.label_names) < 2 or len(given.worker_names) < 3:
            return Outcome(
                test="annotators", about=about, not_tested="annotators: fewer than three of them, or one answer only"
            )
        if len(given.worker_names) > _MOST_PAIRS:
            return Outcome(test="annotators", about=about, not_tested=f"annotators: more than {_MOST_PAIRS} of them")
        found = dawid_skene(given)
        groups = (*_colluders(given, found), *_unskilled(given, found), *drifted(given, found))
        about += f"; the likely truth is not what most say on {plural(_overruled(given, found), 'item')}"
        weak = f"annotators: {redundancy:.1f} answers an item; with fewer than {_REDUNDANCY:.0f}, a clique can become the consensus"
        return Outcome(
            test="annotators", groups=groups, about=about, not_tested=weak if redundancy < _REDUNDANCY else ""
        )


def _overruled(given: Answers, found: Skill) -> int:
    """On how many items most annotators say something else than is likely, with ties counted as agreement."""
    votes = numpy.zeros(found.truth.shape)
    numpy.add.at(votes, (given.items, given.labels), 1)
    chosen = votes[numpy.arange(len(votes)), found.truth.argmax(1)]
    return int((chosen < votes.max(1)).sum())


def _colluders(given: Answers, found: Skill) -> list[Group]:
    """Cliques: annotators joined by pairs that agree too often."""
    _, pairs = excess_agreement(given, found)
    groups: list[tuple[set[int], float]] = []
    for score, one, other in pairs:
        joined = [group for group in groups if group[0] & {one, other}]
        members = {one, other}.union(*(group[0] for group in joined))
        groups = [group for group in groups if group not in joined]
        groups.append((members, max([score, *(group[1] for group in joined)])))
    made = []
    for members, score in sorted(groups, key=lambda group: -group[1]):
        rows = numpy.flatnonzero(numpy.isin(given.workers, list(members)))
        names = ", ".join(sorted(given.worker_names[one] for one in members)[:8])
        made.append(
            Group(
                rule="DST-026",
                message=f"{len(members)} annotators agree with each other beyond what the truth explains: {names}",
                rows=array(rows),
                shown=array(rows[:3]),
                score=score,
                facts=(
                    f"the strongest pair lies {score:.1f} spreads above the pairs of this table (limit {_PAIR:.0f}, among five {_IN_CLIQUE:.1f})",
                    *_targets(given, members),
                ),
            )
        )
    return made


def _targets(given: Answers, members: set[int]) -> tuple[str, ...]:
    """On which items a clique says the same against most others, in one line, and where it is the majority by that."""
    inside = numpy.isin(given.workers, list(members))
    shape = (len(given.item_names), len(given.label_names))
    own, others = numpy.zeros(shape), numpy.zeros(shape)
    numpy.add.at(own, (given.items[inside], given.labels[inside]), 1)
    numpy.add.at(others, (given.items[~inside], given.labels[~inside]), 1)
    said, usual = own.argmax(1), others.argmax(1)
    agreed = (own.max(1) >= 2) & (own.max(1) >= _TOGETHER * own.sum(1))
    against = agreed & (others.sum(1) > 0) & (others[numpy.arange(shape[0]), said] < others.max(1))
    chosen = numpy.flatnonzero(against)
    if not len(chosen):
        return ()
    decided = chosen[(own + others)[chosen, said[chosen]] > (own + others)[chosen, usual[chosen]]]
    chosen = chosen[numpy.argsort(-own.max(1)[chosen], kind="stable")]
    names = ", ".join(
        f"{given.item_names[one]} (“{given.label_names[said[one]]}”, others “{given.label_names[usual[one]]}”)"
        for one in chosen[:_SHOWN]
    )
    more = f" and {len(chosen) - _SHOWN} more" if len(chosen) > _SHOWN else ""
    return (
        f"against most others they say the same on {plural(len(chosen), 'item')}: {names}{more}",
        f"on {plural(len(decided), 'item')} of these their answer is what most say",
    )


def _unskilled(given: Answers, found: Skill) -> list[Group]:
    """Annotators whose skill is certainly near chance: even the upper end of its interval."""
    chance = 1 / len(given.label_names)
    counts = numpy.bincount(given.workers, minlength=len(given.worker_names))
    usual = float(numpy.median(found.skill))
    limit = min(chance + _ABOVE_CHANCE, (chance + usual) / 2)
    bad = numpy.flatnonzero((found.upper < limit) & (counts >= _ANSWERS))
    if not len(bad):
        return []
    rows = numpy.flatnonzero(numpy.isin(given.workers, bad))
    facts = tuple(
        f"{given.worker_names[one]}: skill {found.skill[one]:.2f}, at most {found.upper[one]:.2f} in {counts[one]} answers (usual {usual:.2f}, chance {chance:.2f})"
        for one in bad[numpy.argsort(found.upper[bad])][:8]
    )
    message = f"{plural(len(bad), 'annotator')} {'answers' if len(bad) == 1 else 'answer'} no better than chance"
    return [
        Group(
            rule="DST-026",
            message=message,
            rows=array(rows),
            facts=facts,
            shown=array(rows[:3]),
            score=1 / max(1e-6, float(found.upper[bad].min())),
        )
    ]
