"""Knows RECORD of a wheel: the digest and size of each file. Source: PEP 376, PEP 427, binary distribution format."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from typing import Final

from msgspec import Struct

_MOST: Final = 200_000


class Recorded(Struct, frozen=True):
    """One line: `sha256` in hexadecimal, empty where the line names none (RECORD itself) or a weaker digest."""

    name: str
    sha256: str
    size: int


def read_record(text: str) -> list[Recorded]:
    """The lines of a RECORD, at most 200,000. Lines that are broken are passed over: their file counts as not listed."""
    found = []
    try:
        rows = list(csv.reader(io.StringIO(text[: 64 << 20])))
    except csv.Error:
        return []
    for row in rows[:_MOST]:
        if len(row) != 3 or not row[0]:
            continue
        algorithm, _, digest = row[1].partition("=")
        try:
            raw = base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)) if algorithm == "sha256" else b""
        except (binascii.Error, ValueError):
            continue
        size = int(row[2]) if row[2].isascii() and row[2].isdigit() and len(row[2]) < 20 else -1
        found.append(Recorded(row[0], raw.hex(), size))
    return found
