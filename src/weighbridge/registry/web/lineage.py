"""Knows the drawing of where an artifact comes from and what shares its bytes: SVG without script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from msgspec import Struct

from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDE: Final = 240
_HIGH: Final = 46
_GAP: Final = 60
_MOST: Final = 8
_LETTERS: Final = 30


class Box(Struct, frozen=True, kw_only=True):
    """One artifact: two lines of text, and the page about it where there is one."""

    name: str
    below: str
    address: str = ""


def drawn(before: Sequence[Box], own: Box, after: Sequence[Box]) -> Markup:
    """What it comes from on the left, itself, and what shares its bytes on the right."""
    left, right = _bounded(before), _bounded(after)
    rows = max(len(left), len(right), 1)
    height = rows * (_HIGH + 14) + 14
    middle = (height - _HIGH) / 2
    pieces = []
    for column, boxes in ((0, left), (2, right)):
        start = (height - len(boxes) * (_HIGH + 14) + 14) / 2
        for at, box in enumerate(boxes):
            top = start + at * (_HIGH + 14)
            pieces.append(_line(column, top, middle))
            pieces.append(_box(box, column, top))
    pieces.append(_box(own, 1, middle, own=True))
    width = 3 * _WIDE + 2 * _GAP + 20
    words = f"{len(before)} before it, {len(after)} that share its files"
    return Markup(  # noqa: S704  # every text in it was escaped
        f'<svg class="lineage" viewBox="0 0 {width} {height:g}" role="img" aria-label="Lineage: {escape(words)}">'
        + "".join(pieces)
        + "</svg>"
    )


def _bounded(boxes: Sequence[Box]) -> list[Box]:
    shown = list(boxes[:_MOST])
    if len(boxes) > _MOST:
        shown.append(Box(name=f"and {len(boxes) - _MOST} more", below="see the table"))
    return shown


def _left(column: int) -> int:
    return 10 + column * (_WIDE + _GAP)


def _line(column: int, top: float, middle: float) -> str:
    start = (_left(0) + _WIDE, top + _HIGH / 2) if column == 0 else (_left(1) + _WIDE, middle + _HIGH / 2)
    end = (_left(1), middle + _HIGH / 2) if column == 0 else (_left(2), top + _HIGH / 2)
    half = (start[0] + end[0]) / 2
    return f'<path d="M{start[0]},{start[1]:g} C{half:g},{start[1]:g} {half:g},{end[1]:g} {end[0]},{end[1]:g}"/>'


def _box(box: Box, column: int, top: float, *, own: bool = False) -> str:
    left = _left(column)
    drawn_box = (
        f"<g{' class=' + chr(34) + 'own' + chr(34) if own else ''}><title>{_text(box.name, 400)}</title>"
        f'<rect x="{left}" y="{top:g}" width="{_WIDE}" height="{_HIGH}" rx="7"/>'
        f'<text x="{left + 10}" y="{top + 19:g}">{_text(box.name)}</text>'
        f'<text x="{left + 10}" y="{top + 36:g}">{_text(box.below)}</text></g>'
    )
    return f'<a href="{escape(box.address)}">{drawn_box}</a>' if box.address else drawn_box


def _text(text: str, most: int = _LETTERS) -> str:
    text = printable(text)
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")
