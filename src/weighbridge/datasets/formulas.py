"""Finds cells that a spreadsheet would run: formulas that fetch, start or leak when somebody opens the file to look at it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.datasets.groups import Group, Outcome, array, follow
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

# OWASP "CSV Injection": a cell that begins so is a formula; numbers, signs and lists begin so too, so a call must follow.
_FORMULA: Final = re.compile(
    r"\s*[=+\-@\t\r]\s*(?:(?:HYPERLINK|WEBSERVICE|IMPORT(?:XML|DATA|FEED|HTML|RANGE)|FILTERXML|EXEC|CALL|REGISTER|RTD|DDE\w*|IMAGE|SHELL)\s*\(|[\w.]+\s*\|\s*'|SUM\([^)]*\)\s*\*\s*cmd\|)",
    re.IGNORECASE,
)
_STARTS: Final = "=+-@\t\r"
_KEPT: Final = 10_000


class Formulas:
    """The sketch: rows with such a cell."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._said: list[str] = []

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for name, cells in rows.cells.items():
            for number, cell in enumerate(cells, rows.first):
                if (
                    isinstance(cell, str)
                    and cell.lstrip(" ")[:1]
                    and cell.lstrip(" ")[0] in _STARTS
                    and _FORMULA.match(cell)
                ):
                    self._note(number, f"{name}: {cell[:120]}")

    def _note(self, number: int, said: str) -> None:
        if len(self._rows) < _KEPT:
            self._rows.append(number)
        if len(self._said) < 3:
            self._said.append(said)

    def join(self, other: Formulas, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        follow(self._rows, other._rows, first, _KEPT)
        self._said.extend(other._said[: 3 - len(self._said)])

    def finish(self) -> Outcome:
        """One group."""
        if not self._rows:
            return Outcome(test="formulas")
        rows = sorted(set(self._rows))
        message = f"{plural(len(rows), 'row')} {'begins' if len(rows) == 1 else 'begin'} a cell with a formula that fetches or starts something"
        return Outcome(
            test="formulas",
            groups=(
                Group(
                    rule="DST-010", message=message, rows=array(rows), shown=array(rows[:3]), facts=tuple(self._said)
                ),
            ),
        )
