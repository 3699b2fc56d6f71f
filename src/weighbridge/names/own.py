"""Knows what an organisation adds to the shipped names. Plain data: loading it loads no table."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Own(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an organisation adds: `known` owners as lines of the table (`owner: model …`), and names it uses inside.

    `internal` are names of models and datasets, as patterns; outside they belong to nobody but `owners`.
    """

    known: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


NOBODY: Final = Own()
