"""Knows repositories as clients see them: what a revision means today, which files it has, and what was pushed."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from weighbridge.registry.records import Exclusive, tables
from weighbridge.registry.services.access import Act, Caller
from weighbridge.registry.services.cases import Cases, Kept
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.states import SERVED, State, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

KINDS: Final = ("model", "dataset", "space")
_NAME: Final = re.compile(r"(?:[\w][\w.-]{0,95}/)?[\w][\w.-]{0,95}\Z", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z|sha256:[0-9a-f]{64}\Z")  # of git, or of an OCI manifest
_REF: Final = re.compile(r"[\w][\w./-]{0,199}\Z", re.ASCII)
_RESERVED: Final = frozenset(
    {
        "api",
        "datasets",
        "spaces",
        "models",
        "pypi",
        "npm",
        "upload",
        "cases",
        "v2",
        "artifacts",
        "findings",
        "static",
        "admin",
    }
)
_MOST_FILES: Final = 100_000
EMPTY: Final = "0" * 40


# The questions of every download, composed once: composing them costs more than answering them.
_O, _R, _F, _P = tables.repositories, tables.revisions, tables.refs, tables.files
_FOUND: Final = select(_O).where(_O.c.kind == bindparam("kind"), _O.c.folded == bindparam("folded"))
_JOINED: Final = (
    select(
        _R.c.id, _R.c.label, _R.c.state, _R.c.because, _R.c.opened, _R.c.expires, _R.c.scopes, _O.c.id.label("at"), _O.c.name, _O.c.upstream
    )
    .join_from(_O, _R, _R.c.repository_id == _O.c.id)
    .where(_O.c.kind == bindparam("kind"), _O.c.folded == bindparam("folded"))
)  # fmt: skip
_BY_COMMIT: Final = _JOINED.where(_R.c.label == bindparam("revision"))
_BY_REF: Final = (
    _JOINED.join(_F, (_F.c.repository_id == _O.c.id) & (_F.c.served == _R.c.label))
    .where(_F.c.name == bindparam("revision"))
    .order_by(_F.c.kind)
    .limit(1)
)
_FILES: Final = (
    select(_P.c.path, _P.c.size, _P.c.sha256, _P.c.oid, _P.c.lfs)
    .where(_P.c.revision_id == bindparam("revision"))
    .order_by(_P.c.path)
)
_FILE: Final = _FILES.where(_P.c.path == bindparam("path"))


class Served(Struct, frozen=True, kw_only=True):
    """A revision that may be handed out. `warning` is what the client's user should read."""

    repository: int
    revision: int
    kind: str
    name: str
    label: str
    created: float
    warning: str = ""
    hosted: bool = True


class Change(Struct, frozen=True, kw_only=True):
    """One line of a commit: a file that is put (`file`), copied (`source`) or taken away; a folder ends in a slash."""

    path: str
    file: Kept | None = None
    source: str = ""


