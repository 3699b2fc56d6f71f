"""Knows the log of the registry: every entry names the one before it, and a signed checkpoint covers all of them.

An entry is canonical JSON: `{"at", "index", "kind", "previous", "statement"}`; `statement` is a signed envelope.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select, update

from weighbridge.provenance import merkle
from weighbridge.provenance.checkpoint import Checkpoint, LogKey
from weighbridge.provenance.checkpoint import read as read_checkpoint
from weighbridge.registry.records import tables
from weighbridge.registry.records.database import Exclusive
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from weighbridge.registry.records.database import Database

_BATCH: Final = 1000


class Entry(Struct, frozen=True, kw_only=True):
    """One entry: its number from 0, the leaf hash of the one before (hexadecimal), and the signed statement."""

    index: int
    at: str
    kind: str
    previous: str
    statement: dict[str, Any]


class Ledger:
    """The log in one database."""

    def __init__(self, database: Database, key: LogKey) -> None:
        self._database, self._key = database, key

    def append(self, connection: Connection, kind: str, statement: bytes, *, at: str, revision: int = 0) -> int:
        """The number of the new entry. Part of the caller's transaction, so it exists exactly where the decision does."""
        self._database.lock(connection, Exclusive.LOG)
        row = connection.execute(select(tables.ledger_head)).one_or_none()
        size = row.size if row else 0
        frontier = _hashes(row.frontier) if row else ()
        last = select(tables.ledger.c.leaf).where(tables.ledger.c.index == size - 1)
        previous = connection.scalar(last) if size else ""
        entry = Entry(index=size, at=at, kind=kind, previous=previous or "", statement=json.loads(statement))
        body = msgspec.json.encode(entry, order="sorted")
        leaf = merkle.leaf(body)
        connection.execute(
            insert(tables.ledger).values(
                index=size, kind=kind, revision_id=revision, body=body.decode(), leaf=leaf.hex()
            )
        )
        frontier = merkle.grown(frontier, size, leaf)
        self._keep(connection, size + 1, frontier, first=row is None)
        return size

    def _keep(self, connection: Connection, size: int, frontier: tuple[bytes, ...], *, first: bool) -> None:
        checkpoint = Checkpoint(origin=self._key.name, size=size, root=merkle.root_of_frontier(frontier))
        values = {
            "size": size,
            "frontier": "".join(one.hex() for one in frontier),
            "checkpoint": self._key.sign(checkpoint),
        }
        head = tables.ledger_head
        connection.execute(insert(head).values(id=1, **values) if first else update(head).values(**values))

    def _reading(self, within: Connection | None) -> AbstractContextManager[Connection]:
        return nullcontext(within) if within is not None else self._database.read()

    def checkpoint(self, within: Connection | None = None) -> str:
        """The signed checkpoint of what was decided until now; empty before the first entry."""
        with self._reading(within) as connection:
            return connection.scalar(select(tables.ledger_head.c.checkpoint)) or ""

    def head(self, within: Connection | None = None) -> tuple[int, tuple[bytes, ...]]:
        """(entries, frontier) from which the next entry goes on."""
        with self._reading(within) as connection:
            row = connection.execute(select(tables.ledger_head)).one_or_none()
        return (row.size, _hashes(row.frontier)) if row else (0, ())

    def entries(
        self, start: int = 0, stop: int = -1, within: Connection | None = None
    ) -> Iterator[tuple[Entry, bytes]]:
        """(entry, its bytes) from `start` to `stop` (-1: the end). Raises VerificationFailed for one that is no entry."""
        while stop < 0 or start < stop:
            last = start + _BATCH if stop < 0 else min(stop, start + _BATCH)
            query = select(tables.ledger.c.index.label("number"), tables.ledger.c.body).where(
                tables.ledger.c.index >= start, tables.ledger.c.index < last
            )
            with self._reading(within) as connection:
                rows = connection.execute(query.order_by(tables.ledger.c.index)).all()
            if not rows:
                return
            for row in rows:
                yield _entry(row.number, row.body), row.body.encode()
            start = last

    def leaves(self, size: int = -1) -> list[bytes]:
        """The hashes of the first `size` entries, as they were kept."""
        query = select(tables.ledger.c.leaf).order_by(tables.ledger.c.index)
        with self._database.read() as connection:
            found = connection.scalars(query if size < 0 else query.limit(size)).all()
        return [bytes.fromhex(one) for one in found]


def prove(ledger: Ledger, within: Connection, verifier: str, older: str = "") -> tuple[Checkpoint, list[Entry]]:
    """(what the log is in a snapshot, its entries), after every entry was hashed again.

    `older` is a checkpoint that was kept elsewhere. Raises VerificationFailed where an entry was altered, removed or put
    in, or where the log does not continue the older one.
    """
    note = ledger.checkpoint(within)
    if not note:
        raise VerificationFailed("the log has no checkpoint", hint="restore the registry from its backup")
    now = read_checkpoint(note, verifier)
    kept = read_checkpoint(older, verifier) if older else None
    leaves: list[bytes] = []
    found: list[Entry] = []
    for number, (entry, body) in enumerate(ledger.entries(within=within)):
        if entry.index != number:
            raise VerificationFailed(f"entry {number} of the log is missing", hint="restore it from the backup")
        if entry.previous != (leaves[-1].hex() if leaves else ""):
            raise VerificationFailed(
                f"entry {number} of the log does not follow the one before it", hint="one of them was altered"
            )
        leaves.append(merkle.leaf(body))
        found.append(entry)
    _agree(now, leaves, "the signed checkpoint")
    size, frontier = ledger.head(within)
    if (size, merkle.root_of_frontier(frontier)) != (now.size, now.root):
        raise VerificationFailed("the log would not go on from its checkpoint", hint="restore it from the backup")
    if kept:
        _agree(kept, leaves[: kept.size], "the older checkpoint")
    return now, found


def _agree(checkpoint: Checkpoint, leaves: list[bytes], what: str) -> None:
    if checkpoint.size != len(leaves):
        raise VerificationFailed(
            f"the log has {len(leaves)} entries, and {what} says {checkpoint.size}",
            hint="entries were removed or added",
        )
    if checkpoint.root != merkle.root(leaves):
        raise VerificationFailed(f"the log is not the one that {what} was signed for", hint="an entry was altered")


def _entry(number: int, body: str) -> Entry:
    try:
        found = msgspec.json.decode(body, type=Entry)
    except msgspec.DecodeError as error:
        raise VerificationFailed(f"entry {number} of the log is damaged", hint="restore it from the backup") from error
    if found.index != number:
        raise VerificationFailed(f"entry {number} of the log says that it is {found.index}", hint="it was moved")
    return found


def _hashes(text: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text[start : start + 64]) for start in range(0, len(text), 64))
