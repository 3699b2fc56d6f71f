"""Knows files and folders on this machine."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from weighbridge.schema import SourceError
from weighbridge.source.blob import Blob, FileBlob, unreadable
from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator


class LocalTree(Unchecked):
    """A folder. Links are never followed; one that stays inside the folder is followed by its target's turn.

    The one exception is the cache of huggingface_hub, where every file of a snapshot is a link into the `blobs` folder
    beside the snapshots: such a link is the file, under the name that the loader uses.
    """

    format = "folder"

    def __init__(self, root: str) -> None:
        self.root = root
        self._anomalies: list[Anomaly] = []
        self._cached: dict[str, str] = {}

    def path_of(self, entry: Entry) -> str:
        """Where the bytes of a file lie on the disk."""
        return self._cached.get(entry.name) or os.path.join(self.root, entry.name)

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`. Sorted by name, so that reports are reproducible."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(os.path.join(self.root, folder)) as found:  # hot on large trees
                    items = sorted(found, key=lambda item: item.name)
            except OSError as error:
                name = folder or "."
                yield Entry(name=name, size=0, kind=Kind.SPECIAL, target=(error.strerror or "unreadable").lower())
                continue
            folders = []
            for item in items:
                name = f"{folder}/{item.name}" if folder else item.name
                entry = self._entry(item, name)
                if entry.kind is Kind.FOLDER:
                    folders.append(name)
                yield entry
            waiting += reversed(folders)

    def _entry(self, item: os.DirEntry[str], name: str) -> Entry:
        try:
            status = item.stat(follow_symlinks=False)
        except OSError as error:
            return Entry(name=name, size=0, kind=Kind.SPECIAL, target=(error.strerror or "unreadable").lower())
        if stat.S_ISLNK(status.st_mode):
            return self._link(item.path, name)
        if stat.S_ISDIR(status.st_mode):
            return Entry(name=name, size=0, kind=Kind.FOLDER)
        if not stat.S_ISREG(status.st_mode):
            self._anomalies.append(Anomaly(oddity=Oddity.MODE, name=name, detail="device, pipe or socket"))
            return Entry(name=name, size=0, kind=Kind.SPECIAL, target="device, pipe or socket")
        return Entry(name=name, size=status.st_size)

    def _link(self, path: str, name: str) -> Entry:
        target = os.readlink(path)  # hot on large trees
        resolved = os.path.realpath(path)
        root = os.path.realpath(self.root)
        if _in_hub_cache(os.path.join(root, name), resolved) and os.path.isfile(resolved):
            self._cached[name] = resolved
            return Entry(name=name, size=os.path.getsize(resolved))
        inside = resolved == root or resolved.startswith(root + os.sep)
        if not inside or target.startswith("/"):
            self._anomalies.append(Anomaly(oddity=Oddity.LINK_ESCAPE, name=name, detail=f"points to {target}"))
        return Entry(name=name, size=0, kind=Kind.LINK, target=target)

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        return FileBlob(self.path_of(entry), follow=False)

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies


def _in_hub_cache(link: str, resolved: str) -> bool:
    """Whether a link of `…/models--x/snapshots/<revision>/…` ends in `…/models--x/blobs/`."""
    before, marker, _ = link.partition(f"{os.sep}snapshots{os.sep}")
    kind = os.path.basename(before).partition("--")[0]
    blobs = os.path.join(before, "blobs")
    return bool(marker) and kind in {"models", "datasets", "spaces"} and os.path.dirname(resolved) == blobs


def local(path: str) -> LocalTree | FileBlob:
    """A folder as a tree, a file as a blob. Raises SourceError for anything else."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        return LocalTree(path)
    if not stat.S_ISREG(mode):
        raise SourceError(f"{path}: not a regular file", hint="give a file or a folder")
    return FileBlob(path)
