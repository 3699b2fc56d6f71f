"""Knows copies on a machine: what hub clients keep in their cache, held against what was called back.

Source: the cache of huggingface_hub (`models--owner--name/blobs/<etag>`, `snapshots/<commit>/…` as links); the etag of a
large file is its SHA-256. A client that has a commit in its cache asks nobody, so only the cache itself can tell.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import SourceError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_REPOSITORY: Final = re.compile(r"(models|datasets|spaces)--.+")


class Copy(Struct, frozen=True, kw_only=True):
    """A file in a cache: the repository it belongs to, its names in snapshots, its SHA-256, and what is wrong with it."""

    repository: str
    path: str
    names: tuple[str, ...]
    sha256: str
    wrong: str = ""


def copies(folder: str, revoked: Container[str]) -> Iterator[Copy]:
    """Every blob of a cache, hashed. Raises SourceError where the folder cannot be read."""
    try:
        repositories = sorted(name for name in os.listdir(folder) if _REPOSITORY.match(name))
    except OSError as error:
        raise SourceError(
            f"{folder}: {(error.strerror or str(error)).lower()}", hint="set HF_HUB_CACHE, or name the folder"
        ) from error
    for repository in repositories:
        place = os.path.join(folder, repository)
        names = _names(os.path.join(place, "snapshots"))
        blobs = os.path.join(place, "blobs")
        for blob in sorted(os.listdir(blobs)) if os.path.isdir(blobs) else ():
            path = os.path.join(blobs, blob)
            if os.path.isfile(path) and not blob.endswith(".incomplete"):
                yield _copy(repository, path, tuple(names.get(os.path.realpath(path), ())), revoked)


def _copy(repository: str, path: str, names: tuple[str, ...], revoked: Container[str]) -> Copy:
    kind, _, name = repository.partition("--")
    shown = f"{kind.removesuffix('s')} {name.replace('--', '/')}"
    try:
        with open(path, "rb", buffering=0) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Copy(repository=shown, path=path, names=names, sha256="", wrong=f"cannot be read: {error.strerror}")
    blob = os.path.basename(path)
    wrong = ""
    if _SHA256.match(blob) and sha256 != blob:
        wrong = "was altered: its bytes are not those that its name says"
    if sha256 in revoked or blob in revoked:
        wrong = "was revoked"
    return Copy(repository=shown, path=path, names=names, sha256=sha256, wrong=wrong)


def _names(folder: str) -> dict[str, list[str]]:
    """The names in snapshots by the file that they lead to."""
    found: dict[str, list[str]] = {}
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            shown = os.path.relpath(path, folder).partition(os.sep)[2]
            listed = found.setdefault(os.path.realpath(path), [])
            if shown not in listed:
                listed.append(shown)
    return found
