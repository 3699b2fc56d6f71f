"""Knows what is done without being asked: bytes are hashed again, and what rules or advisories say now is asked again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from weighbridge.registry.records import tables
from weighbridge.registry.services.states import SERVED
from weighbridge.schema import WeighbridgeError

if TYPE_CHECKING:
    from weighbridge.registry.services.cases import Cases
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.inspector import Inspector
    from weighbridge.registry.services.workflow import Workflow

_LOG: Final = logging.getLogger("weighbridge.registry")
_AT_ONCE: Final = 200
_JUDGED: Final = 20


class Upkeep:
    """The chores of one registry."""

    def __init__(self, house: House, cases: Cases, workflow: Workflow, inspector: Inspector) -> None:
        self._house, self._cases, self._workflow, self._inspector = house, cases, workflow, inspector

    def rehash(self, limit: int = _AT_ONCE) -> list[int]:
        """Hash files of what is served again, from where the last time ended; the cases that had to be revoked."""
        f, r = tables.files, tables.revisions
        start = self._house.setting("rehashed")
        query = (
            select(f.c.sha256, func.max(f.c.size))
            .join_from(f, r)
            .where(r.c.state.in_(SERVED), f.c.sha256 > start)
            .group_by(f.c.sha256)
            .order_by(f.c.sha256)
            .limit(limit)
        )
        with self._house.database.read() as connection:
            rows = connection.execute(query).all()
        revoked = []
        for sha256, size in rows:
            why = self._house.altered(sha256, size)
            if why:
                revoked += self._revoke(sha256, why)
        with self._house.database.write() as connection:
            self._house.remember(connection, "rehashed", rows[-1][0] if len(rows) == limit else "")
        return revoked

    def _revoke(self, sha256: str, why: str) -> list[int]:
        f, r = tables.files, tables.revisions
        with self._house.database.read() as connection:
            query = select(r.c.id).join_from(f, r).where(f.c.sha256 == sha256, r.c.state.in_(SERVED))
            numbers = list(connection.scalars(query))
        return [number for number in numbers if self._cases.revoke(number, why)]

    def judge_again(self, limit: int = _JUDGED) -> list[int]:
        """What was inspected by rules, advisories or a feed of yesterday is inspected by those of today, while it is served on.

        The cases whose artifacts are blocked now; those are revoked. One that cannot be inspected is logged, and asked
        about again after all others.
        """
        start = int(self._house.setting("judged") or 0)
        i, r = tables.inspections, tables.revisions
        last = select(func.max(i.c.id)).where(i.c.digest == r.c.digest).correlate(r).scalar_subquery()
        query = (
            select(r.c.id, r.c.round)
            .join_from(r, i, i.c.id == last)
            .where(r.c.state.in_(SERVED), i.c.edition != self._inspector.edition(), r.c.id > start)
            .order_by(r.c.id)
            .limit(limit)
        )
        with self._house.database.read() as connection:
            rows = connection.execute(query).all()
        revoked = []
        for number, round_ in rows:
            try:
                because = self._workflow.judged_anew(number, round_)
            except WeighbridgeError as error:
                _LOG.warning("case %d is not judged again: %s (%s)", number, error.message, error.hint)
                continue
            if because and self._cases.revoke(number, because):
                revoked.append(number)
        with self._house.database.write() as connection:
            self._house.remember(connection, "judged", str(rows[-1][0]) if len(rows) == limit else "")
        return revoked
