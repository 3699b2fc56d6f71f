"""Knows whether the files that a service loads are the approved ones, and whether weights in memory stay what they were."""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.provenance.digest import digests, members
from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SAMPLE: Final = 4096
_PIECES: Final = 16


class Seen(Struct, frozen=True):
    """What tells quickly that a file may have changed: device, inode, size, times of content and of its entry, in nanoseconds."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class Fault(Struct, frozen=True, kw_only=True):
    """A file that is not what was approved. `sha256` is empty where the file is gone."""

    name: str
    what: str
    sha256: str = ""
    approved: str = ""


class Served:
    """Files under a path, held against approved digests. `look` reads again only what may have changed; `whole` reads all."""

    def __init__(self, path: str, approved: Mapping[str, str] | None, known: Iterable[str] = ()) -> None:
        """`approved` is SHA-256 by name, relative to the path; or `known` are digests that may lie under any name."""
        self._path = path
        self._approved = dict(approved or {})
        self._known = frozenset(known) | frozenset(self._approved.values())
        if not self._known:
            raise UsageError("nothing is approved to compare with", hint="--lock, --enrolment, or --registry")
        self._seen: dict[str, tuple[Seen, str]] = {}

    def look(self) -> list[Fault]:
        """What differs now. Raises SourceError where the path cannot be read."""
        found = {}
        for name, path in self._files():
            try:
                about = seen(path)
            except OSError:
                continue  # gone meanwhile: told below
            before = self._seen.get(name)
            if before is None or before[0] != about:
                # The digest first, then the times again: what was written in between is read again next time.
                self._seen[name] = about, self._digest(path)
            found[name] = self._seen[name][1]
        self._seen = {name: one for name, one in self._seen.items() if name in found}
        return [*self._strangers(found), *self._missing(found)]

    def whole(self) -> list[Fault]:
        """The same, with every file read."""
        self._seen.clear()
        return self.look()

    def _strangers(self, found: Mapping[str, str]) -> Iterable[Fault]:
        for name, digest in sorted(found.items()):
            want = self._approved.get(name)
            if want == digest or (not want and digest in self._known):
                continue
            what = "is not what was approved" if want else "is in no approval"
            yield Fault(name=name, what=what, sha256=digest, approved=want or "")

    def _missing(self, found: Mapping[str, str]) -> Iterable[Fault]:
        for name, digest in sorted(self._approved.items()):
            if name not in found:
                yield Fault(name=name, what="is approved and not there", approved=digest)

    def _files(self) -> list[tuple[str, str]]:
        if os.path.isfile(self._path):
            return [(os.path.basename(self._path), self._path)]
        if not os.path.isdir(self._path):
            raise SourceError(f"{self._path}: no such file or folder", hint="name what the service loads")
        return [
            (os.path.relpath(os.path.join(folder, name), self._path), os.path.join(folder, name))
            for folder, _, names in os.walk(self._path)
            for name in names
        ]

    def _digest(self, path: str) -> str:
        try:
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SourceError(
                f"{path}: {(error.strerror or str(error)).lower()}", hint="let the monitor read it"
            ) from error


def seen(path: str) -> Seen:
    """Raises OSError."""
    found = os.stat(path)
    return Seen(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def approved_by_lock(path: str, served: str) -> dict[str, str]:
    """SHA-256 by name of the entry of a lock file that is about this path; of the only one where there is one. Raises UsageError."""
    from weighbridge.provenance import lock  # noqa: PLC0415  # loading cryptography takes a while

    entries = lock.load(path).artifacts
    base = os.path.dirname(os.path.abspath(path))
    mine = [one for one in entries if os.path.abspath(os.path.join(base, one.source)) == os.path.abspath(served)]
    mine = mine or list(entries if len(entries) == 1 else ())
    if not mine:
        raise UsageError(f"{path} holds nothing about {served}", hint="weighbridge lock --add writes an entry")
    return {
        name: digest.removeprefix("sha256:") for name, digest in mine[0].files.items() if digest.startswith("sha256:")
    }


def digests_of(path: str) -> dict[str, str]:
    """SHA-256 by name of the files under a path. Raises SourceError."""
    return {one.name: one.sha256 for one in digests(members(path))}


class Weights:
    """Samples of arrays in memory, digested once after loading and again whenever `changed` is asked.

    Arrays are anything with the buffer protocol (numpy arrays; torch tensors on the CPU as `tensor.numpy()`). Sixteen
    pieces of 4 KiB at places drawn at random for this process alone: whoever changes weights does not know where to
    leave them. What is changed in a part of a tensor of share s is seen with a chance of 1-(1-s)^16 each time a new
    `Weights` is made; all of a small tensor is read.
    """

    def __init__(self, arrays: Mapping[str, Any], *, rng: random.Random | None = None) -> None:
        draw = rng or random.SystemRandom()
        self._places = {name: _places(len(_bytes(array)), draw) for name, array in arrays.items()}
        self._before = self._now(arrays)

    def changed(self, arrays: Mapping[str, Any]) -> list[str]:
        """The names of arrays that are no longer the same, are gone, or are new."""
        now = self._now(arrays)
        names = self._before.keys() | arrays.keys()
        return sorted(name for name in names if now.get(name) is None or now[name] != self._before.get(name))

    def _now(self, arrays: Mapping[str, Any]) -> dict[str, bytes]:
        found = {}
        for name, array in arrays.items():
            if name in self._places:
                data = _bytes(array)
                made = hashlib.sha256(f"{len(data)}".encode())
                for place in self._places[name]:
                    made.update(data[place : place + _SAMPLE])
                found[name] = made.digest()
        return found


def _bytes(array: Any) -> memoryview:
    return memoryview(array).cast("B")


def _places(size: int, draw: random.Random) -> tuple[int, ...]:
    if size <= _SAMPLE * _PIECES:
        return tuple(range(0, size, _SAMPLE))
    return tuple(sorted(draw.randrange(size - _SAMPLE) for _ in range(_PIECES)))
