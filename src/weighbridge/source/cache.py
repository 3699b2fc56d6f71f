"""Knows the disk cache of ranges: each is stored under its digest and believed only while the digest holds."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from weighbridge.source.whole import write_whole

_VERSION: Final = "1"


def default_folder() -> str:
    """Where the cache lies: WEIGHBRIDGE_CACHE, or `weighbridge` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("WEIGHBRIDGE_CACHE") or os.path.join(base, "weighbridge")


def remember(path: str, data: bytes) -> None:
    """Keep a file below the cache folder. What cannot be kept is no reason to fail."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_whole(path, data)
    except OSError:
        return


class Cache:
    """Ranges of remote files, by address and validator (ETag or commit). Without a validator nothing is kept."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def _path(self, url: str, validator: str, start: int, stop: int) -> str:
        key = hashlib.sha256(f"{_VERSION}\n{url}\n{validator}\n{start}\n{stop}".encode()).hexdigest()
        return os.path.join(self.folder, "ranges", key[:2], key)

    def get(self, url: str, validator: str, start: int, stop: int) -> bytes | None:
        """The bytes of a range; None where they are not kept, or are not what was kept."""
        if not validator:
            return None
        try:
            with open(self._path(url, validator, start, stop), "rb") as file:
                digest, data = file.read(32), file.read()
        except OSError:
            return None
        return data if len(data) == stop - start and hashlib.sha256(data).digest() == digest else None

    def put(self, url: str, validator: str, start: int, stop: int, data: bytes) -> None:
        """Keep a range. A cache that cannot be written is no reason to fail."""
        if not validator:
            return
        import tempfile  # noqa: PLC0415  # only far files are kept

        path = self._path(url, validator, start, stop)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            # Several threads may keep the same range at a time: each writes a file of its own.
            with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(file.name, path)
        except OSError:
            return

    def size(self) -> tuple[int, int]:
        """(files, bytes) in the cache."""
        files = total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                files += 1
                total += os.path.getsize(os.path.join(folder, name))
        return files, total

    def clear(self) -> int:
        """Remove every range; how many there were."""
        removed = 0
        for folder, _, names in os.walk(os.path.join(self.folder, "ranges")):
            for name in names:
                os.unlink(os.path.join(folder, name))
                removed += 1
        return removed
