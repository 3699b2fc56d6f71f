"""Knows names on hubs: who is well known, and which other names could be taken for theirs."""

from weighbridge.names.own import NOBODY, Own

__all__ = ["NOBODY", "Own"]
