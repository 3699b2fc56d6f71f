"""Reads histories of pages as they come: MediaWiki dumps with all revisions (XML), and index files of Common Crawl (CDXJ).

A page at a time, so that memory does not grow with the dump. Sources: MediaWiki export schema 0.11, Common Crawl index
(`urlkey timestamp {json}`), both in the order of their pages.
"""

from __future__ import annotations

import bz2
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final, cast
from xml.parsers import expat

import msgspec
from msgspec import Struct

from weighbridge.formats.rows import Rejected, byte_lines, open_bytes, unpacked
from weighbridge.schema import LimitExceeded, MalformedInput, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_XML: Final = (".xml", ".xml.gz", ".xml.bz2")
_INDEX: Final = (".cdxj", ".cdxj.gz", ".cdx", ".cdx.gz")
_CHUNK: Final = 1 << 20
_VERSIONS: Final = 200_000  # of one page
_TEXT: Final = 512
_HEAD: Final = 4096
_UNPACKED: Final = 4 << 40
_KEPT: Final = frozenset({"title", "timestamp", "sha1", "username", "ip"})


class Version(Struct, frozen=True):
    """A page as it was from some moment on (seconds since 1970): the digest of its content, and who put it there."""

    time: float
    digest: str
    author: str


class Page(Struct, frozen=True):
    """A page with its versions in order."""

    name: str
    versions: list[Version]


def is_history(path: str) -> bool:
    """Whether a file holds histories of pages: by its name, and of XML by how it begins."""
    name = path.lower()
    if name.endswith(_INDEX):
        return True
    if not name.endswith(_XML):
        return False
    try:
        with _opened(path) as file:
            return b"<mediawiki" in unpacked(file, _HEAD, path)
    except (MalformedInput, SourceError):  # what cannot be read is told where its bytes are inspected
        return False


def is_crawl(path: str) -> bool:
    """Whether it is an index of crawls: visits, not every change."""
    return path.lower().endswith(_INDEX)


def read_pages(path: str, rejected: Rejected) -> Iterator[Page]:
    """The pages of a file, in its order. Raises MalformedInput, LimitExceeded, SourceError."""
    return _crawled(path, rejected) if is_crawl(path) else _edited(path, rejected)


def _opened(path: str) -> IO[bytes]:
    with open_bytes(path) as file:
        packed = unpacked(file, 3, path) == b"BZh"
    return cast("IO[bytes]", bz2.open(path, "rb")) if packed else open_bytes(path)


class _Export:
    """Collects pages from the events of a parser. Texts of revisions are passed over."""

    def __init__(self, rejected: Rejected) -> None:
        self.pages: list[Page] = []
        self._rejected, self._revisions = rejected, 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self._found: dict[str, str] = {}
        self._versions: list[Version] = []
        self._title = ""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text, self._size = [], 0
        if name == "text" and attributes.get("sha1"):
            self._found["sha1"] = attributes["sha1"]
        if len(self._path) > 32:
            raise LimitExceeded("elements nested deeper than 32", limit="depth")

    def words(self, text: str) -> None:
        if self._path and self._path[-1] in _KEPT and self._size < _TEXT:
            self._text.append(text)
            self._size += len(text)

    def end(self, name: str) -> None:
        if name in _KEPT:
            self._found[name] = "".join(self._text)[:_TEXT].strip()
        if name == "title":
            self._title = self._found["title"]
        elif name == "revision":
            self._revision()
        elif name == "page":
            self.pages.append(Page(self._title, sorted(self._versions, key=lambda one: one.time)))
            self._versions = []
        self._path.pop()
        self._text, self._size = [], 0

    def _revision(self) -> None:
        found, self._found = self._found, {}
        self._revisions += 1
        try:
            when = datetime.fromisoformat(found["timestamp"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            self._rejected.add(self._revisions, "a revision without a moment")
            return
        if not found.get("sha1"):
            self._rejected.add(self._revisions, "a revision without a digest")
        else:
            self._versions.append(Version(when, found["sha1"], found.get("username") or found.get("ip", "")))
        if len(self._versions) > _VERSIONS:
            raise LimitExceeded(f"{self._title[:80]}: more than {_VERSIONS} revisions", limit="members")


def _edited(path: str, rejected: Rejected) -> Iterator[Page]:
    export, parser = _Export(rejected), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = export.begin, export.end
    parser.CharacterDataHandler = export.words

    def refused(*_: Any) -> None:
        raise MalformedInput(f"{path}: it declares entities, which a dump does not")

    parser.EntityDeclHandler = refused
    read = 0
    with _opened(path) as file:
        while True:
            piece = unpacked(file, _CHUNK, path)
            read += len(piece)
            if read > _UNPACKED:
                raise LimitExceeded(f"{path}: more than {_UNPACKED >> 40} TiB", limit="bytes")
            try:
                parser.Parse(piece, not piece)
            except expat.ExpatError as error:
                raise MalformedInput(f"{path}: {error}", offset=read) from error
            pages, export.pages = export.pages, []
            yield from pages
            if not piece:
                return


def _crawled(path: str, rejected: Rejected) -> Iterator[Page]:
    name, versions = "", list[Version]()
    for number, line in byte_lines(path, rejected):
        if not line.strip():
            continue
        found = _visit(line)
        if found is None:
            rejected.add(number, "no line of an index: urlkey, timestamp, and JSON with a digest")
            continue
        key, version = found
        if key != name and versions:
            yield Page(name, sorted(versions, key=lambda one: one.time))
            versions = []
        name = key
        versions.append(version)
        if len(versions) > _VERSIONS:
            raise LimitExceeded(f"{name[:80]}: more than {_VERSIONS} visits", limit="members")
    if versions:
        yield Page(name, sorted(versions, key=lambda one: one.time))


def _visit(line: bytes) -> tuple[str, Version] | None:
    try:
        key, stamp, rest = line.decode("utf-8", "replace").split(" ", 2)
        when = datetime.strptime(stamp[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
        digest = msgspec.json.decode(rest)["digest"]
    except (ValueError, KeyError, TypeError, msgspec.DecodeError):
        return None
    return (key, Version(when, str(digest), "")) if isinstance(digest, str) and digest else None
