"""Knows artifacts of OCI registries: asked for by tag or digest, fetched whole, and handed out as the manifest that was approved.

A revision is a manifest, its label the manifest's digest, its branches the tags that lead to it. Each layer is a file under its
title. An index of several manifests is not one artifact: each of them is asked for by its digest.
Sources: OCI Distribution Specification 1.1, OCI Image Specification 1.1.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import exists, select, update

from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.cases import Cases, Kept
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Repositories, checked_path
from weighbridge.registry.services.states import MOVING, SERVED, State, told
from weighbridge.schema import SourceError, VerificationFailed, WeighbridgeError
from weighbridge.source.http import Session
from weighbridge.source.oci import OciRepository, is_index, json_of, part_of, parts_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.repositories import Served

KIND: Final = "oci"
MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")
_PLAIN: Final = "application/vnd.oci.image.manifest.v1+json"
_LARGEST: Final = 4 << 20  # of a manifest: OCI Distribution Specification, "Pushing Manifests"
_LONGEST: Final = 200
_PARTS: Final = 1000


class Manifest(Struct, frozen=True, kw_only=True):
    """A manifest that may be handed out."""

    digest: str
    media: str
    body: bytes


class Images:
    """Artifacts of one OCI registry upstream."""

    def __init__(self, house: House, cases: Cases, repositories: Repositories) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories

    def find(self, name: str, reference: str, caller: Caller) -> Served | Refusal:
        """What is served under a tag or digest, or why nothing is yet; asked for where nobody has.

        Raises Refusal for a name that can be none, and where the upstream does not have it.
        """
        _check(name, reference)
        try:
            served = self._repositories.served(KIND, name, reference, caller.scope)
        except Refusal as refusal:
            if refusal.case:
                return refusal
            caller.must(Act.REQUEST)
            return self._want(name, reference, caller) or refusal
        if not _DIGEST.match(reference):
            # A tag may have moved upstream; what is served stays so until the next one is approved, or while nobody answers.
            with contextlib.suppress(Refusal):
                self._want(name, reference, caller)
        return served

    def manifest(self, served: Served) -> Manifest:
        """The manifest of what is served."""
        with self._house.database.read() as connection:
            row = self._cases.row(connection, served.revision)
        body = b"".join(self._house.blobs.read(row.facts["manifest"]))
        return Manifest(digest=served.label, media=row.facts["media"], body=body)

    def holds(self, name: str, digest: str) -> bool:
        """Whether a blob belongs to a revision of a repository that is served."""
        r, f, o = tables.revisions, tables.files, tables.repositories
        query = (
            select(f.c.sha256)
            .join_from(f, r)
            .join(o)
            .where(
                o.c.kind == KIND,
                o.c.folded == name,
                f.c.sha256 == digest.removeprefix("sha256:"),
                r.c.state.in_(SERVED),
            )
        )
        with self._house.database.read() as connection:
            return bool(connection.scalar(select(exists(query))))

    def is_moving(self, case: int) -> bool:
        """Whether a case is on its way."""
        with self._house.database.read() as connection:
            return self._cases.row(connection, case).state in MOVING

    def _upstream(self, name: str) -> str:
        upstream = self._house.terms.upstreams.oci.rstrip("/")
        return "" if not upstream or self._house.terms.is_internal(name) else f"{upstream}/v2/{name}"

    def _want(self, name: str, reference: str, caller: Caller) -> Refusal | None:
        """Ask for what the upstream has under a tag or digest: why it is not handed out yet, or nothing where it was asked just now."""
        base = self._upstream(name)
        if not base:
            return None
        with self._house.database.read() as connection:
            found = self._repositories.find(connection, KIND, name)
            known = found is not None and self._is_known(connection, found.id, reference)
        if found and known and found.checked > self._house.clock() - self._house.terms.refresh_seconds:
            return None
        if found is not None:
            self._asked(found.id)
        try:
            body = OciRepository(base, self._session()).manifest(reference)
        except SourceError as error:
            if "answers 404" in error.message:
                return Refusal(No.REVISION, f"neither this registry nor its upstream has {name} at {reference}")
            raise Refusal(No.LATER, f"the upstream cannot be asked: {error.message}", hint=error.hint) from error
        return self._opened(name, reference, body, caller)

    @staticmethod
    def _is_known(connection: Connection, repository: int, reference: str) -> bool:
        """Whether a tag led somewhere before."""
        f = tables.refs
        where = (f.c.repository_id == repository, f.c.kind == "branch", f.c.name == reference)
        return bool(connection.scalar(select(exists(select(f.c.name).where(*where)))))

    def _asked(self, repository: int) -> None:
        """Remember when the upstream was asked, before it answers: one that is away is not asked for every download."""
        o = tables.repositories
        with self._house.database.write() as connection:
            connection.execute(update(o).where(o.c.id == repository).values(checked=self._house.clock()))

    def _session(self) -> Session:
        return Session(trusted=self._house.terms.upstreams.oci)

    def _opened(self, name: str, reference: str, body: bytes, caller: Caller) -> Refusal:
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if len(body) > _LARGEST or (_DIGEST.match(reference) and digest != reference):
            raise Refusal(No.LATER, "the upstream answers with another manifest", hint="tell whoever runs it")
        table = json_of(body)
        if is_index(table):
            raise Refusal(
                No.INVALID,
                f"{name} at {reference} is an index of several artifacts",
                hint="ask for one of them by its digest",
            )
        stored, _ = self._house.blobs.put([body])
        tag = "" if _DIGEST.match(reference) else reference
        facts = {"manifest": stored, "media": str(table.get("mediaType") or _PLAIN)}
        with self._house.database.write() as connection:
            found, _ = self._repositories.ensure(connection, KIND, name, self._house.terms.upstreams.oci)
            number = self._cases.open(
                connection, repository=found.id, label=digest, branch=tag, requester=caller.name,
                title=f"{tag or digest[:19]} of {name}", facts=facts,
            )  # fmt: skip
            if tag:
                self._repositories.point(connection, found.id, "branch", tag, tip=digest)
            row = self._cases.row(connection, number)
            if tag and not row.branch:
                connection.execute(update(tables.revisions).where(tables.revisions.c.id == number).values(branch=tag))
        self._house.submit(number, row.round)
        return Refusal(No.REVISION, told(State(row.state), number, row.because), case=number)

    def fetch(self, row: Record) -> list[Kept]:
        """Bring the layers of a manifest in, under the digests that it states.

        Raises SourceError, and VerificationFailed where bytes are others or the manifest cannot be one artifact.
        """
        body = b"".join(self._house.blobs.read(row.facts["manifest"]))
        upstream = OciRepository(self._upstream(row.name), self._session())
        # The question signs the session in; that the answer is the same is what the digest says.
        if upstream.manifest(row.label) != body:
            raise VerificationFailed(
                "the upstream answers with another manifest under this digest", hint="tell whoever runs it"
            )
        tables_ = parts_of(json_of(body))
        if len(tables_) > _PARTS:
            raise VerificationFailed(f"the manifest names {len(tables_)} layers", hint=f"{_PARTS} are taken in")
        kept = {MANIFEST: Kept(path=MANIFEST, size=len(body), sha256=row.facts["manifest"], oid="", lfs=True)}
        for number, table in enumerate(tables_):
            part = part_of(table, number)
            if part is None:
                raise VerificationFailed("a layer has no proper digest and size", hint="ask whoever published it")
            path, sha256 = _path(part.name), part.digest.removeprefix("sha256:")
            if path in kept and kept[path].sha256 != sha256:
                raise VerificationFailed(f"two layers are called {path}", hint="ask whoever published it")
            if part.size > self._house.terms.largest_file:
                raise SourceError(f"{path}: {part.size} bytes are more than is taken in", hint="raise largest_file")
            if self._house.blobs.size(sha256) != part.size:
                self._house.blobs.put(upstream.blob(part.digest, part.size), sha256=sha256, size=part.size)
            kept[path] = Kept(path=path, size=part.size, sha256=sha256, oid="", lfs=True)
        return list(kept.values())


def _check(name: str, reference: str) -> None:
    if len(name) > _LONGEST or not _NAME.match(name):
        raise Refusal(No.INVALID, f"{name[:60]!r} can be no repository", hint="lower-case letters, digits, . _ - and /")
    if not (_TAG.match(reference) or _DIGEST.match(reference)):
        raise Refusal(No.INVALID, f"{reference[:80]!r} is no tag and no digest", hint="name:tag or name@sha256:…")


def _path(name: str) -> str:
    try:
        return checked_path(name)
    except WeighbridgeError as error:
        raise VerificationFailed(
            f"a layer has an odd title: {error.message}", hint="ask whoever published it"
        ) from error
