"""Knows packages of other indexes: what they have, which files may be handed out, and why the others may not.

Sources: PEP 503, 592, 658, 691, 700, 740 and 792 (simple indexes), the registry API of npm. A file is asked for, inspected and
decided on its own; its revision is `version/file`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import zipfile
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select, update

from weighbridge.dependencies.wanted import is_among
from weighbridge.provenance import attestation
from weighbridge.registry.records import tables
from weighbridge.registry.services.cases import Cases, Kept
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Repositories, only_for
from weighbridge.registry.services.states import MOVING, SERVED, State, told
from weighbridge.schema import SourceError, VerificationFailed
from weighbridge.source.http import Session
from weighbridge.source.index import Published, node_project, node_release, python_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

_PYTHON: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\Z")
_NODE: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]{0,98}/)?[a-z0-9~-][a-z0-9._~-]{0,98}\Z")
_METADATA: Final = 1 << 20
_PROVENANCE: Final = 4 << 20
_KNOWN: Final = 512


class Offer(Struct, frozen=True, kw_only=True):
    """A file of an index as clients may see it. `denied` says why it is not handed out; `state` is empty before anybody asked."""

    file: Published
    state: str = ""
    denied: str = ""
    case: int = 0
    sha256: str = ""
    metadata: str = ""
    provenance: str = ""


class Project(Struct, frozen=True, kw_only=True):
    """A package with its files. `document` is what an npm registry says of it."""

    name: str
    status: str
    offers: tuple[Offer, ...]
    document: dict[str, Any] = {}


class Packages:
    """The packages of one registry: `pypi` and `npm`."""

    def __init__(self, house: House, cases: Cases, repositories: Repositories) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories
        self._known: dict[tuple[str, str], tuple[float, str, tuple[Published, ...], dict[str, Any]]] = {}
        self._lock = Lock()

    def project(self, kind: str, name: str, scope: str = "") -> Project:
        """What clients of an environment may see of a package. Raises Refusal where nobody has it, or its name is the organisation's own."""
        name = normal(kind, name)
        if self._house.terms.is_internal(name):
            raise Refusal(
                No.REPOSITORY, f"{name} is an internal name and is never fetched from outside",
                hint="install it from the index of your own",
            )  # fmt: skip
        status, files, document = self._listing(kind, name)
        cases = self._rows(kind, name)
        offers = tuple(self._offer(one, cases.get(label_of(one)), scope) for one in files)
        return Project(name=name, status=status, offers=offers, document=document)

    def _listing(self, kind: str, name: str) -> tuple[str, tuple[Published, ...], dict[str, Any]]:
        now = time.monotonic()
        with self._lock:
            known = self._known.get((kind, name))
        if known and known[0] > now:
            return known[1:]
        index = self._index(kind)
        session = Session(trusted=index)
        try:
            if kind == "pypi":
                status, files = python_project(name, session, index)
                document: dict[str, Any] = {}
            else:
                status, document = "active", node_project(name, session, index)
                files = tuple(_node_files(document, name))
        except SourceError as error:
            if " 404 " in f"{error.message} ":
                raise Refusal(No.REPOSITORY, f"the index does not have {name}", hint="check the name") from error
            raise Refusal(No.LATER, f"the index cannot be asked: {error.message}", hint=error.hint) from error
        with self._lock:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[kind, name] = (now + self._house.terms.refresh_seconds, status, files, document)
        return status, files, document

    def _index(self, kind: str) -> str:
        index = self._house.terms.upstreams.pypi if kind == "pypi" else self._house.terms.upstreams.npm
        if not index:
            raise Refusal(No.REPOSITORY, f"this registry asks no {kind} index", hint="set it in [registry.upstreams]")
        return index

    def _rows(self, kind: str, name: str) -> dict[str, Record]:
        r, o = tables.revisions, tables.repositories
        query = (
            select(r.c.id, r.c.label, r.c.state, r.c.because, r.c.facts, r.c.scopes)
            .join_from(r, o)
            .where(o.c.kind == kind, o.c.folded == name)
        )
        with self._house.database.read() as connection:
            return {row.label: row for row in connection.execute(query)}

    def _offer(self, one: Published, row: Record | None, scope: str) -> Offer:
        if row is None:
            return Offer(file=one, denied=self._too_young(one))
        state = State(row.state)
        facts = row.facts
        if state in SERVED and row.scopes and scope not in row.scopes:
            return Offer(file=one, case=row.id, denied=only_for(row.scopes, row.id))
        if state in SERVED:
            return Offer(
                file=one, state=state, case=row.id, sha256=facts.get("sha256", ""), metadata=facts.get("metadata", ""),
                provenance=facts.get("attested", ""),
            )  # fmt: skip
        denied = "" if state in MOVING else told(state, row.id, row.because)
        return Offer(file=one, state=state, case=row.id, denied=denied)

    def _too_young(self, one: Published) -> str:
        days = self._house.terms.cooldown_days
        if not days:
            return ""
        try:
            released = datetime.fromisoformat(one.released)
        except ValueError:
            return f"the index does not say when it was released, and releases wait {days:g} days"
        if released.tzinfo is None:
            released = released.replace(tzinfo=UTC)
        ends = released + timedelta(days=days)
        return f"released {one.released[:10]}, and releases wait {days:g} days" if ends > self._house.now() else ""

    def want(self, kind: str, name: str, version: str, file: str, caller: Caller) -> tuple[Offer, int]:
        """(what is known of a file, its case), asked for where nobody has. Raises Refusal where there is no such file."""
        project = self.project(kind, name, caller.scope)
        offer = next((one for one in project.offers if (one.file.version, one.file.file) == (version, file)), None)
        if offer is None:
            raise Refusal(No.ENTRY, f"{project.name} {version} has no file {file}", hint="check its name")
        if offer.case or offer.denied:
            return offer, offer.case
        one = offer.file
        facts = {"address": one.address, "digest": one.digest, "provenance": one.provenance}
        with self._house.database.write() as connection:
            found, _ = self._repositories.ensure(connection, kind, project.name, self._index(kind))
            number = self._cases.open(
                connection, repository=found.id, label=label_of(one), branch="", requester=caller.name,
                title=f"{project.name} {version}: {file}", facts=facts,
            )  # fmt: skip
        self._house.submit(number, 1)
        return msgspec.structs.replace(offer, case=number, state=State.REQUESTED.value), number

    def fetch(self, row: Record) -> list[Kept]:
        """Bring the file of a case in, under the digest that its index stated when it was asked for.

        Raises SourceError, and VerificationFailed where the bytes are others.
        """
        facts = dict(row.facts)
        index = self._index(row.kind)
        body = _Hashed(Session(trusted=index).stream(facts["address"], self._house.terms.largest_file))
        kind, _, wanted = facts["digest"].replace("-", ":", 1).partition(":")
        if kind not in {"sha256", "sha512"}:
            raise VerificationFailed("the index names no digest for it", hint="fetch the file yourself, and verify it")
        sha256, size = self._house.blobs.put(body, sha256=wanted if kind == "sha256" else "")
        if kind == "sha512" and base64.b64encode(body.sha512.digest()).decode() != wanted:
            raise VerificationFailed(
                "the bytes are not what the index announced", hint="try again; if it stays, tell the index"
            )
        name = row.label.partition("/")[2]
        facts |= {"sha256": sha256}
        if name.endswith(".whl"):
            facts |= self._metadata(sha256)
        if facts.get("provenance"):
            facts |= self._attested(facts["provenance"], index, sha256)
        with self._house.database.write() as connection:
            connection.execute(update(tables.revisions).where(tables.revisions.c.id == row.id).values(facts=facts))
        return [Kept(path=name, size=size, sha256=sha256, oid="", lfs=True)]

    def _metadata(self, sha256: str) -> dict[str, str]:
        """The METADATA of a wheel as a blob of its own, for installers that resolve before they fetch (PEP 658)."""
        path = self._house.blobs.path(sha256)
        if not path:
            return {}
        try:
            with zipfile.ZipFile(path) as archive:
                names = [one for one in archive.infolist() if one.filename.endswith(".dist-info/METADATA")]
                if len(names) != 1 or names[0].file_size > _METADATA:
                    return {}
                with archive.open(names[0]) as file:
                    data = file.read(_METADATA + 1)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            # What is wrong with the archive is for the inspection to say.
            return {}
        return {"metadata": self._house.blobs.put([data])[0]} if len(data) <= _METADATA else {}

    def _attested(self, address: str, index: str, sha256: str) -> dict[str, str]:
        """What the index has of attestations of a file, as a blob of its own (PEP 740).

        It is handed on only where it is about these very bytes; who signed it is for clients, and for the audit, to ask.
        Raises VerificationFailed where it is about others.
        """
        body = b"".join(Session(trusted=index).stream(address, _PROVENANCE))
        if not all(sha256 in about for about in attestation.claimed(body)):
            raise VerificationFailed(
                "the attestations of the index are about other bytes", hint="tell the index, or take another release"
            )
        return {"attested": self._house.blobs.put([body])[0]}

    def beside(self, row: Record, folder: str) -> list[str]:
        """The attestations of a package in a folder, where policy wants them; what the audit has to be told of that."""
        attested = row.facts.get("attested", "") if row.kind == "pypi" else ""
        if not attested or not is_among(row.name, self._house.settings.dependencies.attested):
            return []
        place = os.path.join(folder, "attestations")
        os.mkdir(place)
        with open(os.path.join(place, "package.provenance"), "wb") as file:
            file.writelines(self._house.blobs.read(attested))
        return ["--attestations", "attestations"]

    def listing(self, row: Record, folder: str) -> str:
        """A list with this one package in a folder, for the audit of names and advisories; the name of the list."""
        version = row.label.partition("/")[0]
        if row.kind == "pypi":
            name = "requirements.txt"
            text = f"{row.name}=={version} --hash=sha256:{row.facts.get('sha256', '')}\n"
        else:
            name = "package.json"
            text = msgspec.json.encode({"name": "one-package", "dependencies": {row.name: version}}).decode()
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
        return name


class _Hashed:
    """Passes bytes on and hashes them as npm does."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self.sha512 = pieces, hashlib.sha512()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.sha512.update(piece)
            yield piece


def _node_files(document: dict[str, Any], name: str) -> Iterator[Published]:
    versions = document.get("versions")
    for version in versions if isinstance(versions, dict) else ():
        try:
            yield node_release(document, name, str(version))
        except SourceError:
            continue


def label_of(one: Published) -> str:
    """The name of a file's revision."""
    return f"{one.version}/{one.file}"


def normal(kind: str, name: str) -> str:
    """A package name as its index compares it. Raises Refusal for what can be none. Source: PEP 503."""
    if kind == "pypi" and _PYTHON.match(name):
        return re.sub(r"[-_.]+", "-", name).lower()
    if kind == "npm" and _NODE.match(name):
        return name
    raise Refusal(No.INVALID, f"{name[:60]!r} can be no package", hint="check the name")
