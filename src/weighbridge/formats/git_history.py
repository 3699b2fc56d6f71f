"""Reads the history in a git repository that nobody has checked: commits, trees and blobs, loose or packed.

Nothing of git is run: configuration, hooks and filters of a repository are programs of whoever made it. Objects are held to
their names. Sources: gitformat-pack, gitrepository-layout, gitformat-index of the Git documentation (SHA-1, index version 2).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import struct
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable
from weighbridge.source.blob import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

_OID: Final = re.compile(r"[0-9a-f]{40}\Z")
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_BY_OFFSET, _BY_NAME = 6, 7
_CHAIN: Final = 4096  # deltas upon deltas; git itself makes 250 at the most
_LARGEST: Final = 256 << 20
_REFS: Final = 20_000
_REF_BYTES: Final = 16 << 20
_KEPT: Final = 64 << 20
_PERSON: Final = re.compile(rb"(?P<name>[^<\n]*) ?<(?P<mail>[^>\n]*)> (?P<at>-?\d{1,12})(?: [+-]\d{4})?\Z")
_FOLDER: Final = 0o40000


class Person(Struct, frozen=True):
    """Who is named in a commit, and when that was said to be (seconds since 1970)."""

    name: str
    mail: str
    at: int


class Commit(Struct, frozen=True, kw_only=True):
    """One commit. `signed` says that a signature is there, not that it holds; None where nobody says."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    signed: bool | None
    message: str


