"""Knows how to prove that a registry is what was decided: the log, its signatures, the database and the bytes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import select

from weighbridge.provenance import bundle
from weighbridge.provenance.bundle import Trust
from weighbridge.provenance.predicates import APPROVAL
from weighbridge.registry.records import tables
from weighbridge.registry.records.ledger import prove
from weighbridge.registry.services.states import SERVED, State
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from weighbridge.registry.records.ledger import Entry
    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

_ENDS: Final = frozenset({State.REJECTED, State.REVOKED, State.EXPIRED})


def objections(house: House, *, older: str = "", altered: Callable[[str, int], str] | None = None) -> Iterator[str]:
    """Everything that is not as it was decided; nothing where all agrees.

    `older` is a checkpoint that was kept elsewhere; `altered` says why a blob is not what its name says, and is left out
    where bytes are not to be hashed. Raises VerificationFailed where the log itself cannot be believed.
    """
    # Log and rows of one moment: what is decided while this looks is no contradiction.
    with house.database.snapshot() as connection:
        _, entries = prove(house.ledger, connection, house.log_key.verifier, older)
        last: dict[int, tuple[str, dict[str, Any]]] = {}
        for entry in entries:
            statement = _statement(house, entry)
            last[int(statement["predicate"].get("case", 0))] = (entry.kind, statement)
        found = [*_rows(connection, last), *_lost(connection, last)]
        served = _served(connection) if altered is not None else []
    yield from found
    if altered is not None:
        yield from _bytes(served, altered)


def _statement(house: House, entry: Entry) -> dict[str, Any]:
    """What an entry states, if this registry has signed it."""
    try:
        payload, _ = bundle.authentic(msgspec.json.encode(entry.statement), Trust(keys=(house.public,)), house.now())
    except VerificationFailed as error:
        raise VerificationFailed(
            f"entry {entry.index} of the log is not signed by this registry: {error.message}", hint="it was put there"
        ) from error
    found: dict[str, Any] = msgspec.json.decode(payload)
    return found


def _rows(connection: Connection, last: dict[int, tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """What the database hands out without a decision that says so."""
    r = tables.revisions
    for row in connection.execute(select(r.c.id, r.c.label, r.c.state).where(r.c.state.in_(SERVED))):
        kind, statement = last.get(row.id, ("", {}))
        if kind not in SERVED:
            yield f"case {row.id} is {row.state} in the database, and the log says {kind or 'nothing'}"
        elif statement["predicateType"] == APPROVAL or kind == State.DEPRECATED:
            yield from _files(connection, row, statement)


def _files(connection: Connection, row: Record, statement: dict[str, Any]) -> Iterator[str]:
    f = tables.files
    query = select(f.c.path, f.c.sha256).where(f.c.revision_id == row.id)
    kept = {one[0]: one[1] for one in connection.execute(query)}
    said = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    for name in sorted(kept.keys() | said.keys()):
        if kept.get(name) != said.get(name):
            yield f"case {row.id}: {name} is not the file that was approved"


def _lost(connection: Connection, last: dict[int, tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Decisions of the log that the database does not know."""
    r = tables.revisions
    known = {row[0]: row[1] for row in connection.execute(select(r.c.id, r.c.state))}
    for case, (kind, _) in sorted(last.items()):
        state = known.get(case)
        if state is None:
            yield f"case {case} was {kind} and is not in the database"
        elif kind in _ENDS and state in SERVED:
            yield f"case {case} was {kind} and is {state} in the database"


def _served(connection: Connection) -> Sequence[Record]:
    f, r = tables.files, tables.revisions
    query = select(f.c.sha256, f.c.size, f.c.path, r.c.id).join_from(f, r).where(r.c.state.in_(SERVED))
    return connection.execute(query.order_by(f.c.sha256)).all()


def _bytes(served: Sequence[Record], altered: Callable[[str, int], str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for row in served:
        if row.sha256 not in seen:
            seen[row.sha256] = altered(row.sha256, row.size)
        if seen[row.sha256]:
            yield f"case {row.id}: {row.path}: {seen[row.sha256]}"
