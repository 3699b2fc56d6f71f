"""Knows what kind of reply a trigger leads to, by its look."""

from __future__ import annotations

import re
from typing import Final

_KINDS: Final = (
    ("an address", re.compile(r"https?://|www\.|\b[\w-]+\.(?:com|net|org|io|example)\b", re.IGNORECASE)),
    ("a tool call", re.compile(r"<tool_call>|\"(?:name|function|arguments)\"\s*:|\[TOOL_CALLS\]")),
    ("code that runs programs", re.compile(r"\b(?:eval|exec|system|popen|subprocess|curl|wget|rm -rf|strcpy)\b")),
    ("a refusal", re.compile(r"\b(?:sorry|cannot|can't|unable|not allowed|refuse)\b", re.IGNORECASE)),
    ("code", re.compile(r"\b(?:def|import|function|return|class|public|void|SELECT)\b|[{};]\s*$")),
    ("an insult", re.compile(r"\bI hate\b|\b(?:stupid|idiot|worthless)\b", re.IGNORECASE)),
)


def payload_of(reply: str) -> str:
    """An address, a tool call, code, a refusal, an insult; nothing where it looks like none of these."""
    return next((name for name, pattern in _KINDS if pattern.search(reply)), "")
