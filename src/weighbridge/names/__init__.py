"""Knows names on hubs: who is well known, and which other names could be taken for theirs."""

from weighbridge.names.lookalike import Likeness, Names, shipped

__all__ = ["Likeness", "Names", "shipped"]
