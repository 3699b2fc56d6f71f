"""Knows how a revision comes from another hub: asked for by name, fetched once, under the digests that hub states."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from weighbridge.provenance.lock import git_blob
from weighbridge.registry.records import tables
from weighbridge.registry.services.cases import Cases, Kept
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Repositories, checked_path, is_commit, short_ref
from weighbridge.registry.services.states import State, told
from weighbridge.schema import SourceError, VerificationFailed, WeighbridgeError
from weighbridge.source.http import Session, origin
from weighbridge.source.hub import HubTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

_POINTER: Final = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


class Mirrors:
    """What other hubs have."""

    def __init__(self, house: House, cases: Cases, repositories: Repositories) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories

    def want(self, kind: str, name: str, revision: str, caller: Caller) -> Refusal | None:
        """Ask for a revision that is not here: why it cannot be handed out yet, or nothing where no upstream has it.

        A branch that is served already is looked at again after a while, so that its next commit is inspected.
        """
        hub = self._house.terms.upstreams.hub
        if not hub or self._house.terms.is_internal(name):
            return None
        with self._house.database.read() as connection:
            found = self._repositories.find(connection, kind, name)
            if found is not None and not found.upstream:
                return None
            recent = found is not None and found.checked > self._house.clock() - self._house.terms.refresh_seconds
            if found is not None and is_commit(revision):
                recent = bool(self._case(found.id, revision))
        if recent:
            return None
        try:
            tree = self._tree(kind, name, revision)
        except SourceError as error:
            if "answers 404" in error.message or "answers 401" in error.message or "wants a token" in error.message:
                why = No.REPOSITORY if found is None else No.REVISION
                return Refusal(why, f"neither this registry nor its upstream has {name} at {revision}")
            raise Refusal(No.LATER, f"the upstream cannot be asked: {error.message}", hint=error.hint) from error
        return self._opened(kind, tree, revision, caller)

    def _opened(self, kind: str, tree: HubTree, revision: str, caller: Caller) -> Refusal:
        hub = self._house.terms.upstreams.hub
        # The hub's own spelling, so that two spellings are one repository.
        name, _ = self._repositories.create(kind, tree.answers_to, caller, upstream=hub)
        branch = "" if is_commit(revision) else short_ref(revision)
        with self._house.database.write() as connection:
            found = self._repositories.find(connection, kind, name)
            assert found is not None
            connection.execute(
                update(tables.repositories)
                .where(tables.repositories.c.id == found.id)
                .values(checked=self._house.clock())
            )
            number = self._cases.open(
                connection, repository=found.id, label=tree.commit, branch=branch, requester=caller.name,
                title=f"{branch or revision[:12]} of {name} at {origin(hub)}",
            )  # fmt: skip
            if branch:
                self._repositories.point(connection, found.id, "branch", branch, tip=tree.commit)
            row = self._cases.row(connection, number)
            if branch and row.branch != branch and not row.branch:
                connection.execute(
                    update(tables.revisions).where(tables.revisions.c.id == number).values(branch=branch)
                )
        self._house.submit(number, row.round)
        return Refusal(No.REVISION, told(State(row.state), number, row.because), case=number)

    def _case(self, repository: int, label: str) -> int:
        r = tables.revisions
        with self._house.database.read() as connection:
            query = select(r.c.id).where(r.c.repository_id == repository, r.c.label == label)
            return int(connection.scalar(query) or 0)

    def _session(self) -> Session:
        hub = self._house.terms.upstreams.hub
        token = os.environ.get("WEIGHBRIDGE_UPSTREAM_TOKEN", "")
        tokens = {origin(hub): {"Authorization": f"Bearer {token}"}} if token else {}
        return Session(tokens=tokens, trusted=hub)

    def _tree(self, kind: str, name: str, revision: str) -> HubTree:
        return HubTree(f"hf://{kind}s/{name}@{revision}", self._session(), self._house.terms.upstreams.hub)

    def fetch(self, row: Record) -> list[Kept]:
        """Bring the bytes of a revision in. What came before a crash is not fetched again.

        Raises SourceError, and VerificationFailed where bytes are not what the hub states.
        """
        session = self._session()
        tree = HubTree(f"hf://{row.kind}s/{row.name}@{row.label}", session, row.upstream)
        entries = list(tree.entries())
        stated = tree.digests()
        kept = []
        for entry in entries:
            path = _same_path(entry.name)
            digest = stated.get(entry.name, "")
            sha256 = digest.removeprefix("sha256:") if digest.startswith("sha256:") else ""
            if sha256 and self._house.blobs.size(sha256) == entry.size:
                kept.append(large(path, entry.size, sha256))
                continue
            if entry.size > self._house.terms.largest_file:
                raise SourceError(f"{path}: {entry.size} bytes are more than is taken in", hint="raise largest_file")
            body = _Git(session.stream(tree.address_of(entry.name), entry.size), entry.size)
            found, size = self._house.blobs.put(body, sha256=sha256, size=entry.size)
            if sha256:
                kept.append(large(path, size, found))
                continue
            if digest != f"git-sha1:{body.oid}":
                raise VerificationFailed(f"{path} is not the file that the hub lists", hint="ask for it again")
            kept.append(Kept(path=path, size=size, sha256=found, oid=body.oid, lfs=False))
        return kept


class _Git:
    """Passes bytes on, and knows the git object that they are."""

    def __init__(self, pieces: Iterable[bytes], size: int) -> None:
        self._pieces = pieces
        self._hash = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            yield piece

    @property
    def oid(self) -> str:
        """The name of the object."""
        return self._hash.hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git keeps of a large file. Source: git-lfs specification, The Pointer."""
    return _POINTER.format(sha256, size).encode()


def large(path: str, size: int, sha256: str) -> Kept:
    """A file as clients treat large ones."""
    return Kept(path=path, size=size, sha256=sha256, oid=git_blob(pointer(sha256, size)), lfs=True)


def _same_path(path: str) -> str:
    try:
        return checked_path(path)
    except WeighbridgeError as error:
        raise SourceError(f"the hub lists an odd path: {error.message}", hint="do not trust this hub") from error
