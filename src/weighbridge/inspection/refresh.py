"""Knows how the advisories on this machine are brought up to date: from the network, from files, from a signed copy.

Source: the layout of OSV's public bucket (`ECOSYSTEM/all.zip`, `ECOSYSTEM/modified_id.csv`, `ECOSYSTEM/ID.json`).
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING, Final

from weighbridge.dependencies.advisories import Advisories, build
from weighbridge.dependencies.osv import ECOSYSTEMS
from weighbridge.schema import Limits, SourceError, Unavailable, UsageError
from weighbridge.source import Budget, FileBlob, Kind
from weighbridge.source.whole import write_whole
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.source.http import Session

MIRROR: Final = "https://osv-vulnerabilities.storage.googleapis.com"
_ONE: Final = 8 << 20
_ALL: Final = 2 << 30
_FEW: Final = 1000
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][\w.:-]{1,120}\Z")


def from_files(path: str, files: Sequence[str]) -> tuple[int, list[str]]:
    """(records, names of broken ones): lay the records of OSV archives, or of single JSON files, over what is there.

    Raises SourceError, UsageError.
    """
    for name in files:
        if not os.path.isfile(name):
            raise SourceError(f"{name}: no such file", hint="give the all.zip of an ecosystem")
        if not name.endswith((".zip", ".json")):
            raise UsageError(
                f"{name}: neither an archive of OSV nor a record", hint="give all.zip, or a record in JSON"
            )
    taken, broken = build(path, (record for name in files for record in _records(name)), base=True)
    if not taken:
        raise SourceError(f"{', '.join(files)}: no record of OSV in it", hint="give the all.zip of an ecosystem")
    return taken, broken


def _records(name: str) -> Iterator[tuple[str, bytes]]:
    blob = FileBlob(name)
    try:
        if name.endswith(".json"):
            yield name, blob.read(0, _ONE)
            return
        tree = ZipTree(blob, Budget(Limits(members=2_000_000)))
        for entry in tree.entries():
            if entry.kind is Kind.FILE and entry.name.endswith(".json"):
                member = tree.open(entry)
                yield entry.name, member.read(0, min(_ONE, entry.size))
    finally:
        blob.close()


def from_copy(path: str, copy: str) -> int:
    """Take a whole copy of the advisories, which the caller has verified; the number of records. Raises SourceError."""
    try:
        known = Advisories(copy)
    except Unavailable as error:
        raise SourceError(f"{copy}: {error.message}", hint="weighbridge audit --export writes such a copy") from error
    known.close()
    with open(copy, "rb") as file:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        write_whole(path, file.read())
    return sum(one.records for one in known.ages)


def export(path: str, copy: str) -> None:
    """Write a whole copy of the advisories. Raises Unavailable where there are none."""
    Advisories(path).close()
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base,
        closing(sqlite3.connect(f"{copy}.part")) as made,
    ):
        base.backup(made)
    os.replace(f"{copy}.part", copy)


def from_network(path: str, session: Session, mirror: str = MIRROR) -> Iterator[tuple[str, int]]:
    """(ecosystem, records taken) for each ecosystem: what changed since the last time, or everything. Raises SourceError."""
    for name, ecosystem in ECOSYSTEMS.items():
        since = _newest(path, ecosystem)
        changed = _changed(session, f"{mirror}/{name}/modified_id.csv", since) if since else None
        if changed is None:
            with tempfile.TemporaryDirectory() as folder:
                archive = os.path.join(folder, "all.zip")
                session.download(f"{mirror}/{name}/all.zip", archive, _ALL)
                yield ecosystem, build(path, _records(archive), base=True)[0]
        elif changed:
            records = ((one, session.document(f"{mirror}/{name}/{one}.json")[0]) for one in changed)
            yield ecosystem, build(path, records, base=True)[0]
        else:
            yield ecosystem, 0


def _newest(path: str, ecosystem: str) -> str:
    try:
        base = Advisories(path)
    except Unavailable:
        return ""
    base.close()
    return next((one.newest for one in base.ages if one.ecosystem == ecosystem), "")


def _changed(session: Session, address: str, since: str) -> list[str] | None:
    """The records that changed after a time, newest first; None where they are so many that the whole is less work."""
    body, _ = session.document(address)
    found: list[str] = []
    for line in body.decode("utf-8", "replace").splitlines():
        modified, _, identifier = line.strip().partition(",")
        if modified <= since:
            break
        if _IDENTIFIER.match(identifier):
            found.append(identifier)
        if len(found) > _FEW:
            return None
    return found
