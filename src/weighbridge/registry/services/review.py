"""Knows what people look at: queues, artifacts, findings across all of them, and who is touched by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import case as when
from sqlalchemy import func, select

from weighbridge.registry.records import tables

if TYPE_CHECKING:
    from sqlalchemy import Select

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

_TELLING: Final = 1024  # smaller files, such as licences, say little
_NEAR: Final = 2000


class Sought(Struct, frozen=True, kw_only=True):
    """What somebody looks for. Empty means any; `after` is where the page before ended."""

    kind: str = ""
    state: str = ""
    text: str = ""
    rule: str = ""
    severity: str = ""
    triage: str = ""
    after: int = 0


class Review:
    """Reading for pages and tools."""

    def __init__(self, house: House) -> None:
        self._house = house

    def artifacts(self, sought: Sought, limit: int = 50) -> list[Record]:
        """Revisions, latest first, with `kind` and `name` of their repository and `worst` and `count` of their findings."""
        r, o, i = tables.revisions, tables.repositories, tables.inspections
        last = select(func.max(i.c.id)).where(i.c.digest == r.c.digest).correlate(r).scalar_subquery()
        query = (
            select(r.c.id, r.c.label, r.c.branch, r.c.state, r.c.requester, r.c.opened, r.c.because, o.c.kind, o.c.name, o.c.upstream, i.c.worst, i.c.count)
            .join_from(r, o)
            .outerjoin(i, i.c.id == last)
        )  # fmt: skip
        query = _narrowed(query, sought)
        with self._house.database.read() as connection:
            return list(connection.execute(query.order_by(r.c.id.desc()).limit(limit)).all())

    def facets(self) -> dict[str, dict[str, int]]:
        """How many revisions there are of each state and of each kind."""
        r, o = tables.revisions, tables.repositories
        with self._house.database.read() as connection:
            states = connection.execute(select(r.c.state, func.count()).group_by(r.c.state)).all()
            kinds = connection.execute(select(o.c.kind, func.count()).group_by(o.c.kind)).all()
        return {"state": {row[0]: row[1] for row in states}, "kind": {row[0]: row[1] for row in kinds}}

    def findings(self, sought: Sought, limit: int = 50) -> list[Record]:
        """Findings of all artifacts, worst first, with one artifact that has each."""
        f, r, o = tables.findings, tables.revisions, tables.repositories
        one = select(func.min(r.c.id)).where(r.c.digest == f.c.digest).correlate(f).scalar_subquery()
        query = select(f, o.c.kind, o.c.name, r.c.id.label("case"), r.c.state).join_from(f, r, r.c.id == one).join(o)
        if sought.rule:
            query = query.where(f.c.rule == sought.rule)
        if sought.severity:
            query = query.where(f.c.severity == sought.severity)
        if sought.triage:
            query = query.where(f.c.triage == sought.triage)
        if sought.after:
            query = query.where(f.c.id > sought.after)
        # By number within one rank or rule, so that an index gives the order and a page costs the same everywhere.
        order = (f.c.id,) if sought.rule or sought.severity or sought.after else (f.c.rank, f.c.id)
        with self._house.database.read() as connection:
            return list(connection.execute(query.order_by(*order).limit(limit)).all())

    def rules(self) -> list[tuple[str, int]]:
        """(rule, how many findings), most first."""
        f = tables.findings
        query = select(f.c.rule, func.count()).group_by(f.c.rule).order_by(func.count().desc())
        with self._house.database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def events(self, case: int) -> list[Record]:
        """What happened in a case, in order."""
        e = tables.events
        with self._house.database.read() as connection:
            return list(connection.execute(select(e).where(e.c.revision_id == case).order_by(e.c.id)).all())

    def votes(self, case: int) -> list[Record]:
        """Who has approved a case, in all of its rounds."""
        v = tables.votes
        with self._house.database.read() as connection:
            return list(connection.execute(select(v).where(v.c.revision_id == case).order_by(v.c.at)).all())

    def worst_by_file(self, case: int) -> list[tuple[str, int]]:
        """(file, rank of its worst finding) of a revision."""
        f, r = tables.findings, tables.revisions
        query = (
            select(f.c.member, func.min(f.c.rank))
            .join_from(f, r, r.c.digest == f.c.digest)
            .where(r.c.id == case)
            .group_by(f.c.member)
        )
        with self._house.database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def before(self, case: int) -> list[Record]:
        """The revisions that came before one on its branch, latest first."""
        r, o = tables.revisions, tables.repositories
        with self._house.database.read() as connection:
            own = connection.execute(select(r.c.repository_id, r.c.branch).where(r.c.id == case)).one()
            query = select(r.c.id, r.c.label, r.c.state, o.c.name).join_from(r, o)
            query = query.where(r.c.repository_id == own[0], r.c.branch == own[1], r.c.id < case)
            return list(connection.execute(query.order_by(r.c.id.desc()).limit(9)).all())

    def days(self) -> list[dict[str, object]]:
        """How many decisions of each kind there were on each of the last thirty days that had any."""
        log = tables.ledger
        # An entry is canonical JSON that begins with its time.
        day = func.substr(log.c.body, 8, 10)
        words = ("approved", "rejected", "revoked")
        query = select(day, *(func.sum(when((log.c.kind == word, 1), else_=0)) for word in words))
        with self._house.database.read() as connection:
            rows = connection.execute(query.group_by(day).order_by(day.desc()).limit(30)).all()
        return [{"day": row[0], **{word: row[at + 1] for at, word in enumerate(words)}} for row in reversed(rows)]

    def sharing(self, case: int) -> list[Record]:
        """Other revisions that hold some of the same files: (case, kind, name, label, state, how many), 200 at the most."""
        f, r, o = tables.files, tables.revisions, tables.repositories
        mine = select(f.c.sha256).where(f.c.revision_id == case, f.c.size > _TELLING)
        # Bounded before it is counted: some files lie in very many artifacts.
        near = select(f.c.revision_id).where(f.c.sha256.in_(mine), f.c.revision_id != case).limit(_NEAR).subquery()
        counted = (
            select(near.c.revision_id, func.count().label("files")).group_by(near.c.revision_id).limit(200).subquery()
        )
        query = (
            select(r.c.id, o.c.kind, o.c.name, r.c.label, r.c.state, counted.c.files)
            .join_from(counted, r, r.c.id == counted.c.revision_id)
            .join(o)
            .order_by(r.c.id)
        )
        with self._house.database.read() as connection:
            return list(connection.execute(query).all())

    def downloads(self, name: str, since: float) -> list[Record]:
        """(user, last time, how often) of reads whose address holds a name."""
        a = tables.audit
        query = (
            select(a.c.user, func.max(a.c.at), func.count())
            .where(a.c.at >= since, a.c.status < 300, a.c.subject.contains(f"/{name}/", autoescape=True))
            .group_by(a.c.user)
            .order_by(func.max(a.c.at).desc())
        )
        with self._house.database.read() as connection:
            return list(connection.execute(query.limit(200)).all())

    def packages(self, kind: str) -> list[Record]:
        """The packages of an index that somebody has asked for."""
        o = tables.repositories
        with self._house.database.read() as connection:
            return list(connection.execute(select(o.c.name).where(o.c.kind == kind).order_by(o.c.name)).all())

    def acts(self, *, user: str = "", before: int = 0, limit: int = 100) -> list[Record]:
        """The audit log, latest first."""
        a = tables.audit
        query = select(a).order_by(a.c.id.desc()).limit(limit)
        if user:
            query = query.where(a.c.user == user)
        if before:
            query = query.where(a.c.id < before)
        with self._house.database.read() as connection:
            return list(connection.execute(query).all())


def _narrowed(query: Select[Any], sought: Sought) -> Select[Any]:
    r, o = tables.revisions, tables.repositories
    if sought.kind:
        query = query.where(o.c.kind == sought.kind)
    if sought.state:
        query = query.where(r.c.state == sought.state)
    if sought.text:
        query = query.where(o.c.folded.contains(sought.text.lower(), autoescape=True))
    if sought.after:
        query = query.where(r.c.id < sought.after)
    return query
