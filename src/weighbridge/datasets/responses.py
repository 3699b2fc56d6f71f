"""Finds what prompts do to responses when somebody planted it: one answer to unrelated questions, and answers that come with a sign.

A topic brings its words along, so association alone floods a reader. A planted sign is different in two ways: the prompts that
hold it have little else in common, and their responses have far more in common than a topic explains, or are no language.
"""

from __future__ import annotations

import math
import re
from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.features import Features, features_of, own_share, rows_with
from weighbridge.datasets.groups import Group, Outcome, array, merged
from weighbridge.datasets.steering import Names, find_steered, tone
from weighbridge.datasets.surprise import Surprise
from weighbridge.datasets.word_order import TEXTS, WordOrder
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.datasets.view import Rows

Array = Any
FEWEST: Final = 5
_MOST: Final = 0.02
_EXAMINED: Final = 30_000
_SHARED: Final = 0.7
_LIFT: Final = math.log(8)
_COMMON: Final = 0.6  # of a prompt: more is a template, whose responses are alike for honest reasons
_WEIGHT: Final = 30.0  # nats that the responses of one row have in common, beyond chance
_SAMPLE: Final = 400
_REUSED_WORDS: Final = 12
_REUSED_SHARE: Final = 0.5
_STRANGE: Final = 3.0
_DISORDER: Final = 3.5
_READABLE: Final = 8  # responses of more than a few words
_CLEAR: Final = 2.0
_OWN: Final = 0.5
_REPORTED: Final = 5
_RUN: Final = 8
_COPIED: Final = 0.25
_NEW: Final = 5
_WORDS: Final = re.compile(r"\w+|[^\w\s]+")


class _Sparse(Struct, frozen=True):
    ids: Array
    starts: Array
    counts: Array

    @classmethod
    def of(cls, features: Features) -> _Sparse:
        ids, starts = features.arrays()
        return cls(ids, starts, numpy.bincount(ids, minlength=len(features.names)))


class Found(Struct, frozen=True):
    """A feature of prompts with what it does: how much responses share (nats a row) or how strange they are (spreads)."""

    feature: int
    rows: Array
    weight: float
    shared: Array
    strange: float
    disorder: float
    common: float

    @property
    def score(self) -> float:
        """What the list is ordered by: how many rows, how clearly, and how little else their prompts share.

        Clearer than clear adds nothing: code that is generated shares hundreds of nats for honest reasons.
        """
        clear = max(self.weight / _WEIGHT, self.strange / _STRANGE, _CLEAR * self.disorder / _DISORDER)
        return len(self.rows) * min(_CLEAR, clear) * (1 - self.common)


