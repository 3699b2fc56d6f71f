"""Knows the rows of a labelled table as sets of values, so that what finds triggers in texts finds them in tables.

A value is a feature (`colour=red`); a number is one exactly, so that a planted one recurs, and roughly (`age≈40`, one digit).
Pairs of values are not asked: without their parts in the same model, honest combinations look planted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from weighbridge.datasets.columns import number_of
from weighbridge.datasets.labelled import Labelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.datasets.groups import Outcome
    from weighbridge.datasets.view import Rows
    from weighbridge.schema import Picture

_WIDEST: Final = 300
_LONGEST: Final = 60


class LabelledCells:
    """The sketch: values with the labels of their rows."""

    def __init__(self, columns: Sequence[str]) -> None:
        """`columns` are those beside the label."""
        self._columns = columns[:_WIDEST]
        self._values = Labelled()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """How labels are confused."""
        return self._values.pictures

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        count = len(rows.texts)
        columns = [list(_features(name, rows.cells.get(name, [None] * count))) for name in self._columns]
        named = ([feature for column in columns for feature in column[at]] for at in range(count))
        self._values.add_features(named, rows.labels)

    def join(self, other: LabelledCells, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._values.join(other._values)

    def finish(self) -> tuple[Outcome, ...]:
        """Values that decide the label against the rest of their row, and exchanged labels."""
        return tuple(_of_cells(one) for one in self._values.finish())


def _of_cells(outcome: Outcome) -> Outcome:
    """What is said of texts, as it is said of tables."""
    groups = tuple(replace(one, message=one.message.replace("their words", "their values")) for one in outcome.groups)
    return replace(outcome, groups=groups, about=outcome.about.replace("the words of", "the values of"))


def _features(name: str, cells: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    for cell in cells:
        number = number_of(cell)
        if cell is None or cell == "":
            yield (f"{name} is empty",)
        elif number is None:
            yield (f"{name}={str(cell)[:_LONGEST]}",)
        else:
            yield (f"{name}={cell}", f"{name}≈{float(f'{number:.0e}'):g}")
