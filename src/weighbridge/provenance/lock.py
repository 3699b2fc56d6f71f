"""Knows `weighbridge.lock`: each model and dataset that a project uses, with its owner, commit and the digest of each file.

A digest is `sha256:…`, or `git-sha1:…` for the small files of a hub, which names them by their git object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.provenance.digest import digests, members
from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.references import Reference
    from weighbridge.source.hub import HubTree

NAME: Final = "weighbridge.lock"
VERSION: Final = 1
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_SHOWN: Final = 3


class Locked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact: an address of a hub without its revision, or a path relative to the lock file."""

    source: str
    revision: str = ""
    owner: str = ""
    files: dict[str, str]


class Lock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file, sorted, so that a change is a small difference."""

    version: int
    artifacts: tuple[Locked, ...]

    def find(self, source: str) -> Locked | None:
        """The entry of an artifact."""
        return next((entry for entry in self.artifacts if entry.source == source), None)


class Drift(Struct, frozen=True, kw_only=True):
    """Something that is no longer as it was locked. `bad` is false for what is only worth knowing."""

    source: str
    what: str
    bad: bool = True


def load(path: str) -> Lock:
    """A lock file. Raises UsageError where there is none or it is broken."""
    try:
        with open(path, "rb") as file:
            found = msgspec.json.decode(file.read(), type=Lock)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", hint="weighbridge lock writes it") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="write it again with weighbridge lock") from error
    if found.version != VERSION:
        raise UsageError(f"{path} is of version {found.version}", hint="write it again with weighbridge lock")
    return found


def dump(entries: Iterable[Locked]) -> bytes:
    """The text of a lock file."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.source))
    plain = [msgspec.structs.replace(entry, files=dict(sorted(entry.files.items()))) for entry in ordered]
    return msgspec.json.format(msgspec.json.encode(Lock(version=VERSION, artifacts=tuple(plain))), indent=1) + b"\n"


def lock_hub(source: str, tree: HubTree) -> Locked:
    """An entry for a repository at the commit that a tree was opened at."""
    return Locked(source=source, revision=tree.commit, owner=tree.owner, files=tree.digests())


def lock_folder(source: str, path: str, cache: DigestCache | None = None) -> Locked:
    """An entry for files on this machine. Raises SourceError, VerificationFailed."""
    found = digests(members(path), cache=cache)
    return Locked(source=source, files={one.name: f"sha256:{one.sha256}" for one in found})


def unlocked(lock: Lock, found: Iterable[Reference]) -> Iterator[Drift]:
    """References of the code that the lock does not hold, or that name another commit."""
    told: set[tuple[str, str]] = set()
    for reference in found:
        entry = lock.find(reference.address)
        where = f"{reference.file}{f', line {reference.line}' if reference.line else ''}"
        if entry is None:
            what = f"is used in {where} and is not in the lock"
        elif _COMMIT.match(reference.revision) and reference.revision != entry.revision:
            what = f"is used in {where} at {reference.revision[:12]}, and locked at {entry.revision[:12]}"
        else:
            continue
        if (reference.address, what) not in told:
            told.add((reference.address, what))
            yield Drift(source=reference.address, what=what)


def moved(entry: Locked, open_hub: Callable[[str], HubTree]) -> Iterator[Drift]:
    """What changed upstream. `open_hub` opens an address with its revision; it raises SourceError where it cannot."""
    if not _COMMIT.match(entry.revision):
        yield Drift(source=entry.source, what=f"is locked at {entry.revision or 'no revision'}, which is no commit")
        return
    try:
        then = open_hub(f"{entry.source}@{entry.revision}")
    except SourceError as error:
        yield Drift(source=entry.source, what=f"cannot be fetched at the locked commit: {error.message}")
        return
    if entry.owner and then.owner and then.owner != entry.owner:
        yield Drift(source=entry.source, what=f"belonged to {entry.owner} and belongs to {then.owner} now")
    yield from changed(entry, then.digests())
    try:
        now = open_hub(entry.source)
    except SourceError:
        return
    if now.commit != entry.revision:
        what = f"has moved on: main is at {now.commit[:12]}, locked at {entry.revision[:12]}"
        yield Drift(source=entry.source, what=what, bad=False)


def changed(entry: Locked, files: dict[str, str]) -> Iterator[Drift]:
    """Files that are not what was locked."""
    groups = {
        "was changed": [name for name, digest in entry.files.items() if name in files and files[name] != digest],
        "is missing": [name for name in entry.files if name not in files],
        "was added": [name for name in files if name not in entry.files],
    }
    for what, names in groups.items():
        for name in sorted(names)[:_SHOWN]:
            yield Drift(source=entry.source, what=f"{name} {what}")
        if len(names) > _SHOWN:
            yield Drift(source=entry.source, what=f"{len(names) - _SHOWN} more files of which each {what}")