class Repositories:
    """The repositories of one registry."""

    def __init__(self, house: House, cases: Cases) -> None:
        self._house, self._cases = house, cases

    # --- reading

    def find(self, connection: Connection, kind: str, name: str) -> Record | None:
        """A repository by its name, whatever its case."""
        return connection.execute(_FOUND, {"kind": kind, "folded": name.lower()}).one_or_none()

    def served(self, kind: str, name: str, revision: str, scope: str = "") -> Served:
        """What a revision means to a client of an environment.

        Raises Refusal, with the case, where it may not be handed out.
        """
        with self._house.database.read() as connection:
            return self._served(connection, kind, name, revision, scope)

    def _served(self, connection: Connection, kind: str, name: str, revision: str, scope: str) -> Served:
        values = {"kind": kind, "folded": name.lower(), "revision": revision}
        if _COMMIT.match(revision):
            row = connection.execute(_BY_COMMIT, values).one_or_none()
        else:
            row = connection.execute(_BY_REF, {**values, "revision": short_ref(revision)}).one_or_none()
        if row is None:
            raise self._absent(connection, kind, name, revision)
        if row.state not in SERVED:
            raise Refusal(No.REVISION, told(State(row.state), row.id, row.because), case=row.id)
        if row.expires and row.expires <= self._house.clock():
            raise Refusal(No.REVISION, told(State.EXPIRED, row.id, row.because), case=row.id)
        if row.scopes and scope not in row.scopes:
            raise Refusal(
                No.REVISION, only_for(row.scopes, row.id), case=row.id, hint="use a token of that environment"
            )
        warning = f"deprecated: {row.because}" if row.state == State.DEPRECATED else ""
        return Served(
            repository=row.at, revision=row.id, kind=kind, name=row.name, label=row.label, created=row.opened,
            warning=warning, hosted=not row.upstream,
        )  # fmt: skip

    def _absent(self, connection: Connection, kind: str, name: str, revision: str) -> Refusal:
        """Why nothing is served: no such repository, no such revision, or one that waits."""
        found = self.find(connection, kind, name)
        if found is None:
            return Refusal(
                No.REPOSITORY, f"there is no {kind} {name} here", hint="ask for it: weighbridge registry request"
            )
        f, r = tables.refs, tables.revisions
        tip = connection.scalar(
            select(f.c.tip).where(f.c.repository_id == found.id, f.c.name == short_ref(revision)).limit(1)
        )
        row = connection.execute(select(r).where(r.c.repository_id == found.id, r.c.label == tip)).one_or_none()
        if row is None:
            return Refusal(No.REVISION, f"{name} has no revision {revision} here", hint="check its name")
        return Refusal(No.REVISION, told(State(row.state), row.id, row.because), case=row.id)

    def is_empty(self, kind: str, name: str) -> Record | None:
        """A repository to which nothing was pushed yet."""
        with self._house.database.read() as connection:
            found = self.find(connection, kind, name)
            if found is None or found.upstream:
                return None
            pushed = select(tables.revisions.c.id).where(tables.revisions.c.repository_id == found.id).limit(1)
            return None if connection.scalar(pushed) is not None else found

    def file(self, revision: int, path: str) -> Kept | None:
        """A file of a revision."""
        with self._house.database.read() as connection:
            row = connection.execute(_FILE, {"revision": revision, "path": path}).one_or_none()
        return _kept(row) if row else None

    def files(self, revision: int) -> list[Kept]:
        """The files of a revision, in order of their paths."""
        with self._house.database.read() as connection:
            return list(self._files(connection, revision))

    def _files(self, connection: Connection, revision: int) -> Iterator[Kept]:
        for row in connection.execute(_FILES, {"revision": revision}):
            yield _kept(row)

    def refs(self, kind: str, name: str) -> list[tuple[str, str, str]]:
        """(branch or tag, name, commit) of what is served. Raises Refusal where there is no such repository."""
        f = tables.refs
        with self._house.database.read() as connection:
            found = self._known(connection, kind, name)
            query = select(f.c.kind, f.c.name, f.c.served).where(f.c.repository_id == found.id, f.c.served != "")
            return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(f.c.name))]

    def history(self, served: Served) -> list[Record]:
        """The approved revisions up to one, latest first."""
        r = tables.revisions
        query = select(r).where(
            r.c.repository_id == served.repository, r.c.id <= served.revision, r.c.state.in_(SERVED)
        )
        with self._house.database.read() as connection:
            return list(connection.execute(query.order_by(r.c.id.desc()).limit(1000)).all())

    def listed(self, kind: str, *, search: str = "", author: str = "", limit: int = 100) -> list[Record]:
        """Repositories of which something is served: (name, label, opened)."""
        o, r, f = tables.repositories, tables.revisions, tables.refs
        query = (
            select(o.c.name, r.c.label, r.c.opened)
            .join_from(o, f, (f.c.repository_id == o.c.id) & (f.c.name == "main") & (f.c.kind == "branch"))
            .join(r, (r.c.repository_id == o.c.id) & (r.c.label == f.c.served))
            .where(o.c.kind == kind, r.c.state.in_(SERVED))
        )
        if search:
            query = query.where(o.c.folded.contains(search.lower(), autoescape=True))
        if author:
            query = query.where(o.c.folded.startswith(f"{author.lower()}/", autoescape=True))
        with self._house.database.read() as connection:
            return list(connection.execute(query.order_by(o.c.folded).limit(limit)).all())

    # --- writing

    def create(self, kind: str, name: str, caller: Caller, *, upstream: str = "") -> tuple[str, bool]:
        """(name, whether it is new). Raises Refusal for an odd name, or where the caller may not."""
        if kind not in KINDS or not _NAME.match(name) or ".." in name or name.endswith(".git"):
            raise Refusal(No.INVALID, f"{name!r} cannot name a {kind}", hint="namespace/name: letters, digits, . _ -")
        if "/" in name and name.partition("/")[0].lower() in _RESERVED:
            raise Refusal(No.INVALID, f"{name.partition('/')[0]} cannot be a namespace", hint="it is an address here")
        if not upstream:
            caller.must(Act.PUBLISH, name.partition("/")[0])
        with self._house.database.write() as connection:
            found, new = self.ensure(connection, kind, name, upstream)
            return found.name, new

    def ensure(self, connection: Connection, kind: str, name: str, upstream: str) -> tuple[Record, bool]:
        """(a repository, whether it was made just now)."""
        self._house.database.lock(connection, Exclusive.REPOSITORY)
        found = self.find(connection, kind, name)
        new = found is None
        if new:
            values = {"kind": kind, "name": name, "folded": name.lower(), "upstream": upstream}
            connection.execute(insert(tables.repositories).values(**values, created=self._house.clock()))
            found = self.find(connection, kind, name)
        assert found is not None
        return found, new

    def writable(self, kind: str, name: str, caller: Caller) -> Record:
        """A hosted repository into which the caller may push. Raises Refusal."""
        with self._house.database.read() as connection:
            found = self._known(connection, kind, name)
        caller.must(Act.PUBLISH, found.name.partition("/")[0])
        if found.upstream:
            raise Refusal(
                No.FORBIDDEN, f"{found.name} is fetched from {found.upstream}", hint="push to a name of your own"
            )
        return found

    def tip(self, repository: int, branch: str) -> dict[str, Kept]:
        """The files that were pushed last, whether approved or not."""
        with self._house.database.read() as connection:
            return self._tip(connection, repository, branch)[1]

    def _tip(self, connection: Connection, repository: int, branch: str) -> tuple[str, dict[str, Kept]]:
        f, r = tables.refs, tables.revisions
        label = connection.scalar(
            select(f.c.tip).where(f.c.repository_id == repository, f.c.kind == "branch", f.c.name == branch)
        )
        number = connection.scalar(select(r.c.id).where(r.c.repository_id == repository, r.c.label == label))
        if number is None:
            return "", {}
        return str(label), {file.path: file for file in self._files(connection, number)}

    def commit(
        self,
        kind: str,
        name: str,
        branch: str,
        changes: Sequence[Change],
        caller: Caller,
        *,
        title: str,
        message: str = "",
        parent: str = "",
        base: str = "",
    ) -> tuple[str, int]:
        """(commit, case) of what was pushed. The same commit said twice is one.

        `base` is the branch that a new one starts from. Raises Refusal: not allowed, an odd path, a blob that never came,
        or a branch that has moved since `parent`.
        """
        found = self.writable(kind, name, caller)
        branch = checked_ref(branch)
        with self._house.database.write() as connection:
            self._house.database.lock(connection, Exclusive.CASE)
            before, files = self._tip(connection, found.id, branch)
            if not before and base:
                before, files = self._tip(connection, found.id, base)
            files = _changed(files, changes)
            label = _label(f"{found.name} {branch}", parent or before, files, title)
            r = tables.revisions
            same = connection.scalar(select(r.c.id).where(r.c.repository_id == found.id, r.c.label == label))
            if same is not None:
                return label, int(same)
            if parent and before and parent != before:
                raise Refusal(
                    No.CONFLICT, f"{branch} has moved to {before[:12]} since {parent[:12]}", hint="fetch and try again"
                )
            self._check_blobs(files)
            number = self._cases.open(
                connection, repository=found.id, label=label, branch=branch, requester=caller.name, parent=before,
                title=title[:500], message=message[:10_000], files=files.values(),
            )  # fmt: skip
            self.point(connection, found.id, "branch", branch, tip=label)
        self._house.submit(number, 1)
        return label, number

    def revision(self, kind: str, name: str, label: str) -> Record | None:
        """A revision by its label, whatever its state."""
        with self._house.database.read() as connection:
            values = {"kind": kind, "folded": name.lower(), "revision": label}
            found = connection.execute(_BY_COMMIT, values).one_or_none()
            return self._cases.row(connection, found.id) if found else None

    def tip_row(self, kind: str, name: str, branch: str) -> Record | None:
        """What was pushed last to a branch. Raises Refusal where there is no such repository."""
        f, r = tables.refs, tables.revisions
        with self._house.database.read() as connection:
            found = self._known(connection, kind, name)
            query = select(r.c.id).join(f, (f.c.repository_id == r.c.repository_id) & (f.c.tip == r.c.label))
            query = query.where(f.c.repository_id == found.id, f.c.kind == "branch", f.c.name == branch)
            number = connection.scalar(query)
            return self._cases.row(connection, number) if number is not None else None

    def next_version(self, kind: str, name: str) -> int:
        """The number after the highest branch `v<number>`. Raises Refusal where there is no such repository."""
        f = tables.refs
        with self._house.database.read() as connection:
            found = self._known(connection, kind, name)
            names = connection.scalars(select(f.c.name).where(f.c.repository_id == found.id, f.c.kind == "branch"))
            return max((int(one[1:]) for one in names if one[:1] == "v" and one[1:].isdigit()), default=0) + 1

    def next_request(self, repository: int) -> int:
        """The number of the next change that is proposed to a repository."""
        f = tables.refs
        query = select(func.count()).where(f.c.repository_id == repository, f.c.name.startswith("refs/pr/"))
        with self._house.database.read() as connection:
            return int(connection.scalar(query) or 0) + 1

    def _check_blobs(self, files: dict[str, Kept]) -> None:
        if len(files) > _MOST_FILES:
            raise Refusal(No.TOO_MUCH, f"more than {_MOST_FILES} files", hint="pack them into archives")
        for file in files.values():
            if self._house.blobs.size(file.sha256) != file.size:
                raise Refusal(No.INVALID, f"the bytes of {file.path} did not arrive", hint="upload them again")

    def point(self, connection: Connection, repository: int, kind: str, name: str, *, tip: str) -> None:
        """Let a branch or tag name a revision; it serves it once that is approved."""
        f = tables.refs
        where = (f.c.repository_id == repository, f.c.kind == kind, f.c.name == name)
        if not connection.execute(update(f).where(*where).values(tip=tip)).rowcount:
            served = tip if kind == "tag" else ""
            connection.execute(insert(f).values(repository_id=repository, kind=kind, name=name, tip=tip, served=served))
        elif kind == "tag":
            connection.execute(update(f).where(*where).values(served=tip))

    def add_ref(self, kind: str, name: str, caller: Caller, *, ref: str, at: str, tag: bool) -> None:
        """A new branch or tag at a revision. Raises Refusal where it exists, or there is no such revision."""
        found = self.writable(kind, name, caller)
        ref = checked_ref(ref)
        f, r = tables.refs, tables.revisions
        try:
            with self._house.database.write() as connection:
                label = at if _COMMIT.match(at) else self._tip(connection, found.id, short_ref(at))[0]
                row = connection.execute(
                    select(r).where(r.c.repository_id == found.id, r.c.label == label)
                ).one_or_none()
                if row is None:
                    raise Refusal(No.REVISION, f"{found.name} has no revision {at}", hint="push something first")
                served = label if tag or State(row.state) in SERVED else ""
                connection.execute(
                    insert(f).values(
                        repository_id=found.id, kind="tag" if tag else "branch", name=ref, tip=label, served=served
                    )
                )
        except IntegrityError:
            raise Refusal(No.CONFLICT, f"{ref} exists already", hint="choose another name") from None

    def drop_ref(self, kind: str, name: str, caller: Caller, *, ref: str, tag: bool) -> None:
        """Take a branch or tag away; revisions and decisions stay. Raises Refusal for `main` and what is not there."""
        found = self.writable(kind, name, caller)
        if ref == "main" and not tag:
            raise Refusal(No.FORBIDDEN, "main stays", hint="delete another branch")
        f = tables.refs
        where = (f.c.repository_id == found.id, f.c.kind == ("tag" if tag else "branch"), f.c.name == ref)
        with self._house.database.write() as connection:
            if not connection.execute(delete(f).where(*where)).rowcount:
                raise Refusal(No.REVISION, f"there is no {ref}", hint="check its name")

    def _known(self, connection: Connection, kind: str, name: str) -> Record:
        found = self.find(connection, kind, name)
        if found is None:
            raise Refusal(No.REPOSITORY, f"there is no {kind} {name} here", hint="check its name")
        return found


