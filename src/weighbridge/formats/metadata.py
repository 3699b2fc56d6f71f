"""Knows the fields that a distribution says of itself: METADATA, PKG-INFO and WHEEL. Source: core metadata 2.4, PEP 427."""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(r"(?m)^([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*?)[ \t\r]*$")


def read_metadata(text: str) -> dict[str, tuple[str, ...]]:
    """The values of each field in order, by its name in lower case; the description and lines that go on are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _FIELD.findall(text.replace("\r\n", "\n").partition("\n\n")[0]):
        found[name.lower()] = (*found.get(name.lower(), ()), value)
    return found


def first(fields: dict[str, tuple[str, ...]], *names: str) -> str:
    """The first value of the first of these fields that has one; empty where none has."""
    return next((fields[name][0] for name in names if fields.get(name, ("",))[0]), "")
