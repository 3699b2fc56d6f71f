"""Knows the database: SQLite by default, PostgreSQL by address; reading, and writing one transaction at a time."""

from __future__ import annotations

import contextlib
import os
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, exc, text

from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_MIGRATIONS: Final = os.path.join(os.path.dirname(__file__), "migrations")
_BUSY: Final = 30
_LOCKS: Final = 0x77620000  # locks of PostgreSQL are numbers that all programs of a database share
_FAILED: Final = (exc.OperationalError, exc.DatabaseError)


class Exclusive(IntEnum):
    """What only one transaction does at a time, on every machine."""

    MIGRATE = 1
    LOG = 2
    FIRST_USER = 3
    REVOCATIONS = 4
    CASE = 5
    REPOSITORY = 6


class Database:
    """Connections to one database.

    `read` gives what was committed, `snapshot` all of it at one moment; `write` is one transaction, and the only one at a time on SQLite.
    """

    def __init__(self, url: str, *, pool: int = 16) -> None:
        """Raises UsageError for a kind of database that is not known."""
        self.url = url
        if url.startswith("sqlite:///"):
            self.engine = create_engine(url, pool_size=pool, max_overflow=-1, connect_args={"timeout": _BUSY})
            event.listen(self.engine, "connect", _prepare_sqlite)
        elif url.startswith("postgresql"):
            address = "postgresql+psycopg" + url[url.index("://") :]
            self.engine = create_engine(address, pool_size=pool, max_overflow=pool, pool_pre_ping=True)
        else:
            raise UsageError(
                f"{url.partition('://')[0]}: not a database that is known", hint="sqlite:/// or postgresql://"
            )
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees what was committed. Raises SourceError where the database cannot be reached."""
        with _told(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees one moment, whatever is committed while it reads. Raises SourceError."""
        with _told(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            try:
                yield connection
            finally:
                connection.rollback()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end, undone where anything was raised. Raises SourceError."""
        with _told(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def lock(self, connection: Connection, what: Exclusive) -> None:
        """Wait until this transaction is the only one that holds a lock. SQLite has one writer anyhow."""
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCKS + what})

    def upgrade(self) -> None:
        """Bring the tables to the present edition. Raises SourceError."""
        with self.write() as connection:
            self.lock(connection, Exclusive.MIGRATE)
            self.migrate(connection)

    @staticmethod
    def migrate(connection: Connection) -> None:
        """Run the migrations that a database lacks, as part of a transaction."""
        from alembic import command  # noqa: PLC0415  # only when a server starts
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def _prepare_sqlite(raw: Any, _record: Any) -> None:
    """Source: sqlite.org/wal.html; FULL keeps what was committed through a power cut."""
    # Transactions are begun by `write`; the driver must not begin its own.
    raw.isolation_level = None
    for line in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-2000"):
        raw.execute(f"PRAGMA {line}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError:
        raise
    except _FAILED as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
        hints = {
            "disk I/O error": "the disk fails, or is full",
            "database or disk is full": "make room on the disk",
            "attempt to write a readonly database": "the disk or the file cannot be written",
            "database is locked": "another process holds the database for long",
        }
        raise SourceError(
            f"the database says: {reason}", hint=hints.get(reason, "check the address and the server")
        ) from error
