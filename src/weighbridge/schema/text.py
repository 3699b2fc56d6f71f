"""Knows how foreign text is shown: nothing in it can act on the screen that shows it."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text with control, bidirectional and other invisible characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plural(count: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
