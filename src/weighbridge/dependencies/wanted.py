"""Knows what an organisation asks of its dependencies. Plain data: configuration, the table [dependencies]."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date


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

    def is_young(self, released: str, today: date) -> bool:
        """Whether a release of this time (ISO 8601, universal time where it names no zone) is younger than the cooldown."""
        if not (self.cooldown_days and released):
            return False
        try:
            found = datetime.fromisoformat(released)
        except ValueError:
            return False
        line = datetime(today.year, today.month, today.day, tzinfo=UTC) - timedelta(days=self.cooldown_days - 1)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)) > line


def is_among(name: str, patterns: Iterable[str]) -> bool:
    """Whether a normalised name fits one of the patterns, which may be written in any case."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # every scan reads its policy, and few name a pattern

    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
