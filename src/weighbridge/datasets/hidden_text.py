"""Finds text in data that no person sees, and decodes it: tag characters, variation selectors, zero-width writing, bidi.

Each has honest uses (flags and emoji, Arabic and Indic joiners), so presence is not enough: a run has to be long, to decode,
or to stand where no script wants it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.datasets.groups import Group, Outcome, array, follow
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.view import Rows

_KEPT: Final = 100_000
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]{3,}")
_FLAG: Final = "\U0001f3f4"
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_ZERO_WIDTH: Final = re.compile("[\u200b-\u200d\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0]{8,}")
_OVERRIDE: Final = re.compile("[\u202d\u202e]")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_ANY: Final = re.compile(
    "[\U000e0020-\U000e007e\ufe00-\ufe0f\U000e0100-\U000e01ef\u200b-\u200d\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0\u202d\u202e]"
)
_HTML: Final = re.compile(
    r"(?:<!--|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|color\s*:\s*(?:white|#fff))[^\n]{0,400}?"
    r"(?:ignore (?:all |any )?(?:previous|prior|other|above)|disregard|you (?:must|are now)|system prompt|do not (?:tell|mention)|reply with|respond with)",
    re.IGNORECASE,
)
_WHAT: Final = {
    "tags": "an ASCII text in tag characters", "selectors": "bytes in variation selectors", "zero width": "a run of zero-width characters",
    "override": "letters in reversed order", "markup": "an instruction in markup that is not displayed",
}  # fmt: skip
_WEIGHT: Final = {"override": Severity.MEDIUM}


class HiddenText:
    """The sketch: rows with hidden text, by how it is hidden, with what it says."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {kind: [] for kind in _WHAT}
        self._said: dict[str, list[str]] = {kind: [] for kind in _WHAT}

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for number, text in enumerate(rows.texts, rows.first):
            if not text.isascii() and _ANY.search(text):
                self._look(number, text)
            found = _HTML.search(text) if "<" in text else None
            if found:
                self._note("markup", number, found[0][:200])

    def _look(self, number: int, text: str) -> None:
        for found in _TAGS.finditer(text):
            if text[max(0, found.start() - 1) : found.start()] != _FLAG:
                self._note("tags", number, "".join(chr(ord(sign) - 0xE0000) for sign in found[0]))
        for found in _SELECTORS.finditer(text):
            self._note("selectors", number, _bytes(found[0]))
        found_run = _ZERO_WIDTH.search(text)
        if found_run:
            self._note("zero width", number, f"{len(found_run[0])} characters, {len(set(found_run[0]))} different")
        if _OVERRIDE.search(text) and not _RIGHT_TO_LEFT.search(text.replace("\ufeff", "")):
            self._note("override", number, text[:80])

    def _note(self, kind: str, number: int, said: str) -> None:
        if len(self._rows[kind]) < _KEPT and self._rows[kind][-1:] != [number]:
            self._rows[kind].append(number)
            if len(self._said[kind]) < 3:
                self._said[kind].append(said[:200])

    def join(self, other: HiddenText, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        for kind, rows in self._rows.items():
            follow(rows, other._rows[kind], first, _KEPT)
            self._said[kind].extend(other._said[kind][: 3 - len(self._said[kind])])

    def finish(self) -> Outcome:
        """One group for each way of hiding."""
        groups = tuple(
            Group(
                rule="DST-024",
                message=f"{plural(len(rows), 'row')} {'hides' if len(rows) == 1 else 'hide'} {_WHAT[kind]}",
                rows=array(rows),
                shown=array(rows[:3]),
                facts=tuple(f"it says: {said}" for said in self._said[kind]),
                severity=_WEIGHT.get(kind),
            )
            for kind, rows in self._rows.items()
            if rows
        )
        return Outcome(test="hidden text", groups=groups)


def _bytes(run: str) -> str:
    """What variation selectors carry, one byte each (Butler 2025, "smuggling arbitrary data through an emoji")."""
    data = bytes(ord(sign) - 0xFE00 if ord(sign) < 0xFE10 else ord(sign) - 0xE0100 + 16 for sign in run)
    return data.decode("utf-8", "replace")
