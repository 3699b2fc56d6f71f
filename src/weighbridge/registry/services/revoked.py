"""Knows the signed list of what was called back: digests of files that no approved revision holds any more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from weighbridge.provenance import revocation
from weighbridge.provenance.revocation import Revocations
from weighbridge.registry.records import Exclusive, tables
from weighbridge.registry.services.states import SERVED, State

if TYPE_CHECKING:
    from weighbridge.registry.services.house import House

_KEY: Final = "revocations"
_DAYS: Final = 30
_SMALL: Final = 16


def revocation_list(house: House) -> bytes:
    """The list as it is now. It gets a new number where it says something new, or nears its end."""
    f, r = tables.files, tables.revisions
    revoked = select(f.c.sha256).join_from(f, r).where(r.c.state == State.REVOKED, f.c.size > _SMALL).distinct()
    held = select(f.c.sha256).join_from(f, r).where(r.c.state.in_(SERVED))
    with house.database.read() as connection:
        now = sorted(connection.scalars(revoked.where(f.c.sha256.not_in(held))))
    said = house.setting(_KEY)
    table: dict[str, Any] = json.loads(said) if said else {"number": 0, "revoked": None, "until": 0.0, "list": ""}
    if table["revoked"] == now and table["until"] > house.clock():
        return str(table["list"]).encode()
    with house.database.write() as connection:
        house.database.lock(connection, Exclusive.REVOCATIONS)
        again = connection.scalar(select(tables.settings.c.value).where(tables.settings.c.key == _KEY))
        number = json.loads(again)["number"] if again else 0
        old = Revocations(number=number, expires="", revoked=())
        made = revocation.make(old, tuple(now), house.key, now=house.now(), days=_DAYS)
        table = {
            "number": number + 1, "revoked": now, "until": house.clock() + _DAYS * 43200, "list": made.decode(),
        }  # fmt: skip
        house.remember(connection, _KEY, json.dumps(table))
    return made
