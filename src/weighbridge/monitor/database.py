"""Knows a database as the place where replicas meet: one row for each, in SQLite or PostgreSQL."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, create_engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from weighbridge.schema import SourceError

_METADATA: Final = MetaData()
_STATES: Final = Table(
    "monitor_states",
    _METADATA,
    Column("stream", String(200), primary_key=True),
    Column("replica", String(200), primary_key=True),
    Column("at", Float, nullable=False),
    Column("state", LargeBinary, nullable=False),
)


class Database:
    """See `state.Folder`, which has the same methods."""

    def __init__(self, address: str) -> None:
        """Raises SourceError where it cannot be opened."""
        if address.startswith("postgresql://"):
            address = address.replace("postgresql://", "postgresql+psycopg://", 1)
        try:
            self._engine = create_engine(address, pool_pre_ping=True)
            _METADATA.create_all(self._engine)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise _failed(error) from error

    def put(self, stream: str, replica: str, data: bytes) -> None:
        """Keep the state of a replica, in one transaction. Raises SourceError."""
        mine = (_STATES.c.stream == stream) & (_STATES.c.replica == replica)
        try:
            with self._engine.begin() as connection:
                connection.execute(delete(_STATES).where(mine))
                connection.execute(insert(_STATES).values(stream=stream, replica=replica, at=time.time(), state=data))
        except SQLAlchemyError as error:
            raise _failed(error) from error

    def others(self, stream: str, replica: str) -> list[bytes]:
        """What the other replicas of a stream have kept. Raises SourceError."""
        query = select(_STATES.c.state).where(_STATES.c.stream == stream, _STATES.c.replica != replica)
        try:
            with self._engine.connect() as connection:
                return [bytes(row.state) for row in connection.execute(query.order_by(_STATES.c.replica))]
        except SQLAlchemyError as error:
            raise _failed(error) from error

    def own(self, stream: str, replica: str) -> bytes | None:
        """What this replica kept before. Raises SourceError."""
        query = select(_STATES.c.state).where(_STATES.c.stream == stream, _STATES.c.replica == replica)
        try:
            with self._engine.connect() as connection:
                row = connection.execute(query).first()
        except SQLAlchemyError as error:
            raise _failed(error) from error
        return bytes(row.state) if row else None


def _failed(error: Exception) -> SourceError:
    told = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
    return SourceError(f"the database of the monitor: {told}", hint="check --meet")
