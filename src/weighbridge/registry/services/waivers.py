"""Knows which findings people accept in one set of files, until when, and that they really said so.

A waiver is a statement signed by the registry: a row that somebody puts into the database waives nothing.
"""

from __future__ import annotations

from datetime import date, timedelta
from glob import escape
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import insert, select

from weighbridge.policy import Waiver
from weighbridge.provenance import attestation, bundle, predicates
from weighbridge.provenance.bundle import Trust
from weighbridge.provenance.digest import FileDigest
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Act, Caller
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from weighbridge.registry.services.cases import Cases
    from weighbridge.registry.services.house import House

_DAYS: Final = 365


class Waivers:
    """The waivers of one registry."""

    def __init__(self, house: House, cases: Cases) -> None:
        self._house, self._cases = house, cases

    def grant(self, number: int, caller: Caller, *, rule: str, member: str, reason: str, days: int) -> None:
        """Accept a finding in the files of a case, wherever else they appear. Raises Refusal.

        Whoever asked for the artifact cannot waive what is wrong with it.
        """
        reason = reason.strip()
        if not reason:
            raise Refusal(No.INVALID, "a waiver needs a reason", hint="say why, for those who read it in a year")
        if not 0 < days <= _DAYS:
            raise Refusal(No.INVALID, f"a waiver ends after 1 to {_DAYS} days", hint="such as 90")
        f, w = tables.findings, tables.waivers
        with self._house.database.write() as connection:
            row = self._cases.row(connection, number)
            caller.must(Act.REVIEW, row.name.partition("/")[0])
            if row.requester == caller.name:
                raise Refusal(
                    No.FORBIDDEN, "you asked for this yourself, and four eyes are needed", hint="ask another reviewer"
                )
            found = select(f.c.id).where(f.c.digest == row.digest, f.c.rule == rule, f.c.member == member)
            if connection.scalar(found.limit(1)) is None:
                raise Refusal(No.ENTRY, f"case {number} has no finding {rule} in {member[:80]}", hint="check both")
            ends = (self._house.now() + timedelta(days=days)).date()
            said = predicates.Waived(
                rule=rule, member=member, reason=reason[:2000], owner=caller.name, expires=ends.isoformat(),
                granted_at=self._house.stamp(), case=number,
            )  # fmt: skip
            statement = attestation.statement(
                [FileDigest(name=row.digest, size=0, sha256=row.digest)], predicates.WAIVER, msgspec.to_builtins(said)
            )
            sealed = bundle.seal(statement, bundle.IN_TOTO, self._house.key)
            connection.execute(insert(w).values(digest=row.digest, statement=sealed.decode(), at=self._house.clock()))
            self._cases.event(
                connection, number, row.round, "waiver", "done",
                f"{rule} in {member} is accepted by {caller.name} until {ends}: {reason}",
            )  # fmt: skip

    def of(self, digest: str) -> tuple[Waiver, ...]:
        """What is accepted in a set of files. A row that this registry has not signed is left out."""
        w = tables.waivers
        with self._house.database.read() as connection:
            rows = list(connection.scalars(select(w.c.statement).where(w.c.digest == digest).order_by(w.c.id)))
        found = []
        for text in rows:
            try:
                one = attestation.authentic(text.encode(), Trust(keys=(self._house.public,)), self._house.now())
            except VerificationFailed:
                continue
            said = one.predicate
            if isinstance(said, predicates.Waived) and one.subjects[0][1].get("sha256") == digest:
                found.append(
                    Waiver(
                        rule=said.rule, path=escape(said.member), reason=said.reason, owner=said.owner,
                        expires=date.fromisoformat(said.expires),
                    )
                )  # fmt: skip
        return tuple(found)
