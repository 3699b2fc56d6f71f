"""Knows how foreign text is shown: nothing in it can act on the screen that shows it."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text with control, bidirectional and other invisible characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
