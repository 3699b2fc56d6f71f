"""Knows how to take what is expected out of plain data that may hold anything."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator


def table(root: object, key: str) -> dict[str, Any]:
    """The table at a key; empty where there is none."""
    value = root.get(key) if isinstance(root, dict) else None
    return value if isinstance(value, dict) else {}


def rows(root: object, key: str) -> list[dict[str, Any]]:
    """The tables of a list at a key; empty where there is none."""
    value = root.get(key) if isinstance(root, dict) else None
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def tables(root: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, table) of every table that is a value, or stands in a list that is one."""
    for key, value in root.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield str(key), one


def text(root: object, key: str) -> str:
    """The text at a key; numbers and times as text, empty for anything else."""
    value = root.get(key) if isinstance(root, dict) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) else str(value) if type(value) in {int, float} else ""


def texts(root: object, key: str) -> list[str]:
    """The texts of a list at a key, or the one text there."""
    value = root.get(key) if isinstance(root, dict) else None
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def lines_of(source: str, pattern: re.Pattern[str]) -> dict[str, int]:
    """The line on which the first group of a pattern stands first."""
    found: dict[str, int] = {}
    for number, line in enumerate(source.splitlines(), 1):
        for name in pattern.findall(line):
            found.setdefault(name, number)
    return found
