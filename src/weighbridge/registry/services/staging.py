"""Knows what was uploaded by a path and belongs to nothing yet. It is handed out to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select

from weighbridge.registry.records import tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

_DAYS: Final = 7 * 86400


class Staging:
    """The staging area of one registry."""

    def __init__(self, house: House) -> None:
        self._house = house

    def put(self, path: str, pieces: Iterable[bytes], caller: Caller) -> None:
        """Keep bytes under a path, instead of what was there."""
        sha256, size = self._house.blobs.put(pieces)
        s = tables.staged
        with self._house.database.write() as connection:
            connection.execute(delete(s).where(s.c.path == path))
            connection.execute(
                insert(s).values(path=path, sha256=sha256, size=size, user=caller.name, at=self._house.clock())
            )

    def below(self, prefix: str) -> list[tuple[str, str, int]]:
        """(path, SHA-256, bytes) of everything below a path."""
        s = tables.staged
        query = select(s.c.path, s.c.sha256, s.c.size).where(s.c.path.startswith(f"{prefix}/", autoescape=True))
        with self._house.database.read() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(s.c.path))]

    def forget(self) -> None:
        """Drop what nobody registered within a week."""
        s = tables.staged
        with self._house.database.write() as connection:
            connection.execute(delete(s).where(s.c.at <= self._house.clock() - _DAYS))
