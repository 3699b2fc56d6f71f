"""Knows what a request and a response over HTTP are as a record: JSON of classifiers, chats, streamed chats."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from weighbridge.monitor.endpoint import request_text, understood
from weighbridge.monitor.records import Record, from_table
from weighbridge.schema import SourceError

KEPT: Final = 1 << 18
"""Bytes of each body that are looked at; a longer one is noted by its beginning, where that is whole lines of a stream."""


def from_exchange(
    request: bytes, response: bytes, *, field: str = "inputs", seconds: float = -1.0, id_: str = "", at: float = 0.0
) -> Record | None:
    """A record, or None where the two say nothing that is understood."""
    asked = _json(request)
    if not isinstance(asked, dict):
        return None
    text = request_text(asked, field)
    if response.lstrip().startswith(b"data:"):
        return Record(id=id_, at=at, text=text, answer=_streamed(response), seconds=seconds)
    answered = _json(response)
    if isinstance(answered, dict) and "choices" in answered:
        found = from_table({"request": asked, "response": answered, "seconds": seconds, "at": at})
        if found is not None and id_:
            found.id = id_
        return found
    try:
        answer = understood(answered, {})
    except SourceError:
        return None
    confidence = max(answer.numbers.values()) if answer.numbers else -1.0
    return Record(
        id=id_, at=at, text=text, output=answer.label, answer=answer.text, confidence=confidence, seconds=seconds
    )  # fmt: skip


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _streamed(data: bytes) -> str:
    """The text of a stream of server-sent events."""
    parts = []
    for line in data.split(b"\n"):
        if line.startswith(b"data:"):
            event = _json(line[5:].strip())
            choices = event.get("choices") if isinstance(event, dict) else None
            choice = choices[0] if isinstance(choices, list) and choices else None
            delta = choice.get("delta") or choice.get("message") or choice if isinstance(choice, dict) else None
            said = (delta.get("content") or delta.get("text")) if isinstance(delta, dict) else None
            parts.append(said if isinstance(said, str) else "")
    return "".join(parts)
