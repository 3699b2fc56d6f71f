"""Knows the picture of a comparison: one cell for each layer and module, the darker the more its tensors changed.

SVG without script. Six steps of colour, each with its words below.
"""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Final

from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Comparison

_LAYER: Final = re.compile(r"\A(.*?(?:layers?|blocks?|h)\.)(\d+)\.(.+)\Z")
_CELL, _LEFT, _TOP, _BOTTOM = 22, 250, 24, 46
_ROWS, _COLUMNS = 48, 200
_STEPS: Final = ("#e8edf2", "#cfe3f2", "#9ecae8", "#f2c14e", "#e8833a", "#c8102e")
_LEGEND: Final = ("unchanged", "< 0.1 %", "< 1 %", "< 10 %", "< 50 %", "more")
_LIMITS: Final = (0.0, 1e-3, 1e-2, 1e-1, 0.5)


def heat_map(found: Comparison) -> str:
    """The picture; empty where no tensor has a place in both."""
    cells = _cells(found)
    if not cells:
        return ""
    rows = list(dict.fromkeys(module for module, _ in cells))
    columns = sorted({layer for _, layer in cells})
    return "\n".join(_drawn(cells, rows[:_ROWS], columns[:_COLUMNS], len(rows) - _ROWS))


def _cells(found: Comparison) -> dict[tuple[str, int], float]:
    """The largest relative change by module and layer; -1 is the column of what lies in no layer."""
    cells: dict[tuple[str, int], float] = {}
    known = {**dict.fromkeys(found.same, 0.0), **{change.name: change.relative for change in found.changed}}
    for name in sorted(known, key=lambda one: (_place(one)[1] >= 0, one)):
        place = _place(name)
        value = known[name]
        cells[place] = max(cells.get(place, 0.0), 1.0 if math.isnan(value) else value)
    return cells


def _place(name: str) -> tuple[str, int]:
    match = _LAYER.match(name)
    return (match[3], int(match[2])) if match and len(match[2]) < 6 else (name, -1)


def _drawn(cells: dict[tuple[str, int], float], rows: list[str], columns: list[int], hidden: int) -> Iterator[str]:
    width = _LEFT + _CELL * max(len(columns), 26) + 10
    height = _TOP + _CELL * len(rows) + _BOTTOM
    yield f'<svg class="map" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    yield f"<title>Relative change by module and layer: {len(rows)} modules, {len(columns)} columns</title>"
    for x, layer in enumerate(columns):
        if len(columns) <= 40 or layer % 5 == 0:
            label = str(layer) if layer >= 0 else "·"
            yield f'<text x="{_LEFT + x * _CELL + _CELL / 2}" y="{_TOP - 8}" text-anchor="middle">{label}</text>'
    for y, module in enumerate(rows):
        shown = escape(printable(module if len(module) <= 34 else f"…{module[-33:]}"))
        yield f'<text x="{_LEFT - 8}" y="{_TOP + y * _CELL + 15}" text-anchor="end">{shown}</text>'
        for x, layer in enumerate(columns):
            value = cells.get((module, layer))
            if value is None:
                continue
            where = f"layer {layer}, " if layer >= 0 else ""
            yield (
                f'<rect x="{_LEFT + x * _CELL}" y="{_TOP + y * _CELL}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3"'
                f' fill="{colour(value)}"><title>{where}{escape(printable(module))}: {100 * value:.3g} %</title></rect>'
            )
    at = _TOP + _CELL * len(rows) + 14
    for number, (fill, label) in enumerate(zip(_STEPS, _LEGEND, strict=True)):
        x = _LEFT + number * 92
        yield f'<rect x="{x}" y="{at}" width="14" height="14" rx="3" fill="{fill}"/><text x="{x + 19}" y="{at + 11}">{label}</text>'
    if hidden > 0:
        yield f'<text x="8" y="{at + 11}">and {hidden} more modules</text>'
    yield "</svg>"


def colour(value: float) -> str:
    """The colour of a relative change."""
    return _STEPS[sum(value > limit for limit in _LIMITS)]
