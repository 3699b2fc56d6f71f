"""Knows the skops schema: which types a file asks for, and nodes that are not what they say.

Source: skops 0.16 `skops/io/_audit.py`, `_utils.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_NODES: Final = 1_000_000


class SkopsNode(Struct, frozen=True):
    """One node: the type it names, the loader that will read it, and its other string fields."""

    module: str
    name: str
    loader: str
    fields: tuple[tuple[str, str], ...]
    duplicates: tuple[str, ...]


def read_skops(schema: bytes) -> tuple[SkopsNode, ...]:
    """Every typed node of a `schema.json`. Raises MalformedInput where it is no JSON object."""
    try:
        document = json.loads(schema, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"schema.json is not JSON: {error}") from error
    return tuple(_nodes(document))


def _nodes(document: object) -> Iterator[SkopsNode]:
    waiting, seen = [document], 0
    while waiting:
        current = waiting.pop()
        seen += 1
        if seen > _NODES:
            raise MalformedInput("schema.json has more than a million nodes")
        if not isinstance(current, list):
            continue
        pairs = [item for item in current if isinstance(item, tuple) and len(item) == 2]
        waiting += [value for _, value in pairs] if pairs else current
        keys = [key for key, _ in pairs]
        known = dict(pairs)
        if "__class__" in known or "__loader__" in known:
            yield SkopsNode(
                _text(known.get("__module__")),
                _text(known.get("__class__")),
                _text(known.get("__loader__")),
                tuple((key, value) for key, value in pairs if isinstance(value, str) and not key.startswith("__")),
                tuple(sorted({key for key in keys if keys.count(key) > 1})),
            )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
