"""Finds passages that were written to be retrieved: several that open with one question, and signs that gibberish follows.

A passage that repeats a question word for word is the nearest there is to it, whatever it then says (PoisonedRAG, Zou et al.
2024, arXiv 2402.07867). An honest collection asks a question once; whoever wants an answer believed says it several times.
"""

from __future__ import annotations

import re
from array import array as numbers
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.features import Features, own_share, rows_with
from weighbridge.datasets.groups import Group, Outcome, array, merged
from weighbridge.datasets.surprise import Surprise
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

Array = Any
_FEWEST: Final = 3  # passages; the attack needs about five a question
_SIGNED: Final = 5
_MOST: Final = 0.02
_EXAMINED: Final = 30_000
_STRANGE: Final = 3.0
_OWN: Final = 0.4
_WORDS: Final = 4
_REPORTED: Final = 20
_LEAST: Final = 50
_QUESTION: Final = re.compile(r"\s*((?:[^.!?\n]{1,300}?)\?)[\s\"”'»]")


class _Signed(Struct, frozen=True):
    """A feature whose texts are no language."""

    feature: int
    rows: Array


class Passages:
    """The sketch: the question that each text opens with, its words, and how surprising its letters are."""

    def __init__(self) -> None:
        self._openings, self._rests = numbers("Q"), numbers("Q")
        self._shown: dict[int, str] = {}
        self._features, self._surprise = Features(), Surprise()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self._features.add(rows.texts)
        self._surprise.add(rows.texts)
        for text in rows.texts:
            found = _QUESTION.match(text)
            words = " ".join(found[1].lower().split()) if found else ""
            is_asked = found is not None and words.count(" ") >= _WORDS - 1
            digest = text_digest(words) if is_asked else 0
            self._openings.append(digest)
            self._rests.append(text_digest(text[found.end() :]) if found and is_asked else 0)
            if is_asked:
                self._shown.setdefault(digest, words)

    def join(self, other: Passages, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._features.join(other._features)
        self._surprise.join(other._surprise)
        self._openings.extend(other._openings)
        self._rests.extend(other._rests)
        self._shown = {**other._shown, **self._shown}

    def finish(self) -> tuple[Outcome, ...]:
        """Questions that several passages open with, and signs that gibberish follows."""
        return self._asked(), self._signed()

    def _asked(self) -> Outcome:
        openings = numpy.frombuffer(self._openings, dtype=numpy.uint64)
        rests = numpy.frombuffer(self._rests, dtype=numpy.uint64)
        values, counts = numpy.unique(openings[openings != 0], return_counts=True)
        groups = []
        for value in values[counts >= _FEWEST]:
            rows = numpy.flatnonzero(openings == value)
            different = len(numpy.unique(rests[rows]))
            if different < _FEWEST:  # copies of one passage are told as such
                continue
            asked = self._shown[int(value)]
            groups.append(
                Group(
                    rule="VEC-004", message=f"{plural(len(rows), 'passage')} open with the question “{asked[:120]}”", rows=array(rows),
                    shown=array(rows[:3]), mark=asked, score=float(len(rows)),
                    facts=(f"{different} different continuations; each is the nearest there is to whoever asks it",),
                )
            )  # fmt: skip
        ranked = sorted(groups, key=lambda group: -group.score)
        more = f"{len(ranked) - _REPORTED} more questions rank lower" if len(ranked) > _REPORTED else ""
        return Outcome(test="passages that open with one question", groups=tuple(ranked[:_REPORTED]), about=more)

    def _signed(self) -> Outcome:
        if len(self._features) < _LEAST:
            return Outcome(test="gibberish", not_tested=f"gibberish after a sign: fewer than {_LEAST} texts")
        ids, starts = self._features.arrays()
        counts = numpy.bincount(ids, minlength=len(self._features.names))
        strange = numpy.where(own_share(ids, starts, counts) > _OWN, self._surprise.finish(), 0.0)
        most = max(500, int(_MOST * (len(starts) - 1)))
        features = numpy.flatnonzero((counts >= _SIGNED) & (counts <= most))
        odd = numpy.bincount(ids, numpy.repeat(strange > _STRANGE, numpy.diff(starts)), minlength=len(counts))
        able = features[odd[features] >= 0.75 * counts[features]]
        able = able[numpy.argsort(-counts[able], kind="stable")[:_EXAMINED]]
        found = [_Signed(feature, rows) for feature, rows in rows_with(ids, starts, able).items()]
        names = self._features.names
        groups = []
        for members in merged(sorted(found, key=lambda one: -len(one.rows))):
            rows = members[0].rows
            said = ", ".join(f"“{names[one.feature]}”" for one in members[:4]) + (" …" if len(members) > 4 else "")
            groups.append(
                Group(
                    rule="DST-025", message=f"{plural(len(rows), 'text')} hold {said}, and are no language", rows=array(rows),
                    shown=array(rows[:3]), mark=names[members[0].feature], score=float(len(rows)),
                    facts=(f"their letters are {numpy.median(strange[rows]):.1f} spreads more surprising than usual",),
                )
            )  # fmt: skip
        return Outcome(test="gibberish after a sign", groups=tuple(groups[:_REPORTED]))
