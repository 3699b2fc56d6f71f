"""Knows whether a wheel is what it says of itself: RECORD against its files, its metadata against its name, its modules against others'."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING, Final

from weighbridge.formats.manifests import normal
from weighbridge.formats.metadata import first, read_metadata
from weighbridge.formats.record import read_record
from weighbridge.names.packages import popular
from weighbridge.rules.finding import finding
from weighbridge.schema import Limits, Location, Severity, WeighbridgeError
from weighbridge.schema.text import printable
from weighbridge.source import Budget, FileBlob, Kind, chunks
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from weighbridge.schema import Finding
    from weighbridge.source import Entry

_UNLISTED: Final = re.compile(r"\.dist-info/(?:RECORD(?:\.jws|\.p7s)?|direct_url\.json|INSTALLER|REQUESTED)\Z")
_METADATA: Final = re.compile(r"\A[^/]+\.dist-info/METADATA\Z")
_FILE: Final = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)-(?:\d[^-]*-)?[^-]+-[^-]+-[^-]+\.whl\Z")
_HASHED: Final = 64 << 20
_LONGEST: Final = 4 << 20
_SHOWN: Final = 6
_USED: Final = 2000


def against_itself(path: str, record: str, digests: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Everything about one wheel on this machine. `digests` are SHA-256 of members that are known already.

    What cannot be read is in the coverage already.
    """
    if not os.path.isfile(path):
        return
    blob = FileBlob(path)
    try:
        tree = ZipTree(blob, Budget(Limits()))
        entries = [entry for entry in tree.entries() if entry.kind is Kind.FILE]
        if len({entry.name for entry in entries}) < len(entries):
            digests = None  # two members of one name: each is read for itself
        wrong = list(_against_record(tree, entries, record, digests or {})) if record else []
        if wrong:
            yield finding(
                "PKG-014", Location(path=(path,)), printable(wrong[0]), evidence=map(printable, wrong[:_SHOWN])
            )
        yield from _against_name(path, tree, entries)
        yield from _against_others(path, entries)
    except WeighbridgeError:
        return
    finally:
        blob.close()


def _against_record(tree: ZipTree, entries: Sequence[Entry], record: str, digests: Mapping[str, str]) -> Iterator[str]:
    """Every file listed, with its digest, and none missing."""
    listed = {one.name: one for one in read_record(record)}
    for entry in entries:
        known = listed.get(entry.name)
        if known is None:
            if not _UNLISTED.search(entry.name):
                yield f"{entry.name} is in no RECORD"
        elif (
            known.sha256 and entry.size <= _HASHED and (digests.get(entry.name) or _sha256(tree, entry)) != known.sha256
        ):
            yield f"{entry.name} is not what RECORD lists"
    present = {entry.name for entry in entries}
    yield from (f"{name} is in RECORD and not here" for name in listed if name not in present)


def _sha256(tree: ZipTree, entry: Entry) -> str:
    digest = hashlib.sha256()
    for piece in chunks(tree.open(entry)):
        digest.update(piece)
    return digest.hexdigest()


def _against_name(path: str, tree: ZipTree, entries: Sequence[Entry]) -> Iterator[Finding]:
    """The name and version of the metadata against those of the file: tools show one of them, and install the other."""
    match = _FILE.match(os.path.basename(path))
    infos = [entry for entry in entries if _METADATA.match(entry.name)]
    if len(infos) > 1:
        evidence = [printable(entry.name) for entry in infos[:_SHOWN]]
        yield finding("PKG-014", Location(path=(path,)), f"{len(infos)} packages in one wheel", evidence=evidence)
    if match is None or not infos:
        return
    said = read_metadata(tree.open(infos[0]).read(0, _LONGEST).decode("utf-8", "replace"))
    name, version = first(said, "name"), first(said, "version")
    plain = re.sub(r"[-_+]", ".", version)
    if normal("pypi", name) != normal("pypi", match["name"]) or plain != re.sub(r"[-_+]", ".", match["version"]):
        message = f"the file says {match['name']} {match['version']}, and its metadata says {name} {version}"
        yield finding("PKG-014", Location(path=(path, infos[0].name)), printable(message))


def _against_others(path: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Modules under the name of the standard library's, or of a package that many use: they stand in for the real ones."""
    own = normal("pypi", os.path.basename(path).partition("-")[0])
    used = set(popular("pypi").names[:_USED])
    tops = {entry.name.partition("/")[0].removesuffix(".py") for entry in entries if entry.name.endswith(".py")}
    for top in sorted(tops):
        name = normal("pypi", top)
        if name in own or own in name or top == "__init__":
            continue
        standard = top in sys.stdlib_module_names
        if standard or (name in used and not own.startswith(_KIN.get(name, "-"))):
            whose = "of the standard library" if standard else f"of the package {name}"
            message = f"{own} installs the module {top}, which is the name {whose}"
            yield finding("PKG-014", Location(path=(path, f"{top}")), printable(message), severity=Severity.MEDIUM)


# Modules whose name another package bears, though they are not its own.
_KIN: Final = {"bs4": "beautifulsoup4", "google": "protobuf", "attr": "attrs", "dateutil": "python-dateutil"}
