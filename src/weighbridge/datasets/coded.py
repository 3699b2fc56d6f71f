"""Knows a column of names as numbers: each name has the number of its first place among them."""

from __future__ import annotations

from array import array as numbers
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

Array = Any


class Coded:
    """The column. It grows by `extend`; `join` puts the column of the rows that follow behind it."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._numbers = numbers("i")

    def extend(self, names: Iterable[str]) -> None:
        """Take names, in their order."""
        known = self._known
        self._numbers.extend([known.setdefault(name, len(known)) for name in names])

    def join(self, other: Coded) -> None:
        """Take all names of another column, in their order."""
        known = self._known
        here = numpy.array([known.setdefault(name, len(known)) for name in other._known], dtype=numpy.int32)
        if len(other):
            self._numbers.frombytes(here[other.numbers].tobytes())

    def __len__(self) -> int:
        return len(self._numbers)

    def among(self, names: Container[str]) -> Array:
        """Whether each entry is one of some names."""
        return numpy.array([name in names for name in self._known], dtype=bool)[self.numbers]

    @property
    def names(self) -> list[str]:
        """The names, by their number."""
        return list(self._known)

    @property
    def numbers(self) -> Array:
        """A copy of the numbers, of type int32."""
        return numpy.array(self._numbers, dtype=numpy.int32)
