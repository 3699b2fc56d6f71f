"""Knows webhooks: signed messages about decisions, sent until they arrive or are given up."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select, update

from weighbridge.provenance.webhook import headers
from weighbridge.registry.records import tables
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.schema import SourceError
from weighbridge.source.http import Session

if TYPE_CHECKING:
    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

_WAITS: Final = (5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600)
_BATCH: Final = 50


class Messages:
    """The webhooks of one registry."""

    def __init__(self, house: House) -> None:
        self._house = house

    def add(self, url: str) -> tuple[int, str]:
        """(number, secret) of a new webhook. Raises Refusal for what is no address."""
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise Refusal(No.INVALID, "a webhook is an http(s) address", hint="https://example.com/hook")
        secret = base64.b64encode(secrets.token_bytes(24)).decode()
        with self._house.database.write() as connection:
            made = connection.execute(
                insert(tables.webhooks).values(url=url, secret=secret, created=self._house.clock())
            )
        assert made.inserted_primary_key is not None
        return int(made.inserted_primary_key[0]), f"whsec_{secret}"

    def remove(self, number: int) -> None:
        """Forget a webhook and what waits for it."""
        d, w = tables.deliveries, tables.webhooks
        with self._house.database.write() as connection:
            connection.execute(delete(d).where(d.c.webhook_id == number))
            if not connection.execute(delete(w).where(w.c.id == number)).rowcount:
                raise Refusal(No.ENTRY, f"there is no webhook {number}")

    def all(self) -> list[Record]:
        """The webhooks, without their secrets."""
        w = tables.webhooks
        with self._house.database.read() as connection:
            return list(connection.execute(select(w.c.id, w.c.url, w.c.created).order_by(w.c.id)).all())

    def dead(self) -> list[Record]:
        """Messages that were given up."""
        d = tables.deliveries
        with self._house.database.read() as connection:
            return list(
                connection.execute(select(d).where(d.c.state == "dead").order_by(d.c.id.desc()).limit(100)).all()
            )

    def deliver(self) -> int:
        """Send what is due; how many messages arrived."""
        d, w = tables.deliveries, tables.webhooks
        now = self._house.clock()
        query = (
            select(d, w.c.url, w.c.secret)
            .join_from(d, w)
            .where(d.c.state == "waiting", d.c.due <= now)
            .order_by(d.c.id)
            .limit(_BATCH)
        )
        with self._house.database.read() as connection:
            rows = connection.execute(query).all()
        arrived = 0
        for row in rows:
            # Taken before it is sent, so that two workers do not send it at once; a crash sends it again.
            with self._house.database.write() as connection:
                taken = connection.execute(
                    update(d)
                    .where(d.c.id == row.id, d.c.attempts == row.attempts, d.c.state == "waiting")
                    .values(attempts=row.attempts + 1, due=now + _WAITS[min(row.attempts, len(_WAITS) - 1)])
                )
            if taken.rowcount:
                arrived += self._send(row, now)
        return arrived

    def _send(self, row: Record, now: float) -> int:
        d = tables.deliveries
        signed = headers(row.secret, f"msg_{row.id}", int(now), row.body.encode())
        try:
            response, _ = Session(backoff=0.0, patience=10.0).open(
                row.url, {"Content-Type": "application/json", **signed}, method="POST", body=row.body.encode()
            )
            response.release_conn()
            answer, arrived = str(response.status), response.status < 300
        except SourceError as error:
            answer, arrived = error.message[:300], False
        state = "delivered" if arrived else "dead" if row.attempts + 1 >= len(_WAITS) else "waiting"
        with self._house.database.write() as connection:
            connection.execute(update(d).where(d.c.id == row.id).values(state=state, answer=answer))
        return int(arrived)
