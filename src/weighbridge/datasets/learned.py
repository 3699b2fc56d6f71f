"""Finds labels that were exchanged on purpose in pictures, tables of numbers, and whatever somebody has numbers for.

Two classes that look alike are confused both ways; labels that were exchanged are so one way only, and these rows read as clearly
as honest ones do. Rows of many classes under one label are what a trigger needs, whatever it is: they need not share anything that
anybody sees.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.binomial import at_least
from weighbridge.datasets.clusters import find_parted
from weighbridge.datasets.coded import Coded
from weighbridge.datasets.columns import number_of
from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.datasets.image_files import why_no_array
from weighbridge.datasets.neighbours import read_labels, scaled
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.datasets.neighbours import LabelsRead
    from weighbridge.datasets.view import Rows

Array = Any
_LEAST: Final = 50
_MOST: Final = 100_000
_MOST_LABELS: Final = 200
_WIDEST: Final = 64
_CLEARLY: Final = 0.5  # of how clearly honest rows of that class read as it
_FEWEST: Final = 8
_SHARE: Final = 0.05
_ONE_WAY: Final = 3
_ONE_LABEL: Final = 2
_CHANCE: Final = 1e-4
_USEFUL: Final = 0.6  # of the way from chance to perfect


def find_exchanged(numbers: Array, labels: Array, classes: Sequence[str], what: str) -> Outcome:
    """Exchanged labels, by numbers (rows, columns) of like scale; `what` they are of, such as “pictures”."""
    test = f"exchanged labels of {what}"
    many = len(labels)
    if not _LEAST <= many <= _MOST or not 2 <= len(classes) <= _MOST_LABELS:
        why = (
            f"{many} rows and {len(classes)} labels ({_LEAST} to {_MOST} rows and 2 to {_MOST_LABELS} labels are read)"
        )
        return Outcome(test=test, not_tested=f"{test}: {why}")
    read = read_labels(numbers, labels)
    right = float((read.predicted == labels).mean())
    clear = _clear(read, labels)
    about = f"{right:.0%} of the rows read as their label, {int(clear.sum())} clearly as another"
    chance = float(numpy.bincount(labels).max()) / many
    if right < chance + _USEFUL * (1 - chance):
        return Outcome(test=test, about=about, not_tested=f"{test}: their numbers tell too little of it")
    pairs = _groups(read, clear, labels, classes, what)
    left = clear.copy()
    left[[row for one in pairs for row in one.rows]] = False
    return Outcome(test=test, about=about, groups=(*pairs, *_collected(read, left, labels, classes, what)))


def _clear(read: LabelsRead, labels: Array) -> Array:
    """Rows that read as another label as clearly as honest rows of it do."""
    usual = numpy.ones(int(labels.max()) + 1)
    for kind in range(len(usual)):
        honest = -read.margin[(labels == kind) & (read.predicted == kind)]
        usual[kind] = float(numpy.median(honest)) if len(honest) else 1.0
    found: Array = (read.predicted != labels) & (read.margin > _CLEARLY * usual[read.predicted])
    return found


def _groups(read: LabelsRead, clear: Array, labels: Array, classes: Sequence[str], what: str) -> list[Group]:
    kinds = len(classes)
    table = numpy.zeros((kinds, kinds), dtype=numpy.int64)
    numpy.add.at(table, (labels[clear], read.predicted[clear]), 1)
    sizes = numpy.bincount(labels, minlength=kinds)
    found = []
    for labelled, reads in numpy.argwhere(table >= _FEWEST):
        # Had they kept their label, the class that they read as would be larger by them.
        count, back = int(table[labelled, reads]), int(table[reads, labelled])
        share = count / max(1, sizes[labelled])
        usual = max(back / max(1, sizes[reads]), 1 / max(1, sizes[labelled]))
        chance = at_least(count, int(sizes[labelled]), min(1.0, _ONE_WAY * usual))
        if share < _SHARE or share < _ONE_WAY * usual or chance * kinds * kinds > _CHANCE:
            continue
        rows = numpy.flatnonzero(clear & (labels == labelled) & (read.predicted == reads))
        rows = rows[numpy.argsort(-read.margin[rows])]
        found.append(
            Group(
                rule="DST-017", message=f"{len(rows)} {what} labelled “{classes[labelled]}” read as “{classes[reads]}”, and hardly any the other way",
                rows=array(rows), shown=array(rows[:3]), score=share,
                facts=(f"{share:.1%} of this label; the other way {back / max(1, sizes[reads]):.1%}", f"p = {chance:.1e} against three times that share"),
            )
        )  # fmt: skip
    return found


def _collected(read: LabelsRead, clear: Array, labels: Array, classes: Sequence[str], what: str) -> list[Group]:
    """The one label whose rows read as others, of any kind, far more often than those of every other label do."""
    kinds = len(classes)
    if kinds < 3:  # two labels are confused with each other alone: which of them is wrong, nothing says
        return []
    sizes = numpy.bincount(labels, minlength=kinds)
    counts = numpy.bincount(labels[clear], minlength=kinds)
    shares = counts / numpy.maximum(sizes, 1)
    first, second = numpy.argsort(-shares, kind="stable")[:2]
    usual = max(float(shares[second]), 1 / max(1, int(sizes[first])))
    chance = at_least(int(counts[first]), int(sizes[first]), usual)
    if counts[first] < _FEWEST or shares[first] < _ONE_LABEL * usual or chance * kinds > _CHANCE:
        return []
    rows = numpy.flatnonzero(clear & (labels == first))
    rows = rows[numpy.argsort(-read.margin[rows])]
    read_as = numpy.bincount(read.predicted[rows], minlength=kinds)
    most = ", ".join(
        f"“{classes[kind]}” {read_as[kind]}" for kind in numpy.argsort(-read_as, kind="stable")[:5] if read_as[kind]
    )
    return [
        Group(
            rule="DST-017", message=f"{len(rows)} {what} labelled “{classes[first]}” read as other labels, twice as often as those of any other label do",
            rows=array(rows), shown=array(rows[:3]), score=float(shares[first]),
            facts=(f"{shares[first]:.1%} of this label, at most {usual:.1%} of another; they read as {most}", f"p = {chance:.1e} against the next label"),
            why="a model learns whatever these rows share, seen or not, as a sign of this label; a label for all that is left looks the same",
        )
    ]  # fmt: skip


def read_features(path: str, rows: int) -> Array:
    """Numbers that a user gives, one row for each of the data, in .npy or .npz. Raises UsageError."""
    try:
        found = numpy.load(path, allow_pickle=False)
        made = found if isinstance(found, numpy.ndarray) else found[found.files[0]]
    except (OSError, ValueError, EOFError, IndexError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        raise UsageError(
            f"--features {path}: no array ({why_no_array(error)})", hint="save it with numpy.save"
        ) from error
    if made.ndim < 2 or made.dtype.kind not in "fiub" or len(made) != rows:
        raise UsageError(
            f"--features {path}: an array of {made.shape} for {rows} rows",
            hint="numbers, one row for each of the data, in its order",
        )
    return made.reshape(rows, -1).astype(numpy.float32)


class GivenNumbers:
    """The sketch for numbers that a user gives: the labels of the rows."""

    def __init__(self, path: str) -> None:
        self._path, self._labels = path, Coded()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self._labels.extend(rows.labels or ())

    def join(self, other: GivenNumbers, _first: int = 0) -> None:
        """Take the labels of the rows that follow."""
        self._labels.join(other._labels)

    def finish(self) -> tuple[Outcome, ...]:
        """Exchanged labels, and rows that a model keeps apart, by the numbers of the file. Raises UsageError where they do not fit."""
        numbers = read_features(self._path, len(self._labels))
        labels, names = self._labels.numbers.astype(numpy.int64), self._labels.names
        return find_exchanged(scaled(numbers), labels, names, "rows"), find_parted(numbers, labels, names, "rows")


class LabelledNumbers:
    """The sketch: the numbers of a table, column by column, with the labels of its rows."""

    def __init__(self, columns: Sequence[str]) -> None:
        """`columns` are those of numbers, beside the label."""
        self._columns = columns[:_WIDEST]
        self._parts: list[Array] = []
        self._labels = Coded()
        self._rows = 0

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        if rows.labels is None:
            return
        self._rows += len(rows.labels)
        if not self._columns or self._rows > _MOST:
            return
        columns = [
            [
                numpy.nan if (one := number_of(cell)) is None else one
                for cell in rows.cells.get(name, [None] * len(rows.labels))
            ]
            for name in self._columns
        ]
        self._parts.append(numpy.array(columns, dtype=numpy.float32).T)
        self._labels.extend(rows.labels)

    def join(self, other: LabelledNumbers, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._rows += other._rows
        if self._rows <= _MOST:
            self._parts += other._parts
            self._labels.join(other._labels)

    def finish(self) -> Outcome:
        """Exchanged labels, where there are columns of numbers."""
        test = "exchanged labels of rows"
        if len(self._columns) < 2 or self._rows > _MOST:
            why = f"{self._rows} rows" if self._rows > _MOST else "fewer than two columns of numbers"
            return Outcome(test=test, not_tested=f"{test}, by their numbers: {why}")
        return find_exchanged(
            scaled(numpy.concatenate(self._parts)),
            self._labels.numbers.astype(numpy.int64),
            self._labels.names,
            "rows",
        )


def is_numbers(cells: Sequence[Any]) -> bool:
    """Whether a column holds numbers, by the first of its cells."""
    filled = [cell for cell in cells[:2000] if cell is not None and cell != ""]
    return len(filled) > 0 and sum(number_of(cell) is not None for cell in filled) >= 0.9 * len(filled)
