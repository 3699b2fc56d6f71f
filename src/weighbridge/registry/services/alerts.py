"""Knows what monitors tell the registry: alerts, how streams stand, and that an alert can call back what it is about."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import case, delete, func, insert, or_, select, update

from weighbridge.policy.language import matches
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.states import SERVED
from weighbridge.rules.catalogue import is_rule
from weighbridge.schema.alert import Alert, Pulse

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.cases import Cases
    from weighbridge.registry.services.house import House

STATES: Final = ("open", "seen", "closed")
_LONGEST: Final = 64 << 10
_STREAMS: Final = 1000
_DAYS: Final = 30
_DAY: Final = 86400.0


class Alerts:
    """The alerts and streams of one registry."""

    def __init__(self, house: House, cases: Cases) -> None:
        self._house, self._cases = house, cases

    def take(self, alert: Alert, caller: Caller) -> list[int]:
        """Keep an alert, and count it where it is known; the cases that were revoked because of it.

        Raises Refusal where the caller may not speak about that model, or the alert is too large or of no rule.
        """
        caller.must(Act.PUBLISH, alert.model.partition("/")[0] if "/" in alert.model else "")
        body = msgspec.json.encode(alert).decode()
        if len(body) > _LONGEST or not is_rule(alert.finding.rule) or not alert.finding.rule.startswith("MON-"):
            raise Refusal(No.INVALID, "this is no alert of a monitor", hint="weighbridge monitor --alert registry:")
        a, now = tables.alerts, self._house.clock()
        # Whoever sends it is part of its number, so that nobody counts up or covers what another has sent.
        kept = hashlib.sha256(f"{caller.name}\0{alert.id}".encode()).hexdigest()[:32]
        values = {
            "severity": alert.finding.severity.value, "rank": alert.finding.severity.rank, "message": alert.finding.message[:2000],
            "body": body, "last": now, "model": alert.model[:300],
        }  # fmt: skip
        with self._house.database.write() as connection:
            known = connection.execute(
                update(a).where(a.c.id == kept).values(times=a.c.times + 1, state=when_worse(alert), **values)
            )
            if not known.rowcount:
                connection.execute(
                    insert(a).values(
                        id=kept,
                        stream=alert.stream[:200],
                        rule=alert.finding.rule,
                        user=caller.name,
                        first=now,
                        times=1,
                        state="open",
                        **values,
                    )
                )
            self._count(connection, kept, now)
        if not any(matches(alert.finding.rule, pattern) for pattern in self._house.terms.revoke_on):
            return []
        because = f"{alert.finding.rule} in {alert.stream}: {alert.finding.message}"[:2000]
        return [number for number in self._about(alert.model, caller) if self._cases.revoke(number, because)]

    def _count(self, connection: Connection, number: str, now: float) -> None:
        d, day = tables.alert_days, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        mine = (d.c.alert_id == number) & (d.c.day == day)
        if not connection.execute(update(d).where(mine).values(times=d.c.times + 1)).rowcount:
            connection.execute(insert(d).values(alert_id=number, day=day, times=1))

    def _about(self, model: str, caller: Caller) -> list[int]:
        """The served cases that a monitor means by `model`: a digest of a file or of all files, or `kind/owner/name` or `owner/name`."""
        if not model:
            return []
        r, o, f = tables.revisions, tables.repositories, tables.files
        name = model.removeprefix("model/").removeprefix("dataset/").lower()
        holding = select(f.c.revision_id).where(f.c.sha256 == model.removeprefix("sha256:"))
        query = (
            select(r.c.id, o.c.name)
            .join_from(r, o)
            .where(
                r.c.state.in_(SERVED),
                or_(r.c.digest == model.removeprefix("sha256:"), o.c.folded == name, r.c.id.in_(holding)),
            )
            .limit(100)
        )
        with self._house.database.read() as connection:
            rows = connection.execute(query).all()
        return [row.id for row in rows if caller.may(Act.PUBLISH, row.name.partition("/")[0])]

    def pulse(self, pulse: Pulse, caller: Caller) -> None:
        """Keep how a stream stands. Raises Refusal where it is too large, or there are too many."""
        body = msgspec.json.encode(pulse).decode()
        if len(body) > _LONGEST:
            raise Refusal(No.INVALID, "this says more of a stream than is kept", hint="64 KiB is the bound")
        s = tables.streams
        mine = (s.c.stream == pulse.stream[:200]) & (s.c.replica == f"{caller.name} {pulse.replica}"[:200])
        with self._house.database.write() as connection:
            connection.execute(delete(s).where(mine))
            if connection.execute(select(func.count()).select_from(s)).scalar_one() >= _STREAMS:
                raise Refusal(No.INVALID, f"{_STREAMS} streams are watched already", hint="ask an administrator")
            connection.execute(
                insert(s).values(
                    stream=pulse.stream[:200],
                    replica=f"{caller.name} {pulse.replica}"[:200],
                    seen=self._house.clock(),
                    user=caller.name,
                    body=body,
                )
            )

    def set_state(self, number: str, state: str) -> None:
        """Say that an alert was seen or is done with. Raises Refusal."""
        if state not in STATES:
            raise Refusal(No.INVALID, f"{state!r} is no state of an alert", hint=f"one of {', '.join(STATES)}")
        a = tables.alerts
        with self._house.database.write() as connection:
            if not connection.execute(update(a).where(a.c.id == number).values(state=state)).rowcount:
                raise Refusal(No.ENTRY, "there is no such alert")

    def all(self, *, closed: bool = False, limit: int = 100) -> list[tuple[Record, Alert]]:
        """Alerts with what was told, open ones first, then the worst and latest."""
        a = tables.alerts
        query = select(a).order_by(a.c.state != "open", a.c.rank, a.c.last.desc()).limit(limit)
        if not closed:
            query = query.where(a.c.state != "closed")
        with self._house.database.read() as connection:
            rows = connection.execute(query).all()
        return [(row, msgspec.json.decode(row.body, type=Alert)) for row in rows]

    def days(self) -> list[tuple[str, dict[str, int]]]:
        """(day, alerts by severity) of the last thirty days, also those without any."""
        a, d = tables.alerts, tables.alert_days
        now = self._house.clock()
        days = [f"{datetime.fromtimestamp(now - back * _DAY, UTC):%Y-%m-%d}" for back in reversed(range(_DAYS))]
        query = (
            select(d.c.day, a.c.severity, func.sum(d.c.times))
            .join_from(d, a)
            .where(d.c.day >= days[0])
            .group_by(d.c.day, a.c.severity)
        )
        found: dict[str, dict[str, int]] = {day: {} for day in days}
        with self._house.database.read() as connection:
            for day, severity, times in connection.execute(query):
                found.setdefault(day, {})[severity] = int(times)
        return list(found.items())

    def streams(self) -> list[tuple[Record, Pulse]]:
        """The streams that are watched, with how they stand."""
        s = tables.streams
        with self._house.database.read() as connection:
            rows = connection.execute(select(s).order_by(s.c.stream, s.c.replica).limit(_STREAMS)).all()
        return [(row, msgspec.json.decode(row.body, type=Pulse)) for row in rows]


def when_worse(alert: Alert) -> ColumnElement[str]:
    """What was closed opens again when it comes again; what was only seen opens when it became worse."""
    a = tables.alerts
    return case((a.c.state == "closed", "open"), (a.c.rank > alert.finding.severity.rank, "open"), else_=a.c.state)
