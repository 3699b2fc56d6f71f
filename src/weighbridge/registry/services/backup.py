"""Knows backups: database, keys, configuration and bytes as a folder with digests, and how it becomes a registry again."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.schema import SourceError, UsageError, VerificationFailed
from weighbridge.source.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.registry.services.house import House

_LIST: Final = "backup.json"
_DATABASE: Final = "registry.sqlite"


def back_up(house: House, target: str) -> int:
    """Write a backup into a new folder while the registry goes on; how many files there are. Raises UsageError, SourceError."""
    if not house.database.is_sqlite or house.blobs.path("0" * 64) == "":
        raise UsageError(
            "this registry lies in a database server or an object store", hint="pg_dump, and a copy of the bucket"
        )
    if os.path.exists(target):
        raise UsageError(f"{target} exists", hint="name a new folder")
    try:
        os.makedirs(target, mode=0o700)
        # The checkpoint before the database, which then goes on from it; that before the blobs: every blob that it names is there before its row is.
        checkpoint = house.ledger.checkpoint()
        with (
            sqlite3.connect(os.path.join(house.folder, _DATABASE)) as source,
            sqlite3.connect(os.path.join(target, _DATABASE)) as copy,
        ):
            source.backup(copy)
        for name in ("keys", "blobs", "weighbridge.toml"):
            _copy(os.path.join(house.folder, name), os.path.join(target, name))
        digests = {name: _digest(os.path.join(target, name)) for name in _files(target)}
        table = {"at": house.stamp(), "checkpoint": checkpoint, "files": digests}
        write_whole(os.path.join(target, _LIST), msgspec.json.encode(table))
    except OSError as error:
        raise SourceError(
            f"{target}: {(error.strerror or str(error)).lower()}", hint="make room, or choose another place"
        ) from error
    return len(digests)


def restore(source: str, folder: str) -> int:
    """Make a registry of a backup, in a folder that does not exist; how many files there are.

    Raises VerificationFailed, before anything is written, where the backup is not as it was made.
    """
    if os.path.exists(folder):
        raise UsageError(f"{folder} exists", hint="name a new folder; nothing is overwritten")
    try:
        with open(os.path.join(source, _LIST), "rb") as file:
            table: dict[str, Any] = msgspec.json.decode(file.read())
        digests = table["files"]
        found = set(_files(source)) - {_LIST}
        for name in sorted(found | digests.keys()):
            if name not in digests or name not in found or _digest(os.path.join(source, name)) != digests[name]:
                raise VerificationFailed(f"{name} is not as it was backed up", hint="take another backup")
        os.makedirs(folder, mode=0o700)
        for name in sorted(digests):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(source, name), target)
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise SourceError(f"{source}: this is no backup that can be read ({error})", hint="check the path") from error
    return len(digests)


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.part"))
    elif os.path.isfile(source):
        shutil.copy2(source, target)


def _files(folder: str) -> Iterator[str]:
    for above, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(above, name), folder)


def _digest(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
