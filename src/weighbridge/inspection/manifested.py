"""Knows signed manifests of data sets: what they hold, and what of a data set is no longer, or not yet, as one says.

A manifest names every file with its digest, rows and columns. Held against it, files that are the same need no second look; one
that only grew begins with the bytes that were signed; anything else was changed since (DST-015).
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.datasets.table import is_rows, open_file
from weighbridge.provenance import attestation, merkle
from weighbridge.provenance.digest import FileDigest, Members, digests, members
from weighbridge.provenance.predicates import DATASET, DatasetManifest, Shard
from weighbridge.rules.finding import finding
from weighbridge.schema import Location, Severity, VerificationFailed, WeighbridgeError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from weighbridge.provenance.bundle import Trust
    from weighbridge.schema import Finding

_PIECE: Final = 8 << 20


class Since(Struct, frozen=True, kw_only=True):
    """A data set against a manifest: names of files that are the same, only grew, are others now, are new, are gone."""

    by: str
    same: tuple[str, ...]
    grown: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def to_inspect(self) -> tuple[str, ...]:
        """What the manifest does not vouch for."""
        return (*self.grown, *self.changed, *self.added)

    def told(self) -> str:
        """All of it in one line."""
        return (
            f"{plural(len(self.same), 'file')} as in the manifest by {self.by}, {len(self.grown)} grown, {len(self.changed)} changed, "
            f"{len(self.added)} new, {len(self.missing)} gone"
        )


def statement(path: str, tool: str, now: datetime) -> tuple[bytes, DatasetManifest]:
    """The statement about a file or folder of data, ready to be signed. Raises SourceError, VerificationFailed for links."""
    found = digests(_members(path))
    shards = tuple(_shard(path, one) for one in found)
    made = DatasetManifest(
        tool=tool, made_at=f"{now:%Y-%m-%dT%H:%M:%SZ}", root=_root(shards), rows=sum(max(0, one.rows) for one in shards), shards=shards
    )  # fmt: skip
    return attestation.statement(found, DATASET, msgspec.to_builtins(made)), made


def _members(path: str) -> Members:
    """The files of a data set; those that hold the history of a repository are none of it."""
    found = members(path)
    return Members(found.root, tuple(pair for pair in found.files if not pair[0].startswith(".git/")))


def _root(shards: tuple[Shard, ...]) -> str:
    return merkle.root([merkle.leaf(f"{one.name}\0{one.sha256}".encode()) for one in shards]).hex()


def _shard(path: str, one: FileDigest) -> Shard:
    place = os.path.join(path, one.name) if os.path.isdir(path) else path
    rows, columns = -1, tuple[str, ...]()
    if is_rows(place):
        try:
            rows, columns = _counted(place)
        except WeighbridgeError:
            rows = -1
    return Shard(name=one.name, size=one.size, sha256=one.sha256, rows=rows, columns=columns)


def _counted(path: str) -> tuple[int, tuple[str, ...]]:
    count, columns = 0, tuple[str, ...]()
    for batch in open_file(path).batches():
        count += len(batch)
        columns = columns or tuple(batch.columns)
    return count, columns


def since(path: str, manifest: str, trust: Trust, now: datetime) -> Since:
    """Hold a data set against a manifest. Raises VerificationFailed where that is not authentic, or does not agree with itself."""
    stated = [one for one in attestation.read(manifest, trust, now) if isinstance(one.predicate, DatasetManifest)]
    if not stated:
        raise VerificationFailed(
            f"{manifest} is no manifest of a data set", hint="weighbridge dataset --manifest writes one"
        )
    said = stated[0].predicate
    assert isinstance(said, DatasetManifest)
    signed = {name: digest.get("sha256", "") for name, digest in stated[0].subjects}
    if _root(said.shards) != said.root or {one.name: one.sha256 for one in said.shards} != signed:
        raise VerificationFailed(f"{manifest} does not agree with itself", hint="ask who made it", rule="PRV-008")
    known = {one.name: one for one in said.shards}
    groups: dict[str, list[str]] = {"same": [], "grown": [], "changed": [], "added": []}
    present = set[str]()
    for one in digests(_members(path)):
        present.add(one.name)
        groups[_kind(path, one, known.get(one.name))].append(one.name)
    gone = tuple(name for name in known if name not in present)
    return Since(by=stated[0].by, missing=gone, **{name: tuple(found) for name, found in groups.items()})


def _kind(path: str, now: FileDigest, before: Shard | None) -> str:
    if before is None:
        return "added"
    if now.sha256 == before.sha256:
        return "same"
    place = os.path.join(path, now.name) if os.path.isdir(path) else path
    return "grown" if 0 < before.size < now.size and _begins(place, before.size) == before.sha256 else "changed"


def _begins(path: str, size: int) -> str:
    """The SHA-256 of the first bytes of a file."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        while size and (piece := file.read(min(_PIECE, size))):
            made.update(piece)
            size -= len(piece)
    return made.hexdigest()


def findings(path: str, found: Since) -> Iterator[Finding]:
    """What is not as the manifest says."""
    for name in found.changed:
        place = os.path.join(path, name) if os.path.isdir(path) else path
        yield finding("DST-015", Location(path=(place,)), f"{name} is not what {found.by} signed")
    if found.missing:
        names = ", ".join(found.missing[:5]) + (f" and {len(found.missing) - 5} more" if len(found.missing) > 5 else "")
        yield finding(
            "DST-015", Location(path=(path,)), f"{plural(len(found.missing), 'file')} of the manifest are not here: {names}",
            severity=Severity.LOW,
        )  # fmt: skip