class GitHistory:
    """The objects and names of one repository; use it as a context, since packs stay open."""

    def __init__(self, folder: str, *, largest: int = _LARGEST) -> None:
        """`folder` holds `.git`, or is one. Raises MalformedInput, Unavailable for layouts that are not read."""
        inner = os.path.join(folder, ".git")
        self.folder = inner if os.path.exists(inner) else folder
        if os.path.isfile(self.folder):
            raise Unavailable(f"{folder}: a linked work tree", hint="name the repository that it belongs to")
        if not os.path.isdir(os.path.join(self.folder, "objects")):
            raise MalformedInput(f"{folder}: no git repository")
        if b"sha256" in self._small("config").lower():
            raise Unavailable(f"{folder}: a repository of SHA-256 objects", hint="only SHA-1 ones are read")
        self._largest = largest
        self._packs = [_Pack(path) for path in self._pack_names()]
        self._held: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pack in self._packs:
            pack.close()

    # --- names

    def refs(self) -> dict[str, str]:
        """Every branch and tag with the object that it names; a tag object is followed to its commit. `HEAD` where it leads somewhere."""
        found: dict[str, str] = {}
        for line in self._small("packed-refs").decode("utf-8", "replace").splitlines():
            oid, _, name = line.partition(" ")
            if _OID.match(oid) and name.startswith("refs/"):
                found[name] = oid
        for name in self._loose_refs():
            oid = self._small(name).decode("ascii", "replace").strip()
            if _OID.match(oid):
                found[name] = oid
        head = self._small("HEAD").decode("ascii", "replace").strip()
        target = found.get(head.removeprefix("ref: ")) if head.startswith("ref: ") else head
        if target and _OID.match(target):
            found["HEAD"] = target
        return {name: commit for name, oid in found.items() if (commit := self._peeled(oid))}

    def forced(self) -> Iterator[tuple[str, str]]:
        """(name, line) of entries of reference logs that say that a name was moved by force."""
        logs = os.path.join(self.folder, "logs")
        for above, _, names in os.walk(logs):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(above, name), self.folder)
                for line in self._small(path).decode("utf-8", "replace").splitlines():
                    if "forced-update" in line or "(forced" in line:
                        yield path.removeprefix("logs/"), line.partition("\t")[2]

    def _loose_refs(self) -> Iterator[str]:
        count = 0
        for above, folders, names in os.walk(os.path.join(self.folder, "refs")):
            folders.sort()
            for name in sorted(names):
                count += 1
                if count > _REFS:
                    raise LimitExceeded(f"more than {_REFS} references", limit="members")
                yield os.path.relpath(os.path.join(above, name), self.folder).replace(os.sep, "/")

    def _peeled(self, oid: str) -> str:
        """The commit that an object leads to, or nothing."""
        for _ in range(8):
            try:
                kind, body = self.read(oid)
            except MalformedInput:
                return ""
            if kind == "commit":
                return oid
            first = body.split(b"\n", 1)[0]
            if kind != "tag" or not first.startswith(b"object "):
                return ""
            oid = first[7:].decode("ascii", "replace")
        return ""

    def _small(self, name: str) -> bytes:
        path = os.path.join(self.folder, name)
        if os.path.islink(path) or not os.path.isfile(path):
            return b""
        try:
            with open(path, "rb") as file:
                return file.read(_REF_BYTES)
        except OSError as error:
            raise unreadable(path, error) from error

    # --- commits and trees

    def commit(self, oid: str) -> Commit:
        """Raises MalformedInput."""
        kind, body = self.read(oid)
        head, _, message = body.partition(b"\n\n")
        if kind != "commit":
            raise MalformedInput(f"{oid[:12]} is a {kind} and no commit")
        lines = [line for line in head.split(b"\n") if not line.startswith(b" ")]
        said = [line.partition(b" ")[::2] for line in lines]
        first = dict(reversed(said))
        tree = first.get(b"tree", b"").decode("ascii", "replace")
        if not _OID.match(tree):
            raise MalformedInput(f"the commit {oid[:12]} names no tree")
        parents = tuple(value.decode("ascii", "replace") for key, value in said if key == b"parent")
        return Commit(
            oid=oid, tree=tree, parents=tuple(one for one in parents if _OID.match(one)),
            author=_person(first.get(b"author", b"")), committer=_person(first.get(b"committer", b"")),
            signed=b"gpgsig" in first or b"gpgsig-sha256" in first, message=message[:4000].decode("utf-8", "replace"),
        )  # fmt: skip

    def commits(self, start: str, most: int) -> tuple[list[Commit], bool]:
        """(commits that lead to one, parents before children, whether these are all of them); the latest `most` where there are more."""
        found: dict[str, Commit] = {}
        waiting, whole = [start], True
        while waiting:
            if len(found) >= most:
                whole = False
                break
            oid = waiting.pop(0)
            if oid in found:
                continue
            try:
                found[oid] = self.commit(oid)
            except MalformedInput:
                whole = False  # a shallow clone ends here
                continue
            waiting += [one for one in found[oid].parents if one not in found]
        return _ordered(found, start), whole

    def files(self, tree: str, *, most: int = 100_000) -> dict[str, str]:
        """Path and object of every file of a tree, submodules and links left out. Raises MalformedInput, LimitExceeded."""
        found: dict[str, str] = {}
        waiting = [("", tree)]
        while waiting:
            above, oid = waiting.pop()
            for mode, name, inner in self._tree(oid):
                path = f"{above}{name}"
                if mode == _FOLDER:
                    waiting.append((f"{path}/", inner))
                elif mode & 0o170000 == 0o100000:
                    found[path] = inner
                if len(found) + len(waiting) > most:
                    raise LimitExceeded(f"more than {most} files in a tree", limit="members")
        return found

    def _tree(self, oid: str) -> Iterator[tuple[int, str, str]]:
        kind, body = self.read(oid)
        at = 0
        while kind == "tree" and at < len(body):
            end = body.find(b"\0", at)
            mode, _, name = body[at:end].partition(b" ")
            inner = body[end + 1 : end + 21]
            if end < 0 or len(inner) != 20 or not mode.isdigit() or not name:
                raise MalformedInput(f"the tree {oid[:12]} is damaged")
            yield int(mode, 8), name.decode("utf-8", "replace"), inner.hex()
            at = end + 21
        if kind != "tree":
            raise MalformedInput(f"{oid[:12]} is a {kind} and no tree")

    # --- objects

    def read(self, oid: str) -> tuple[str, bytes]:
        """(kind, content) of an object, held to its name. Raises MalformedInput, LimitExceeded."""
        held = self._held.get(oid)
        if held is not None:
            self._held.move_to_end(oid)
            return held
        kind, body = self._found(oid)
        made = hashlib.sha1(f"{kind} {len(body)}\0".encode(), usedforsecurity=False)
        made.update(body)
        if made.hexdigest() != oid:
            raise MalformedInput(f"the object {oid[:12]} is not what its name says")
        self._keep(oid, kind, body)
        return kind, body

    def _keep(self, oid: str, kind: str, body: bytes) -> None:
        self._held[oid] = (kind, body)
        self._held_bytes += len(body)
        while self._held_bytes > _KEPT and len(self._held) > 1:
            _, (_, old) = self._held.popitem(last=False)
            self._held_bytes -= len(old)

    def _found(self, oid: str) -> tuple[str, bytes]:
        if not _OID.match(oid):
            raise MalformedInput("no name of an object")
        path = os.path.join(self.folder, "objects", oid[:2], oid[2:])
        if os.path.isfile(path) and not os.path.islink(path):
            return self._loose(path)
        for pack in self._packs:
            at = pack.find(bytes.fromhex(oid))
            if at >= 0:
                return self._packed(pack, at)
        raise MalformedInput(f"the object {oid[:12]} is not in the repository")

    def _loose(self, path: str) -> tuple[str, bytes]:
        try:
            with open(path, "rb") as file:
                data = _inflated(file.read(self._largest + 1), 0, self._largest + 64)[0]
        except OSError as error:
            raise unreadable(path, error) from error
        head, _, body = data.partition(b"\0")
        kind, _, size = head.decode("ascii", "replace").partition(" ")
        if kind not in _KINDS.values() or not size.isdigit() or int(size) != len(body):
            raise MalformedInput(f"{os.path.basename(path)}: a loose object that is damaged")
        return kind, body

    def _packed(self, pack: _Pack, at: int) -> tuple[str, bytes]:
        deltas: list[bytes] = []
        for _ in range(_CHAIN):
            kind, size, base, data = pack.entry(at, self._largest)
            if kind in _KINDS:
                body = _inflated(pack.data, data, size)[0]
                for delta in reversed(deltas):
                    body = _patched(body, delta, self._largest)
                return _KINDS[kind], body
            deltas.append(_inflated(pack.data, data, size)[0])
            if kind == _BY_OFFSET:
                at = base
                continue
            at = pack.find(bytes(pack.data[base : base + 20]))
            if at < 0:
                raise MalformedInput("a delta is upon an object that is not in its pack")
        raise LimitExceeded(f"more than {_CHAIN} deltas upon each other", limit="depth")

    def _pack_names(self) -> list[str]:
        folder = os.path.join(self.folder, "objects/pack")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [os.path.join(folder, name[:-4]) for name in names if name.endswith(".idx")]


