"""Knows what another policy would say of what is here, before it is put in force."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import select

from weighbridge.policy import decide
from weighbridge.policy.language import parse_settings
from weighbridge.registry.records import tables
from weighbridge.schema import Outcome, UsageError

if TYPE_CHECKING:
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.inspector import Inspector

_TRIED: Final = 2000


class Change(Struct, frozen=True, kw_only=True):
    """An artifact of which another policy would say something else."""

    case: int
    name: str
    before: str
    after: str
    because: str


class Trial(Struct, frozen=True, kw_only=True):
    """What another policy would change, in one sentence and one by one."""

    sentence: str
    changes: list[Change]


def tried(house: House, inspector: Inspector, text: str) -> Trial:
    """What another policy (TOML) would say of the latest artifacts. Raises UsageError where it is none."""
    try:
        settings = parse_settings(tomllib.loads(text), "the policy")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the policy: {error}", hint="correct the line") from error
    r, o = tables.revisions, tables.repositories
    query = select(r.c.id, r.c.digest, r.c.state, o.c.name).join_from(r, o).where(r.c.digest != "")
    with house.database.read() as connection:
        rows = connection.execute(query.order_by(r.c.id.desc()).limit(_TRIED)).all()
    changes, counts = [], dict.fromkeys(Outcome, 0)
    for row in rows:
        report = inspector.report(row.digest)
        if report is None:
            continue
        before = decide(report, house.settings.policy).verdict.outcome
        after = decide(report, settings.policy).verdict
        if after.outcome is not before:
            counts[after.outcome] += 1
            changes.append(
                Change(case=row.id, name=row.name, before=before, after=after.outcome, because=after.because)
            )
    told = ", ".join(f"would {outcome} {counts[outcome]}" for outcome in Outcome)
    return Trial(
        sentence=f"Of the last {len(rows)} artifacts this policy {told} that the present one does not.",
        changes=changes,
    )
