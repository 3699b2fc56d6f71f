"""Knows the drawings of the monitor page: alerts a day, and shares beside the band of clean traffic. SVG without script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.schema.alert import Pulse

_ORDER: Final = ("critical", "high", "medium", "low", "info")
_HIGH: Final = 90
_WIDE: Final = 720
_ROW: Final = 22
_NAME: Final = 250
_SCALE: Final = 330
_MOST: Final = 24


def timeline(days: Sequence[tuple[str, dict[str, int]]]) -> Markup:
    """One column a day, stacked by severity; the worst at the bottom."""
    most = max((sum(count.values()) for _, count in days), default=0)
    total = sum(sum(count.values()) for _, count in days)
    step = _WIDE / max(len(days), 1)
    pieces = []
    for place, (day, count) in enumerate(days):
        top = float(_HIGH)
        said = ", ".join(f"{count[one]} {one}" for one in _ORDER if count.get(one)) or "none"
        rows = []
        for one in _ORDER:
            high = count.get(one, 0) / most * (_HIGH - 10) if most else 0.0
            top -= high
            if high:
                rows.append(
                    f'<rect class="{one}" x="{place * step + 2:.1f}" y="{top:.1f}" width="{step - 4:.1f}" height="{high:.1f}"/>'
                )
        pieces.append(f"<g><title>{escape(day)}: {escape(said)}</title>{''.join(rows)}</g>")
    first, last = (days[0][0], days[-1][0]) if days else ("", "")
    words = f"{plural(total, 'alert')} from {first} to {last}"
    return Markup(  # noqa: S704  # every text in it was escaped
        f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH + 18}" role="img" aria-label="{escape(words)}">{"".join(pieces)}'
        f'<line class="axis" x1="0" y1="{_HIGH}" x2="{_WIDE}" y2="{_HIGH}"/>'
        f'<text x="0" y="{_HIGH + 14}">{escape(first)}</text><text x="{_WIDE}" y="{_HIGH + 14}" text-anchor="end">{escape(last)}</text></svg>'
    )


def bars(pulse: Pulse) -> Markup:
    """One line for each part of a distribution: the band of clean traffic, and a mark where it is now."""
    parts = pulse.parts[:_MOST]
    high = len(parts) * _ROW + 4
    pieces = []
    for place, one in enumerate(parts):
        top = place * _ROW
        left, right = _NAME + one.low * _SCALE, _NAME + min(one.high, 1.0) * _SCALE
        inside = one.low <= one.now <= one.high
        name = printable(f"{one.signal}: {one.name}")
        said = f"{name}: {one.now:.1%}, clean traffic {one.low:.1%} to {one.high:.1%}"
        pieces.append(
            f'<g><title>{escape(said)}</title><text x="0" y="{top + 15}">{escape(name[:34])}</text>'
            f'<line class="axis" x1="{_NAME}" y1="{top + 11}" x2="{_NAME + _SCALE}" y2="{top + 11}"/>'
            f'<rect class="band" x="{left:.1f}" y="{top + 6}" width="{max(right - left, 1):.1f}" height="10"/>'
            f'<circle class="{"inside" if inside else "outside"}" cx="{_NAME + one.now * _SCALE:.1f}" cy="{top + 11}" r="5"/>'
            f'<text x="{_NAME + _SCALE + 12}" y="{top + 15}">{one.now:.1%}</text></g>'
        )
    words = f"{sum(not one.low <= one.now <= one.high for one in parts)} of {plural(len(parts), 'share')} outside the band of clean traffic"
    return Markup(  # noqa: S704  # every text in it was escaped
        f'<svg class="chart" viewBox="0 0 {_NAME + _SCALE + 80} {high}" role="img" aria-label="{escape(words)}">{"".join(pieces)}</svg>'
    )
