"""Knows the auditor's report: for each control what shows it here, with cases and entries to look up, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import func, or_, select

from weighbridge.registry.records import tables
from weighbridge.registry.services.controls import CONTROLS, Control, Seen
from weighbridge.rules import ruleset_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from weighbridge.registry.services.house import House

_SHOWN: Final = 5


class Row(Struct, frozen=True, kw_only=True):
    """One control with its evidence: how much there is, in words, and which cases or log entries show it."""

    id: str
    control: str
    demanded: str
    seen: str
    count: int
    words: str
    cases: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()


class Evidence(Struct, frozen=True, kw_only=True):
    """The report. Its checkpoint binds it to a log that anybody can verify."""

    registry: str
    at: str
    rules: str
    policy: str
    inspected: int
    decisions: dict[str, int]
    checkpoint: str
    rows: tuple[Row, ...]


def evidence(house: House) -> Evidence:
    """The report of now."""
    ledger, i = tables.ledger, tables.inspections
    with house.database.read() as connection:
        kinds = connection.execute(select(ledger.c.kind, func.count()).group_by(ledger.c.kind)).all()
        inspected = connection.scalar(select(func.count(func.distinct(i.c.digest)))) or 0
        rows = tuple(_row(house, connection, control, inspected) for control in CONTROLS)
    return Evidence(
        registry=house.terms.name,
        at=house.stamp(),
        rules=ruleset_version(),
        policy=house.settings.policy.name,
        inspected=inspected,
        decisions={str(kind): int(count) for kind, count in kinds},
        checkpoint=house.ledger.checkpoint(),
        rows=rows,
    )


def _row(house: House, connection: Connection, control: Control, inspected: int) -> Row:
    count, words = 0, ""
    cases: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()
    if control.seen is Seen.RULES:
        count, cases = _findings(connection, control.by)
        words = f"{', '.join(control.by)} held against {inspected} artifacts"
    elif control.seen is Seen.DECISIONS:
        count, entries = _decisions(connection, control.by)
        words = f"signed: {', '.join(control.by)}"
    elif control.seen is Seen.TERMS:
        words = "; ".join(f"{name} = {_term(house, name)}" for name in control.by)
    elif control.seen is Seen.ELSEWHERE:
        words = ", ".join(control.by)
    return Row(
        id=control.id, control=control.text, demanded=control.demanded, seen=control.seen.value, count=count, words=words,
        cases=cases, entries=entries,
    )  # fmt: skip


def _findings(connection: Connection, patterns: tuple[str, ...]) -> tuple[int, tuple[int, ...]]:
    f, r = tables.findings, tables.revisions
    fits = or_(*(f.c.rule.startswith(one[:-1]) if one.endswith("*") else f.c.rule == one for one in patterns))
    count = connection.scalar(select(func.count()).select_from(f).where(fits)) or 0
    some = select(f.c.digest).where(fits).order_by(f.c.rank, f.c.id).limit(_SHOWN).subquery()
    cases = connection.scalars(
        select(func.min(r.c.id)).where(r.c.digest.in_(select(some.c.digest))).group_by(r.c.digest)
    )
    return count, tuple(sorted(cases))


def _decisions(connection: Connection, kinds: tuple[str, ...]) -> tuple[int, tuple[int, ...]]:
    ledger = tables.ledger
    count = connection.scalar(select(func.count()).select_from(ledger).where(ledger.c.kind.in_(kinds))) or 0
    last = (
        select(ledger.c.index.label("number"))
        .where(ledger.c.kind.in_(kinds))
        .order_by(ledger.c.index.desc())
        .limit(_SHOWN)
    )
    return count, tuple(sorted(connection.scalars(last)))


def _term(house: House, name: str) -> str:
    value: Any = getattr(house.terms, name)
    if name == "upstreams":
        return ", ".join(address for address in (value.hub, value.pypi, value.npm) if address) or "none"
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
