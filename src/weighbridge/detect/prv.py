"""Knows what a model card says of itself that nothing stands behind (PRV)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.place import in_text
from weighbridge.formats.card import HEAD, read_card
from weighbridge.formats.document import walk
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import LinesSubject
    from weighbridge.schema import Finding

_FEW: Final = 3


def detect_card(subject: LinesSubject) -> Iterator[Finding]:
    """Results that are called verified, without the token that would show by whom. Source: Hub model card metadata."""
    if "verified" not in subject.text[:HEAD]:
        return
    told = 0
    for _, _, value in walk(read_card(subject.text)):
        if isinstance(value, dict) and value.get("verified") is True and not value.get("verifyToken") and told < _FEW:
            told += 1
            line = subject.text.count("\n", 0, subject.text.find("verified")) + 1
            yield in_text(
                "PRV-014", subject.location, subject.text, line, f"{_metric(value)} is called verified, without a token"
            )


def _metric(value: dict[Any, Any]) -> str:
    return printable(str(value.get("name") or value.get("type") or "a result"))[:60]
