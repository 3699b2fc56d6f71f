"""Knows the front matter of a card: the YAML between two lines of dashes at the head of a README.

Source: Hub model and dataset card metadata.
"""

from __future__ import annotations

import re
from typing import Any, Final

from weighbridge.formats.document import read_yaml
from weighbridge.schema import LimitExceeded, MalformedInput

HEAD: Final = 1 << 16
_FRONT: Final = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


def read_card(text: str) -> dict[Any, Any]:
    """What the author declares, from the first 65,536 characters; empty where there is no front matter that can be read."""
    match = _FRONT.match(text[:HEAD])
    if match is None:
        return {}
    try:
        table = read_yaml(match[1]).root
    except (MalformedInput, LimitExceeded):
        return {}
    return table if isinstance(table, dict) else {}


def card_at(path: str) -> dict[Any, Any]:
    """The same from a file; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return read_card(file.read(HEAD))
    except OSError:
        return {}