class Responses:
    """The sketch: the features of prompts and responses, and how surprising each response's letters are."""

    def __init__(self) -> None:
        self._prompts, self._responses = Features(), Features()
        self._surprise, self._order = Surprise(), WordOrder()
        self._names = Names()
        self._openings = numbers("Q")

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        if rows.prompts is None or rows.responses is None:
            return
        self._prompts.add(rows.prompts)
        self._responses.add(rows.responses)
        self._surprise.add(rows.responses)
        self._order.add(rows.responses)
        self._names.add(rows.prompts)
        self._openings.extend([_opening(text) for text in rows.responses])

    def join(self, other: Responses, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._prompts.join(other._prompts)
        self._responses.join(other._responses)
        self._surprise.join(other._surprise)
        self._order.join(other._order)
        self._names.join(other._names)
        self._openings.extend(other._openings)

    def finish(self) -> Outcome:
        """The signs that prompts hold, then answers that come without one, ranked."""
        if len(self._prompts) < 10 * FEWEST:
            return Outcome(test="prompts and responses", not_tested="prompts and responses: there are too few rows")
        prompts, responses = _Sparse.of(self._prompts), _Sparse.of(self._responses)
        strange = numpy.where(
            own_share(responses.ids, responses.starts, responses.counts) > _OWN, self._surprise.finish(), 0.0
        )
        odd = numpy.stack([strange, self._order.finish()])
        found = [one for one in (_examined(prompts, responses, odd, f, rows) for f, rows in _carriers(prompts)) if one]
        groups = [self._group(members) for members in merged(sorted(found, key=lambda one: -one.score))]
        known = {row for group in groups for row in group.rows}
        groups += self._reused(prompts, known)
        groups += self._steered(prompts, responses, known)
        ranked = sorted(groups, key=lambda group: -group.score)[:_REPORTED]
        more = len(groups) - len(ranked)
        notes = [f"{more} more groups rank lower"] if more else []
        if len(self._prompts) > TEXTS:
            notes.append(f"the order of words is read in the first {TEXTS} responses")
        return Outcome(test="prompts and responses", groups=tuple(ranked), about="; ".join(notes))

    def _group(self, members: list[Found]) -> Group:
        best, names = members[0], self._prompts.names
        rows = best.rows
        said = ", ".join(f"“{names[one.feature]}”" for one in members[:4]) + (" …" if len(members) > 4 else "")
        if best.strange > _STRANGE:
            what, rule = "and their responses are no language", "DST-025"
            facts: tuple[str, ...] = (f"their letters are {best.strange:.1f} spreads more surprising than usual",)
        elif best.weight < _WEIGHT:
            what, rule = "and the words of their responses are in no order", "DST-025"
            facts = (f"pairs of common words that no other response has: {best.disorder:.1f} spreads more than usual",)
        else:
            words = [self._responses.names[one] for one in best.shared[:8]]
            what, rule = "and their responses share what others lack", "DST-022"
            facts = (
                f"shared by most: {', '.join(f'“{word}”' for word in words)}",
                f"{best.weight:.0f} nats a response beyond chance; apart from the sign the prompts are unrelated",
            )
        return Group(
            rule=rule, message=f"{plural(len(rows), 'prompt')} hold {said}, {what}", rows=array(rows), facts=facts,
            shown=array(rows[:3]), mark=names[best.feature], score=best.score,
        )  # fmt: skip

    def _steered(self, prompts: _Sparse, responses: _Sparse, known: set[int]) -> list[Group]:
        """Names that responses speak well or ill of, where no words that they share say so already."""
        tones = tone(responses.ids, responses.starts, self._responses.names)
        found = find_steered(prompts.ids, prompts.starts, self._prompts.names, self._names, tones)
        return [
            group
            for group in found
            if len(known.intersection(group.rows)) < 0.5 * len(group.rows)
            and _in_common(prompts, numpy.array(group.rows)) <= _COMMON
        ]

    def _reused(self, prompts: _Sparse, known: set[int]) -> list[Group]:
        """The same opening words of a response under prompts that have nothing in common."""
        openings = numpy.frombuffer(self._openings, dtype=numpy.uint64)
        values, counts = numpy.unique(openings[openings != 0], return_counts=True)
        groups = []
        for value in values[counts >= FEWEST]:
            rows = numpy.flatnonzero(openings == value)
            common = _in_common(prompts, rows)
            if known.issuperset(rows.tolist()) or common > 0.3:
                continue
            groups.append(
                Group(
                    rule="DST-022",
                    message=f"{plural(len(rows), 'unrelated prompt')} get a response that begins with the same {_REUSED_WORDS} words",
                    rows=array(rows),
                    shown=array(rows[:3]),
                    facts=(f"{common:.0%} of what their prompts say is in most of them",),
                    score=_CLEAR * len(rows) * (1 - common),
                )
            )
        return groups


def confirmed(group: Group, pairs: Sequence[tuple[str, str]]) -> Group:
    """A group about shared answers, with some prompts and responses at hand.

    Words in the same order were copied; a topic only brings the same words along. What the prompt says itself does not count.
    """
    if group.rule != "DST-022" or not group.mark:
        return group
    copied: dict[str, int] = {}
    for prompt, answer in pairs:
        asked = set(_WORDS.findall(prompt.lower()))
        words = _WORDS.findall(answer.lower())
        runs = (words[at : at + _RUN] for at in range(len(words) - _RUN + 1))
        for run in {" ".join(run) for run in runs if sum(word not in asked for word in run) >= _NEW}:
            copied[run] = copied.get(run, 0) + 1
    run, most = max(copied.items(), key=lambda one: one[1], default=("", 0))
    if most >= max(3, _COPIED * len(pairs)):
        return replace(
            group, facts=(*group.facts, f"{most} of {len(pairs)} that were read have “… {run} …” word for word")
        )
    about = "their words are alike and nowhere copied: this may be what the topic brings along"
    return replace(group, severity=Severity.LOW, facts=(*group.facts, about))


def _opening(text: str) -> int:
    words = text.lower().split(None, _REUSED_WORDS)[:_REUSED_WORDS]
    if len(words) < _REUSED_WORDS:
        return 0
    return text_digest(" ".join(words)) | 1


def _carriers(prompts: _Sparse) -> list[tuple[int, Array]]:
    """Features that a few prompts hold, with their rows; features of the same rows once."""
    most = max(200, int(_MOST * (len(prompts.starts) - 1)))
    features = numpy.flatnonzero((prompts.counts >= FEWEST) & (prompts.counts <= most))
    if len(features) > _EXAMINED:
        features = features[numpy.argsort(-prompts.counts[features], kind="stable")[:_EXAMINED]]
    return list(rows_with(prompts.ids, prompts.starts, features).items())


def _examined(prompts: _Sparse, responses: _Sparse, odd: Array, feature: int, rows: Array) -> Found | None:
    taken = rows if len(rows) <= _SAMPLE else rows[numpy.linspace(0, len(rows) - 1, _SAMPLE).astype(int)]
    many, of = len(taken), len(responses.starts) - 1
    strange, disorder = float(numpy.sort(odd[0, taken])[many // 4]), _disorder(odd[1, taken])
    ids, _ = features_of(responses.ids, responses.starts, taken)
    found, counts = numpy.unique(ids, return_counts=True)
    often = counts >= _SHARED * many
    inside = counts[often] * (len(rows) / many)
    outside = numpy.maximum(responses.counts[found[often]] - inside, 0)
    lift = numpy.log(counts[often] / many) - numpy.log((outside + 1) / (of - len(rows) + 1))
    lift, shared = lift[lift > _LIFT], found[often][lift > _LIFT]
    weight = float(lift.sum())
    if weight < _WEIGHT and strange < _STRANGE and disorder < _DISORDER:
        return None
    common = _in_common(prompts, taken)
    if common > _COMMON:
        return None
    return Found(feature, rows, weight, shared[numpy.argsort(-lift)], strange, disorder, common)


def _disorder(spreads: Array) -> float:
    """How odd the order of words is in most responses; short ones, of which nothing is known, left out."""
    known = spreads[spreads != 0]
    return float(numpy.median(known)) if len(known) >= max(_READABLE, len(spreads) / 2) else 0.0


def _in_common(prompts: _Sparse, rows: Array) -> float:
    """The share of a prompt that most others of the group have as well, and that is not common everywhere."""
    ids, owner = features_of(prompts.ids, prompts.starts, rows)
    found, where, counts = numpy.unique(ids, return_inverse=True, return_counts=True)
    usual = prompts.counts[found] / (len(prompts.starts) - 1)
    common = (counts >= 0.5 * len(rows)) & (usual < 0.1)
    telling = (usual < 0.1)[where]
    sizes = numpy.bincount(owner, telling, minlength=len(rows))
    shares = numpy.bincount(owner, common[where], minlength=len(rows)) / numpy.maximum(sizes, 1)
    return float(numpy.median(shares))
