"""Knows the digests of a tree: every file of any kind, several in flight, and what has not changed is not read again."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.schema import SourceError, Unavailable, VerificationFailed
from weighbridge.source import FileBlob, Kind, Oddity, local
from weighbridge.source.blob import unreadable
from weighbridge.source.cache import default_folder, remember

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Bits that change what a file can do: set-user-id, set-group-id, sticky, and the right to execute it.
POWERS: Final = 0o7111
_SMALL: Final = 1 << 16
_CACHE_FROM: Final = 1 << 20
_BATCH: Final = 256
_PIECE: Final = 4 << 20


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
            raise VerificationFailed(
                f"{entry.name} is a link to {entry.target}", hint="replace the link by the file", rule="PRV-004"
            )
        elif entry.kind is Kind.SPECIAL:
            raise VerificationFailed(
                f"{entry.name}: {entry.target}", hint="only regular files can be signed", rule="PRV-004"
            )
    escaped = [a for a in source.anomalies() if a.oddity is Oddity.LINK_ESCAPE]
    if escaped:
        raise VerificationFailed(
            f"{escaped[0].name} {escaped[0].detail}", hint="replace the link by the file", rule="PRV-004"
        )
    return Members(path, tuple(sorted(found, key=lambda pair: pair[0].replace("/", "\0"))))


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
        large = cache is not None and status.st_size >= _CACHE_FROM
        digest = cache.digest(descriptor, status) if cache and large else _read(descriptor, status.st_size)
        after = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise SourceError(f"{path}: the file changed while it was read", hint="try again when nobody writes to it")
    return FileDigest(name=name, size=status.st_size, sha256=digest, powers=status.st_mode & POWERS)


def _read(descriptor: int, size: int) -> str:
    if size <= _SMALL:
        return hashlib.sha256(os.read(descriptor, size + 1)).hexdigest()
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DigestCache:
    """Digests of large files by device, inode, size, and the times of the last change of content and of status.

    The status time cannot be set by a user, so a file that was changed and dated back is read again. With `content`,
    nothing is believed by its times: every byte is read, with BLAKE3, and the SHA-256 that was computed together with
    the same BLAKE3 digest is taken.
    """

    def __init__(self, folder: str = "", *, content: bool = False) -> None:
        self._path = os.path.join(folder or default_folder(), "digests.json")
        self._blake3: Any = _blake3() if content else None
        try:
            with open(self._path, "rb") as file:
                self._known = msgspec.json.decode(file.read(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            self._known = {}
        self._fresh = False

    def digest(self, descriptor: int, status: os.stat_result) -> str:
        """The SHA-256 of an open file, read where it has to be."""
        if self._blake3 is not None:
            return self._by_content(descriptor, status.st_size)
        key = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        known = self._known.get(key, "")
        return known or self._keep(key, _read(descriptor, status.st_size))

    def _by_content(self, descriptor: int, size: int) -> str:
        # One pass with BLAKE3 where it is known already, and SHA-256 in a second one where it is not.
        quick = self._blake3()
        for piece in _pieces(descriptor):
            quick.update(piece)
        key = f"blake3 {quick.hexdigest()} {size}"
        known = self._known.get(key, "")
        return known or self._keep(key, _read(descriptor, size))

    def _keep(self, key: str, digest: str) -> str:
        self._known[key] = digest
        self._fresh = True
        return digest

    def save(self) -> None:
        """Write what is new. A cache that cannot be written is no reason to fail."""
        if self._fresh:
            remember(self._path, msgspec.json.encode(self._known))


def _blake3() -> Any:
    try:
        from blake3 import blake3  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable("--recheck needs the extra blake3", hint="pip install 'weighbridge[blake3]'") from error
    return blake3


def _pieces(descriptor: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_PIECE))
    at = 0
    while count := os.preadv(descriptor, [buffer], at):
        yield buffer[:count]
        at += count