def _kept(row: Record) -> Kept:
    return Kept(path=row[0], size=row[1], sha256=row[2], oid=row[3], lfs=row[4])


def only_for(scopes: Sequence[str], case: int) -> str:
    """Why an approval is none for somebody."""
    return f"this revision is approved for {' and '.join(scopes)} alone (case {case})"


def is_commit(revision: str) -> bool:
    """Whether a revision is the name of a commit."""
    return _COMMIT.match(revision) is not None


def short_ref(revision: str) -> str:
    """A branch or tag without the part that git puts before it."""
    return revision.removeprefix("refs/heads/").removeprefix("refs/tags/")


def checked_ref(name: str) -> str:
    """A name for a branch or tag. Raises Refusal."""
    name = short_ref(name)
    if not _REF.match(name) or ".." in name or "//" in name or _COMMIT.match(name) or name.endswith("/"):
        raise Refusal(No.INVALID, f"{name!r} cannot name a branch or tag", hint="letters, digits, . _ - /")
    return name


def checked_path(path: str) -> str:
    """A path inside a repository. Raises Refusal for one that leads out of it, or that no file system keeps as it is."""
    parts = path.split("/")
    odd = any(part in {"", ".", ".."} or part.lower() == ".git" or len(part) > 255 for part in parts)
    if odd or len(path) > 1024 or "\\" in path or not path.isprintable():
        raise Refusal(
            No.INVALID, f"{path[:100]!r} cannot be a path", hint="relative, without .. and control characters"
        )
    return path


