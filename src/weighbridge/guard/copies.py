"""Knows how the bytes that were checked stay the bytes that are loaded.

Loaders that can run code get a sealed copy in memory. Loaders that only read get the file that was hashed, by its open
descriptor, and it is looked at again once they are done.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import SourceError
from weighbridge.source.blob import unreadable
from weighbridge.source.whole import write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP: Final = 1 << 20
_ADD_SEALS: Final = 1033
_ALL_SEALS: Final = 0xF
_OPEN: Final = "/proc/self/fd"


class Checked(Struct, frozen=True, kw_only=True):
    """Bytes that do not change any more: where they are read, and their SHA-256."""

    path: str
    sha256: str
    size: int


@contextlib.contextmanager
def sealed(path: str, *, named: bool = False) -> Iterator[Checked]:
    """A private copy of a file. With `named` it keeps its name, for loaders that go by the ending.

    Raises SourceError where it cannot be read.
    """
    with _opened(path) as source:
        if named or not hasattr(os, "memfd_create"):
            folder = tempfile.mkdtemp(prefix="weighbridge-")
            try:
                copy = os.path.join(folder, os.path.basename(path))
                target = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    size, digest = _copied(source, target)
                finally:
                    os.close(target)
                yield Checked(path=copy, sha256=digest, size=size)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
        target = os.memfd_create("weighbridge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            size, digest = _copied(source, target)
            fcntl.fcntl(target, _ADD_SEALS, _ALL_SEALS)
            yield Checked(path=f"{_OPEN}/{target}", sha256=digest, size=size)
        finally:
            os.close(target)


@contextlib.contextmanager
def watched(path: str, *, by_descriptor: bool = True) -> Iterator[Checked]:
    """The file itself, hashed, by its descriptor where the system has such paths.

    Raises SourceError where it cannot be read, or where it was written to before the block ended.
    """
    with _opened(path) as source:
        before = _state(source)
        digest = hashlib.sha256()
        size = 0
        for piece in _pieces(source):
            digest.update(piece)
            size += len(piece)
        where = f"{_OPEN}/{source}" if by_descriptor and os.path.isdir(_OPEN) else path
        yield Checked(path=where, sha256=digest.hexdigest(), size=size)
        if _state(source) != before or (where == path and _elsewhere(path, source)):
            raise SourceError(
                f"{path} was written to while it was loaded", hint="load it again from a place nobody writes to"
            )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        source = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        yield source
    finally:
        os.close(source)


def _copied(source: int, target: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(source):
        digest.update(piece)
        size += len(piece)
        write_all(target, piece)
    return size, digest.hexdigest()


def _pieces(source: int) -> Iterator[memoryview]:
    buffer = bytearray(_STEP)
    view = memoryview(buffer)
    with open(source, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            yield view[:count]


def _state(source: int) -> tuple[int, int, int]:
    status = os.fstat(source)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _elsewhere(path: str, source: int) -> bool:
    return not os.path.samestat(os.stat(path), os.fstat(source))