class _Pack:
    """A pack with its index."""

    def __init__(self, stem: str) -> None:
        self._files: list[mmap.mmap] = []
        self.index, self.data = self._mapped(f"{stem}.idx"), self._mapped(f"{stem}.pack")
        if self.index[:8] != b"\xfftOc\0\0\0\x02" or self.data[:4] != b"PACK":
            raise MalformedInput(f"{os.path.basename(stem)}: not a pack with an index of version 2")
        self.count = struct.unpack_from(">I", self.index, 8 + 255 * 4)[0]
        self._names = 8 + 1024
        self._offsets = self._names + self.count * 24
        if self._offsets + self.count * 4 + 40 > len(self.index):
            raise MalformedInput(f"{os.path.basename(stem)}: the index is cut off")

    def _mapped(self, path: str) -> mmap.mmap:
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size < 1072:
                    raise MalformedInput(f"{os.path.basename(path)}: too short to be one")
                made = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise unreadable(path, error) from error
        self._files.append(made)
        return made

    def close(self) -> None:
        for one in self._files:
            one.close()

    def find(self, name: bytes) -> int:
        """Where an object begins in the pack; -1 where it is not there."""
        first = name[0]
        low = struct.unpack_from(">I", self.index, 8 + (first - 1) * 4)[0] if first else 0
        high = min(struct.unpack_from(">I", self.index, 8 + first * 4)[0], self.count)
        while low < high:
            middle = (low + high) // 2
            here = self.index[self._names + middle * 20 : self._names + middle * 20 + 20]
            if here == name:
                return self._at(middle)
            low, high = (middle + 1, high) if here < name else (low, middle)
        return -1

    def _at(self, number: int) -> int:
        found = struct.unpack_from(">I", self.index, self._offsets + number * 4)[0]
        if not found & 0x80000000:
            return int(found)
        place = self._offsets + self.count * 4 + (found & 0x7FFFFFFF) * 8
        if place + 8 > len(self.index):
            raise MalformedInput("an index leads outside of itself")
        return int(struct.unpack_from(">Q", self.index, place)[0])

    def entry(self, at: int, largest: int) -> tuple[int, int, int, int]:
        """(kind, size, base, where its data begin) of an entry: for deltas `base` is an offset, or where the name of theirs stands."""
        start, data = at, self.data
        if not 12 <= at < len(data) - 20:
            raise MalformedInput("a pack's index leads outside of the pack")
        byte = data[at]
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            at += 1
            byte = self._byte(at)
            size |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise MalformedInput("a size in a pack has no end")
        at += 1
        if size > largest:
            raise LimitExceeded(f"an object of {size} bytes", limit="bytes")
        base = 0
        if kind == _BY_OFFSET:
            byte = self._byte(at)
            base = byte & 0x7F
            while byte & 0x80:
                at += 1
                byte = self._byte(at)
                base = ((base + 1) << 7) | (byte & 0x7F)
                if base > start:
                    break
            at += 1
            if not 0 < base <= start - 12:
                raise MalformedInput("a delta leads outside of its pack")
            base = start - base
        elif kind == _BY_NAME:
            base, at = at, at + 20
        elif kind not in _KINDS:
            raise MalformedInput(f"a pack holds an entry of the kind {kind}")
        return kind, size, base, at

    def _byte(self, at: int) -> int:
        if at >= len(self.data):
            raise MalformedInput("a pack is cut off")
        return self.data[at]