def _changed(files: dict[str, Kept], changes: Sequence[Change]) -> dict[str, Kept]:
    found = dict(files)
    for change in changes:
        if change.source:
            if change.source not in files:
                raise Refusal(No.ENTRY, f"there is no {change.source} to copy", hint="check its path")
            found[checked_path(change.path)] = msgspec.structs.replace(files[change.source], path=change.path)
        elif change.file is not None:
            found[checked_path(change.path)] = change.file
        elif change.path.endswith("/"):
            found = {path: file for path, file in found.items() if not path.startswith(change.path)}
        else:
            found.pop(change.path, None)
    _no_file_is_a_folder(found)
    return found


def _no_file_is_a_folder(files: dict[str, Kept]) -> None:
    folded: dict[str, str] = {}
    for path in files:
        if folded.setdefault(path.lower(), path) != path:
            raise Refusal(No.INVALID, f"{path} and {folded[path.lower()]} differ in case alone", hint="rename one")
        above, slash, _ = path.rpartition("/")
        while slash:
            if above in files:
                raise Refusal(No.INVALID, f"{above} is a file and a folder", hint="rename one")
            above, slash, _ = above.rpartition("/")


def _label(name: str, parent: str, files: dict[str, Kept], title: str) -> str:
    """The name of a commit: a digest of what it is, so that saying it again gives the same."""
    lines = [name, parent, title, *sorted((path, file.sha256) for path, file in files.items())]
    return hashlib.sha1(msgspec.json.encode(lines), usedforsecurity=False).hexdigest()
