"""Knows what the services of one registry share: database, blobs, log, keys, terms, clock."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from weighbridge.policy import Settings, find_settings
from weighbridge.provenance import checkpoint, keys
from weighbridge.registry.records import Database, Exclusive, open_blobs, tables
from weighbridge.registry.records.ledger import Ledger
from weighbridge.registry.services.site_rules import SiteRules
from weighbridge.registry.services.terms import Terms, read_terms
from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from weighbridge.registry.records import Blobs

_KEYS: Final = ("decisions.pem", "log.pem")
_YEARS: Final = 3650


class House:
    """One registry. `clock` gives seconds since 1970."""

    def __init__(
        self,
        *,
        folder: str,
        database: Database,
        blobs: Blobs,
        terms: Terms,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises SourceError, UsageError where a key cannot be read or a rule not compiled."""
        self.folder, self.database, self.blobs = folder, database, blobs
        self.terms, self.settings, self.clock = terms, settings, clock
        self.rules = SiteRules(terms.rule)
        place = os.path.join(folder, "keys")
        self.key = keys.load_private(os.path.join(place, _KEYS[0]))
        self.public = keys.load_public(os.path.join(place, f"{_KEYS[0]}.pub"))
        self.log_key = checkpoint.load(os.path.join(place, _KEYS[1]), terms.name)
        self.ledger = Ledger(database, self.log_key)
        self.submit: Callable[[int, int], None] = lambda _case, _round: None
        self._reads: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def stamp(self) -> str:
        """The time as signed statements carry it."""
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def note(
        self, user: str, action: str, subject: str, *, status: int = 200, address: str = "", agent: str = ""
    ) -> None:
        """Put an act on the audit log, soon. `flush` writes what was noted."""
        row = {
            "at": self.clock(), "user": user, "action": action, "subject": subject[:1000], "status": status,
            "address": address, "agent": agent[:300],
        }  # fmt: skip
        with self._lock:
            self._reads.append(row)

    def flush(self) -> None:
        """Write what was noted. Raises SourceError, and keeps it for the next time."""
        with self._lock:
            rows, self._reads = self._reads, []
        if not rows:
            return
        try:
            with self.database.write() as connection:
                connection.execute(insert(tables.audit), rows)
        except SourceError:
            with self._lock:
                self._reads = rows + self._reads
            raise

    def altered(self, sha256: str, size: int) -> str:
        """Why a blob is not what its name says, or nothing."""
        if self.blobs.size(sha256) < 0:
            return f"the blob {sha256[:16]}… is missing"
        made, found = hashlib.sha256(), 0
        for piece in self.blobs.read(sha256):
            made.update(piece)
            found += len(piece)
        if found != size or made.hexdigest() != sha256:
            return f"the blob {sha256[:16]}… was altered"
        return ""

    def setting(self, key: str) -> str:
        """A value that the registry remembers, or nothing."""
        with self.database.read() as connection:
            return connection.scalar(select(tables.settings.c.value).where(tables.settings.c.key == key)) or ""

    def remember(self, connection: Connection, key: str, value: str) -> None:
        """Keep a value, as part of a transaction."""
        done = connection.execute(update(tables.settings).where(tables.settings.c.key == key).values(value=value))
        if not done.rowcount:
            connection.execute(insert(tables.settings).values(key=key, value=value))


def open_house(
    folder: str,
    *,
    database: str = "",
    blobs: str = "",
    config: str | None = None,
    clock: Callable[[], float] = time.time,
    changes: dict[str, Any] | None = None,
) -> tuple[House, str]:
    """(the registry, the token of its first administrator where it was made just now).

    `changes` replaces terms of the configuration file. Raises UsageError, SourceError.
    """
    folder = os.path.abspath(folder)
    try:
        os.makedirs(os.path.join(folder, "keys"), mode=0o700, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder}: {(error.strerror or str(error)).lower()}", hint="choose another folder"
        ) from error
    settings = find_settings(config, folder)
    terms = read_terms({**settings.registry, **(changes or {})}, settings.source or "the defaults")
    _make_keys(os.path.join(folder, "keys"), terms.name, clock)
    opened = Database(database or f"sqlite:///{folder}/registry.sqlite")
    opened.upgrade()
    house = House(
        folder=folder,
        database=opened,
        blobs=open_blobs(blobs or os.path.join(folder, "blobs")),
        terms=terms,
        settings=settings,
        clock=clock,
    )
    return house, _first_administrator(house)


def _make_keys(folder: str, name: str, clock: Callable[[], float]) -> None:
    for file, make in (
        (_KEYS[0], lambda path: keys.new(path, days=_YEARS, now=datetime.fromtimestamp(clock(), UTC))),
        (_KEYS[1], lambda path: checkpoint.new(path, name)),
    ):
        path = os.path.join(folder, file)
        if not os.path.exists(path):
            try:
                make(path)
            except UsageError:
                # Another process that starts now was faster.
                if not os.path.exists(path):
                    raise


def _first_administrator(house: House) -> str:
    from weighbridge.registry.services.access import digest_of  # noqa: PLC0415  # it needs the house

    token = f"wb_{secrets.token_urlsafe(32)}"
    now = house.clock()
    try:
        with house.database.write() as connection:
            house.database.lock(connection, Exclusive.FIRST_USER)
            if connection.scalar(select(tables.users.c.id).limit(1)) is not None:
                return ""
            made = connection.execute(
                insert(tables.users).values(name="admin", kind="person", role="admin", created=now)
            )
            assert made.inserted_primary_key is not None
            connection.execute(
                insert(tables.tokens).values(
                    user_id=made.inserted_primary_key[0],
                    digest=digest_of(token),
                    name="first token",
                    kind="token",
                    role="admin",
                    created=now,
                    expires=now + 365 * 86400,
                )
            )
    except IntegrityError:
        return ""
    return token


def encoded(value: object) -> str:
    """Canonical JSON as text."""
    return msgspec.json.encode(value, order="sorted").decode()
