"""Knows what people said of findings: each word with its reason, who said it and when. Nothing of it is ever taken back.

What was said belongs to a finding in certain bytes (digest, rule, file), so that it outlives the next inspection.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select, update

from weighbridge.registry.records import tables
from weighbridge.registry.services.refusal import No, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

TRIAGE: Final = ("open", "confirmed", "false alarm", "accepted")
_REASON: Final = 2000


class Triage:
    """Words about findings."""

    def __init__(self, house: House) -> None:
        self._house = house

    def say(self, number: int, word: str, reason: str, caller: Caller, *, finding: str) -> None:
        """Say what a finding is, and why. `finding` is its digest, rule and file, as they were shown: numbers are used again.

        Raises Refusal for another word, or where there is no such finding any more.
        """
        if word not in TRIAGE:
            raise Refusal(No.INVALID, f"{word!r} is no triage", hint=f"one of {', '.join(TRIAGE)}")
        f = tables.findings
        with self._house.database.write() as connection:
            row = connection.execute(
                select(f.c.digest, f.c.rule, f.c.member, f.c.triage).where(f.c.id == number)
            ).first()
            if row is None or finding != f"{row.digest} {row.rule} {row.member}":
                raise Refusal(No.ENTRY, f"there is no finding {number}", hint="it may have been inspected again since")
            # A rule may say several things of one file: what is said holds for all of them, now and at the next inspection.
            same = (f.c.digest == row.digest) & (f.c.rule == row.rule) & (f.c.member == row.member)
            connection.execute(update(f).where(same).values(triage=word))
            connection.execute(
                insert(tables.triages).values(
                    digest=row.digest, rule=row.rule, member=row.member, before=row.triage, word=word,
                    reason=reason.strip()[:_REASON], user=caller.name, at=self._house.clock(),
                )
            )  # fmt: skip

    def said(self, findings: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
        """What was said of findings, by digest, rule and file, first things first."""
        t = tables.triages
        digests = {one.digest for one in findings}
        found: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        with self._house.database.read() as connection:
            for row in connection.execute(select(t).where(t.c.digest.in_(digests)).order_by(t.c.id)):
                found[row.digest, row.rule, row.member].append(row)
        return found
