"""Knows the digests of a tree: every file of any kind, several in flight, and what has not changed is not read again."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.schema import SourceError, VerificationFailed
from weighbridge.source import FileBlob, Kind, Oddity, local
from weighbridge.source.blob import unreadable
from weighbridge.source.cache import default_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Bits that change what a file can do: set-user-id, set-group-id, sticky, and the right to execute it.
POWERS: Final = 0o7111
_SMALL: Final = 1 << 16
_CACHE_FROM: Final = 1 << 20
_BATCH: Final = 256


class FileDigest(Struct, frozen=True, kw_only=True):
    """One file: its name in the tree (posix, relative), size, SHA-256 and the powers of its mode."""

    name: str
    size: int
    sha256: str
    powers: int = 0


class Members(Struct, frozen=True):
    """The files of a tree with their paths on the disk, in the order of their path components."""

    root: str
    files: tuple[tuple[str, str], ...]


def members(path: str, *, without: Sequence[str] = ()) -> Members:
    """Every file below a folder, or the one file that a path is. `without` are files to leave out, by their real path.

    Raises VerificationFailed for links out of the tree, devices and unreadable folders: what cannot be digested cannot
    be signed or verified.
    """
    source = local(path)
    if isinstance(source, FileBlob):
        source.close()
        return Members(path, ((os.path.basename(path), path),))
    found: list[tuple[str, str]] = []
    for entry in source.entries():
        if entry.kind is Kind.FILE:
            place = source.path_of(entry)
            if not without or os.path.realpath(place) not in without:
                found.append((entry.name, place))
        elif entry.kind in {Kind.LINK, Kind.HARDLINK}:
            raise VerificationFailed(f"{entry.name} is a link to {entry.target}", hint="replace the link by the file")
        elif entry.kind is Kind.SPECIAL:
            raise VerificationFailed(f"{entry.name}: {entry.target}", hint="only regular files can be signed")
    escaped = [a for a in source.anomalies() if a.oddity is Oddity.LINK_ESCAPE]
    if escaped:
        raise VerificationFailed(f"{escaped[0].name} {escaped[0].detail}", hint="replace the link by the file")
    return Members(path, tuple(sorted(found, key=lambda pair: pair[0].split("/"))))


def digests(found: Members, *, workers: int = 0, cache: DigestCache | None = None) -> tuple[FileDigest, ...]:
    """The digest of each file, in order. Raises SourceError where a file cannot be read."""
    files = found.files
    workers = workers or min(4, os.cpu_count() or 1)
    large = any(os.path.getsize(path) > _CACHE_FROM for _, path in files[:_BATCH]) or len(files) > _BATCH
    if workers < 2 or len(files) < 2 or not large:
        made: Iterable[FileDigest] = (_digest(name, path, cache) for name, path in files)
        return tuple(made)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # small trees need no threads

    batches = (
        [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        if len(files) > _BATCH
        else [(f,) for f in files]
    )
    with ThreadPoolExecutor(workers) as pool:
        return tuple(one for batch in pool.map(lambda part: _several(part, cache), batches) for one in batch)


def _several(files: Sequence[tuple[str, str]], cache: DigestCache | None) -> list[FileDigest]:
    return [_digest(name, path, cache) for name, path in files]


def _digest(name: str, path: str, cache: DigestCache | None) -> FileDigest:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        status = os.fstat(descriptor)
        known = cache.get(status) if cache and status.st_size >= _CACHE_FROM else ""
        digest = known or _read(descriptor, status.st_size)
        after = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise SourceError(f"{path}: the file changed while it was read", hint="try again when nobody writes to it")
    if cache and not known and status.st_size >= _CACHE_FROM:
        cache.put(status, digest)
    return FileDigest(name=name, size=status.st_size, sha256=digest, powers=status.st_mode & POWERS)


def _read(descriptor: int, size: int) -> str:
    if size <= _SMALL:
        return hashlib.sha256(os.read(descriptor, size + 1)).hexdigest()
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DigestCache:
    """Digests of large files by device, inode, size, and the times of the last change of content and of status.

    The status time cannot be set by a user, so a file that was changed and dated back is read again.
    """

    def __init__(self, folder: str = "") -> None:
        self._path = os.path.join(folder or default_folder(), "digests.json")
        try:
            with open(self._path, "rb") as file:
                self._known = msgspec.json.decode(file.read(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            self._known = {}
        self._fresh = False

    @staticmethod
    def _key(status: os.stat_result) -> str:
        return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

    def get(self, status: os.stat_result) -> str:
        """The digest that was kept; empty where there is none."""
        return self._known.get(self._key(status), "")

    def put(self, status: os.stat_result, digest: str) -> None:
        """Keep a digest."""
        self._known[self._key(status)] = digest
        self._fresh = True

    def save(self) -> None:
        """Write what is new. A cache that cannot be written is no reason to fail."""
        if not self._fresh:
            return
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            beside = f"{self._path}.{os.getpid()}"
            with open(beside, "wb") as file:
                file.write(msgspec.json.encode(self._known))
            os.replace(beside, self._path)
        except OSError:
            return
