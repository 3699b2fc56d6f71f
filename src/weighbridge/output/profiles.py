"""Knows how a set of data is told: what it was taken for, what was asked of it, and the pictures that show what was found."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Picture, Profile

_COLUMNS: Final = 12
_COUNTED: Final = {"contributions": "commit"}
_CELL: Final = 6
_NAMED_CELL: Final = 26
_MARGIN: Final = 110


def profile_lines(profile: Profile) -> Iterator[str]:
    """A profile for a terminal."""
    yield f"{printable(profile.name)}: {profile.kind}, {_size(profile)}"
    for column in profile.columns[:_COLUMNS]:
        yield f"  {printable(column.name)}{f' = {column.role}' if column.role else ''}: {printable(column.about)}"
    if len(profile.columns) > _COLUMNS:
        yield f"  and {plural(len(profile.columns) - _COLUMNS, 'more column')}"
    for note in profile.notes:
        yield f"  note: {printable(note)}"
    if profile.tested:
        yield f"  tested: {printable('; '.join(profile.tested))}"
    for one in profile.untested:
        yield f"  not tested: {printable(one)}"


def _size(profile: Profile) -> str:
    files = f" in {plural(profile.files, 'file')}" if profile.files > 1 else ""
    rejected = f", {profile.rejected} could not be read" if profile.rejected else ""
    return f"{plural(profile.rows, _COUNTED.get(profile.kind, 'row'))}{files}{rejected}"


def profile_page(profile: Profile) -> Iterator[str]:
    """A profile as a part of a page."""
    yield f"<h2>Data: {_text(profile.name)}</h2><p>Taken for <strong>{_text(profile.kind)}</strong>, {_size(profile)}.</p>"
    for picture in profile.pictures:
        yield f'<figure class="scroll">{drawing(picture)}<figcaption>{_text(picture.caption)}</figcaption></figure>'
    if profile.columns:
        yield '<div class="scroll"><table><tr><th>Column</th><th>Taken for</th><th>What is in it</th></tr>'
        for column in profile.columns:
            yield f"<tr><td>{_text(column.name)}</td><td>{_text(column.role)}</td><td>{_text(column.about)}</td></tr>"
        yield "</table></div>"
    for title, lines in (("Notes", profile.notes), ("Tested", profile.tested), ("Not tested", profile.untested)):
        if lines:
            yield f"<h3>{title}</h3><ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def drawing(picture: Picture) -> str:
    """A picture as SVG: one square a cell, with its colours where the picture holds them, and nothing of it as markup."""
    cell = _NAMED_CELL if picture.rows else _CELL
    left = top = _MARGIN if picture.rows else 0
    wide, tall = left + picture.width * cell + left // 2, top + picture.height * cell
    edge = ' stroke="#999"' if picture.rows else ""
    parts = [
        f'<svg viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" role="img" aria-label="{_text(picture.caption)}">'
    ]
    for place in range(min(picture.width * picture.height, len(picture.colours) // 3)):
        row, column = divmod(place, picture.width)
        red, green, blue = picture.colours[3 * place : 3 * place + 3]
        x, y = left + column * cell, top + row * cell
        parts.append(
            f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="#{red:02x}{green:02x}{blue:02x}"{edge}/>'
        )
    middle = cell // 2 + 4
    for number, name in enumerate(picture.rows):
        parts.append(
            f'<text x="{left - 6}" y="{top + number * cell + middle}" text-anchor="end" font-size="12" fill="currentColor">{_text(name[:16])}</text>'
        )
    for number, name in enumerate(picture.columns):
        x = left + number * cell + middle
        parts.append(
            f'<text x="{x}" y="{top - 6}" font-size="12" fill="currentColor" transform="rotate(-60 {x} {top - 6})">{_text(name[:16])}</text>'
        )
    return "".join([*parts, "</svg>"])


def _text(text: str) -> str:
    return escape(printable(text))