def _inflated(data: bytes | mmap.mmap, at: int, size: int) -> tuple[bytes, int]:
    """What a zlib stream holds, of at most `size` bytes. Raises MalformedInput."""
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(data[at : at + size + (size >> 3) + 4096], size + 1)
    except zlib.error as error:
        raise MalformedInput(f"a compressed object is damaged: {error}") from error
    if len(body) > size:
        raise MalformedInput("an object is longer than it says")
    return body, size


def _patched(base: bytes, delta: bytes, largest: int) -> bytes:
    """Source: gitformat-pack, "Deltified representation"."""
    before, at = _varint(delta, 0)
    size, at = _varint(delta, at)
    if before != len(base) or size > largest:
        raise MalformedInput("a delta is for another object, or too large")
    made = bytearray()
    while at < len(delta):
        code = delta[at]
        at += 1
        if code & 0x80:
            offset = count = 0
            for bit in range(4):
                if code & 1 << bit:
                    offset |= _at(delta, at) << 8 * bit
                    at += 1
            for bit in range(3):
                if code & 0x10 << bit:
                    count |= _at(delta, at) << 8 * bit
                    at += 1
            count = count or 0x10000
            if offset + count > len(base):
                raise MalformedInput("a delta copies from outside of its base")
            made += base[offset : offset + count]
        elif code:
            made += delta[at : at + code]
            at += code
        else:
            raise MalformedInput("a delta with a reserved instruction")
        if len(made) > size:
            break
    if len(made) != size:
        raise MalformedInput("a delta comes to another size than it says")
    return bytes(made)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = _at(data, at)
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise MalformedInput("a number in a delta has no end")


def _at(data: bytes, at: int) -> int:
    if at >= len(data):
        raise MalformedInput("a delta is cut off")
    return data[at]


def _person(line: bytes) -> Person:
    match = _PERSON.match(line)
    if match is None:
        return Person(line[:200].decode("utf-8", "replace"), "", 0)
    return Person(
        match["name"].strip().decode("utf-8", "replace"), match["mail"].decode("utf-8", "replace"), int(match["at"])
    )


def _ordered(found: dict[str, Commit], start: str) -> list[Commit]:
    """Parents before children, by a walk that needs no recursion."""
    order: list[Commit] = []
    done, waiting = set[str](), [(start, False)]
    while waiting:
        oid, ready = waiting.pop()
        if oid not in found or oid in done:
            continue
        if ready:
            done.add(oid)
            order.append(found[oid])
            continue
        waiting.append((oid, True))
        waiting += [(one, False) for one in reversed(found[oid].parents) if one not in done]
    return order
