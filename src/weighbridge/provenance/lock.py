"""Knows `weighbridge.lock`: each model and dataset that a project uses, with its owner, commit and the digest of each file.

A digest is `sha256:…`, or `git-sha1:…` for the small files of a hub, which names them by their git object.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.provenance import dsse
from weighbridge.provenance.digest import digests, members
from weighbridge.provenance.signature import refuse
from weighbridge.provenance.statement import parsed
from weighbridge.schema import Complaint, Proof, SourceError, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.references import Reference
    from weighbridge.source.hub import HubTree

NAME: Final = "weighbridge.lock"
VERSION: Final = 1
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_SHOWN: Final = 3
_SIGNATURE: Final = 64 << 20


class Locked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact: an address of a hub without its revision, or a path relative to the lock file.

    `signed_at` is when the signature beside a folder says it was made; an older one is a step back.
    """

    source: str
    revision: str = ""
    owner: str = ""
    files: dict[str, str]
    signed_at: str = ""


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
    rule: str = "PRV-010"
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
    files = {one.name: f"sha256:{one.sha256}" for one in found}
    return Locked(source=source, files=files, signed_at=_signed_at(f"{path.rstrip('/')}.sig"))


def _signed_at(signature: str) -> str:
    """When a signature says it was made; empty where there is none. Its own word: only ever compared with itself."""
    try:
        with open(signature, "rb") as file:
            envelope = dsse.unwrap(dsse.strict_json(file.read(_SIGNATURE), "the signature").get("dsseEnvelope"))
        return parsed(envelope.payload).signed_at
    except (OSError, VerificationFailed):
        return ""


def older(entry: Locked, now: Locked) -> Iterator[Drift]:
    """A signed version that is older than the one that was locked."""
    if entry.signed_at and now.signed_at and now.signed_at < entry.signed_at:
        what = f"is signed on {now.signed_at}, which is before the locked version of {entry.signed_at}"
        yield Drift(source=entry.source, what=what, rule="PRV-007")


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
            yield Drift(source=reference.address, what=what, rule="ADP-012" if reference.merged else "PRV-012")


def moved(entry: Locked, open_hub: Callable[[str], HubTree]) -> Iterator[Drift]:
    """What changed upstream. `open_hub` opens an address with its revision; it raises SourceError where it cannot."""
    if not _COMMIT.match(entry.revision):
        what = f"is locked at {entry.revision or 'no revision'}, which is no commit"
        yield Drift(source=entry.source, what=what, rule="HFR-022")
        return
    try:
        then = open_hub(f"{entry.source}@{entry.revision}")
    except SourceError as error:
        what = f"cannot be fetched at the locked commit: {error.message}"
        yield Drift(source=entry.source, what=what, rule="IDN-003")
        return
    if entry.owner and then.owner and then.owner != entry.owner:
        what = f"belonged to {entry.owner} and belongs to {then.owner} now"
        yield Drift(source=entry.source, what=what, rule="IDN-003")
    if then.answers_to.casefold() != then.name.casefold():
        yield Drift(source=entry.source, what=f"leads to {then.answers_to} now", rule="IDN-008")
    yield from changed(entry, then.digests(), "IDN-007")
    try:
        now = open_hub(entry.source)
    except SourceError:
        return
    if now.commit != entry.revision:
        what = f"has moved on: main is at {now.commit[:12]}, locked at {entry.revision[:12]}"
        yield Drift(source=entry.source, what=what, bad=False)


def changed(entry: Locked, files: dict[str, str], rule: str = "PRV-010") -> Iterator[Drift]:
    """Files that are not what was locked. At the same commit of a hub that means another source of the bytes."""
    groups = {
        "was changed": [name for name, digest in entry.files.items() if name in files and files[name] != digest],
        "is missing": [name for name in entry.files if name not in files],
        "was added": [name for name in files if name not in entry.files],
    }
    for what, names in groups.items():
        for name in sorted(names)[:_SHOWN]:
            yield Drift(source=entry.source, what=f"{name} {what}", rule=rule)
        if len(names) > _SHOWN:
            yield Drift(source=entry.source, what=f"{len(names) - _SHOWN} more files of which each {what}", rule=rule)


def verify(path: str, lock: str, cache: DigestCache | None = None, without: Sequence[str] = ()) -> list[Proof]:
    """Hold files on this machine against the entry of a lock that they belong to: by its path, else by what they share.

    Raises UsageError for a broken lock, VerificationFailed with every file that is not as it was locked.
    """
    known = load(lock)
    tree = members(path, without=[os.path.realpath(name) for name in without])
    found = {one.name: f"sha256:{one.sha256}" for one in digests(tree, cache=cache)}
    base = os.path.dirname(os.path.realpath(lock))
    by_path = (e for e in known.artifacts if os.path.realpath(os.path.join(base, e.source)) == os.path.realpath(path))
    entry = next(by_path, None) or max(known.artifacts, key=lambda e: _shared(e, found), default=None)
    if entry is None or not _shared(entry, found):
        raise VerificationFailed(
            f"{path} is not in {lock}",
            hint=f"weighbridge lock --add {path}",
            complaints=(Complaint("PRV-010", "", f"is not in {lock}"),),
        )
    for name, file in tree.files:
        if entry.files.get(name, "").startswith("git-sha1:"):
            found[name] = f"git-sha1:{git_object(file)}"
    refuse([Complaint(drift.rule, "", drift.what) for drift in changed(entry, found)])
    revision = f" at {entry.revision[:12]}" if entry.revision else ""
    return [Proof(kind="lock", by=lock, files=len(found), what=f"as locked: {entry.source}{revision}")]


def _shared(entry: Locked, found: dict[str, str]) -> int:
    return sum(found.get(name) == digest for name, digest in entry.files.items())


def git_object(path: str) -> str:
    """The git object of a file, by which a hub names small files. No security rests on SHA-1 alone here."""
    with open(path, "rb") as file:
        return git_blob(file.read())


def git_blob(data: bytes) -> str:
    """The git object of a file with these bytes."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()
