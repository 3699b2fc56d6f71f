"""Finds texts that are versions of one another: flooding that no digest of the whole text shows, and leaks between splits.

MinHash (Broder 1997) over runs of three words, 32 minima a text, in 8 bands of 4 rows: texts that share half of their
runs meet in a band with a chance of 40 %, 70 % with 89 %; what meets is alike where half of the minima are the same. One
pass; 128 bytes a text; sketches of the same digests are put one behind the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.coded import Coded
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.datasets.table import HELD_OUT
from weighbridge.datasets.tokens import Digests
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

Array = Any
_RUN: Final = 3
_LEAST_WORDS: Final = 8  # of a shorter text, a version of it is any text about the same
_MINIMA: Final = 32
_BASE: Final = 0x2545F4914F6CDD1D  # the same in every run: what is said of data can be repeated
_JOINT: Final = numpy.uint64(0x9E3779B97F4A7C15)
_BANDS: Final = 8
_ALIKE: Final = 16
_FLOOD: Final = 20
_CHUNK: Final = 1 << 16
_SHARE: Final = 0.005
_LEAKED: Final = 0.05
_SHOWN: Final = 5


class NearDuplicates:
    """The sketch: minima of each text that is long enough, its row and its split."""

    def __init__(self) -> None:
        self._digests = Digests(_BASE)
        rng = numpy.random.default_rng(1)
        self._factors = rng.integers(1 << 31, size=_MINIMA, dtype=numpy.uint32) * numpy.uint32(2) + numpy.uint32(1)
        self._join = rng.integers(1 << 62, size=_RUN, dtype=numpy.uint64) * numpy.uint64(2) + numpy.uint64(1)
        self._minima: list[Array] = []
        self._rows: list[Array] = []
        self._splits = Coded()
        self._count = 0

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        digests, owner = self._digests.of([text.lower() for text in rows.texts])
        lengths = numpy.bincount(owner, minlength=len(rows.texts))
        long = numpy.flatnonzero(lengths >= _LEAST_WORDS)
        if len(long):
            minima = self._minima_of(digests, owner)
            self._minima.append(minima[long])
            self._rows.append(long + self._count)
            self._splits.extend([rows.split] * len(long))
        self._count += len(rows.texts)

    def join(self, other: NearDuplicates, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        self._minima += other._minima
        self._rows += [rows + first for rows in other._rows]
        self._splits.join(other._splits)
        self._count += other._count

    def _minima_of(self, digests: Array, owner: Array) -> Array:
        """The minima of each text, shape (texts, 32); those of texts without a whole run are of no use."""
        last = len(digests) - _RUN + 1
        whole = owner[:last] == owner[_RUN - 1 :]
        runs = sum(digests[place : last + place] * self._join[place] for place in range(_RUN))[whole]
        short = (runs >> numpy.uint64(32)).astype(numpy.uint32)
        of = owner[:last][whole]
        starts = numpy.flatnonzero(numpy.append(True, of[1:] != of[:-1]))
        found = numpy.zeros((int(owner[-1]) + 1, _MINIMA), dtype=numpy.uint32)
        for place, factor in enumerate(self._factors):
            found[of[starts], place] = numpy.minimum.reduceat(short * factor, starts)
        return found

    def finish(self) -> Outcome:
        """Families of versions that flood, and held-out rows with a version in the training data. The sketch is used up."""
        if not self._minima:
            return Outcome(
                test="versions of one text", not_tested=f"versions of one text: no text has {_LEAST_WORDS} words"
            )
        minima, rows = numpy.concatenate(self._minima), numpy.concatenate(self._rows)
        self._minima.clear()
        family = _families(minima)
        order = numpy.argsort(family, kind="stable")
        starts = numpy.flatnonzero(numpy.append(True, family[order][1:] != family[order][:-1]))
        ends = numpy.append(starts[1:], len(order))
        several = [
            order[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if end - start > 1
        ]
        # What is the same to the letter is told by its digest.
        several = [one for one in several if (minima[one] != minima[one[0]]).any()]
        inside = sum(len(one) for one in several)
        about = f"{plural(inside, 'row')} in {len(several)} families of versions" if several else ""
        groups = (*self._floods(several, rows), *self._leaks(several, rows))
        return Outcome(test="versions of one text", groups=groups, about=about)

    def _floods(self, several: list[Array], rows: Array) -> tuple[Group, ...]:
        least = max(_FLOOD, int(_SHARE * self._count))
        largest = sorted((one for one in several if len(one) >= least), key=len, reverse=True)[:_SHOWN]
        return tuple(
            Group(
                rule="DST-021", message=f"{len(one)} rows are versions of one text", rows=array(numpy.sort(rows[one])),
                shown=array(rows[one[:3]]), facts=(f"at least {_ALIKE} of {_MINIMA} minima of their runs of {_RUN} words are the same",),
                severity=Severity.LOW,
            )
            for one in largest
        )  # fmt: skip

    def _leaks(self, several: list[Array], rows: Array) -> tuple[Group, ...]:
        inside = self._splits.among(HELD_OUT)
        if inside.all() or not inside.any() or not several:
            return ()
        leaked = [one for one in several if inside[one].any() and not inside[one].all()]
        if not leaked:
            return ()
        found = numpy.sort(numpy.concatenate([rows[one[inside[one]]] for one in leaked]))
        share = len(found) / max(int(inside.sum()), 1)
        message = (
            f"{plural(len(found), 'row')} of the held-out splits ({share:.1%}) have a version in the training data"
        )
        shown = array(rows[leaked[0][:3]])
        severity = Severity.LOW if share < _LEAKED else None
        return (Group(rule="DST-030", message=message, rows=array(found), shown=shown, severity=severity),)


def _families(minima: Array) -> Array:
    """A number for each text, the same for texts that are versions of one another, also through others."""
    family = numpy.arange(len(minima))
    width = _MINIMA // _BANDS
    for band in range(_BANDS):
        # Two bands with one key and other minima are told apart when they are counted.
        keys = numpy.zeros(len(minima), dtype=numpy.uint64)
        for place in range(band * width, (band + 1) * width):
            keys = keys * _JOINT + minima[:, place]
        order = numpy.argsort(keys, kind="stable")
        new = numpy.append(True, keys[order][1:] != keys[order][:-1])
        first = order[numpy.flatnonzero(new)][numpy.cumsum(new) - 1]
        follows = numpy.flatnonzero(~new)
        # Each text of a run is held against the first of it and the one before.
        one = numpy.concatenate([first[follows], order[follows - 1]])
        other = numpy.concatenate([order[follows], order[follows]])
        alike = numpy.zeros(len(one), dtype=bool)
        for at in range(0, len(one), _CHUNK):
            some, others = minima[one[at : at + _CHUNK]], minima[other[at : at + _CHUNK]]
            alike[at : at + _CHUNK] = (some == others).sum(axis=1) >= _ALIKE
        family = _joined(family, one[alike], other[alike])
    return family


def _joined(family: Array, one: Array, other: Array) -> Array:
    """Families with these pairs in one: the smallest number wins, until nothing moves."""
    while len(one):
        low = numpy.minimum(family[one], family[other])
        before = family.copy()
        numpy.minimum.at(family, family[one], low)
        numpy.minimum.at(family, family[other], low)
        numpy.minimum.at(family, one, low)
        numpy.minimum.at(family, other, low)
        family = family[family]
        if (family == before).all():
            return family
    return family
