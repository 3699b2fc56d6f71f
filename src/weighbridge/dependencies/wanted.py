"""Knows what an organisation asks of its dependencies. Plain data: configuration, the table [dependencies]."""

from __future__ import annotations

from msgspec import Struct


class Demands(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cooldown_days` is the least age of a release, `stale_days` the greatest age of advisories (0: not asked).

    `indexes` are the only addresses that packages may come from (any where empty), `hashes` asks for a digest of every
    package, `attested` names packages (as patterns) that need provenance, `publishers` says who may have built them
    (`name = "owner/repository"`). `licences` are the SPDX ids that are allowed (any where empty), `internal` names of
    packages that must never come from a public index, as patterns.
    """

    cooldown_days: int = 2
    stale_days: int = 7
    indexes: tuple[str, ...] = ()
    hashes: bool = False
    attested: tuple[str, ...] = ()
    publishers: dict[str, str] = {}
    licences: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
