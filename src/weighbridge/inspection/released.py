"""Knows how two packages become one report: two releases of a project, or one release and the source it is said to be made of."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from typing import TYPE_CHECKING, Final

import msgspec

from weighbridge.dependencies.releases import described, published
from weighbridge.detect.release import detect_gain, read_release
from weighbridge.formats.manifests import normal
from weighbridge.formats.metadata import read_metadata
from weighbridge.identify import CONTAINERS, identify, open_container
from weighbridge.inspection.origin import judged
from weighbridge.inspection.packages import packages, quieted, subjects
from weighbridge.inspection.plan import Options, Result, collect
from weighbridge.rules.finding import finding
from weighbridge.schema import Coverage, Finding, Limits, Location, MalformedInput, Severity, SourceError, UsageError
from weighbridge.schema.text import printable
from weighbridge.source import Budget, FileBlob, Kind, LocalTree, Tree, chunks, local
from weighbridge.source.index import fetch, release
from weighbridge.source.stream import StreamTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.dependencies.wanted import Demands
    from weighbridge.policy import Policy
    from weighbridge.schema import Report
    from weighbridge.source import Blob
    from weighbridge.source.http import Session

_WHEEL: Final = re.compile(r"(?P<name>[\w.]+)-(?P<version>[\w.!+]+)(?:-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl\Z")
_SDIST: Final = re.compile(r"(?P<name>.+)-(?P<version>\d[\w.!+]*)\.(?:tar\.gz|zip|tgz)\Z")
_CODE: Final = re.compile(r"\.(?:py|pth|js|mjs|cjs|sh|bat|ps1|so|pyd|dll|dylib|exe|node)\Z")
_NATIVE: Final = re.compile(r"\.(?:so|pyd|dll|dylib|node)\Z")
_MADE: Final = re.compile(r"(?:^|/)(?:_?_?version_?_?|_version_info|__about__|_build_info|version_info|_buildinfo|__config__|_distributor_init|git_version)\.py\Z|_pb2(?:_grpc)?\.pyi?\Z|(?:^|/)_?generated/|\.dist-info/|\.egg-info/|(?:^|/)vendor(?:ed)?/")  # fmt: skip
_HASHED: Final = 64 << 20
_SHOWN: Final = 8
_LONGEST: Final = 4 << 20
_SAID: Final = re.compile(r"[^/]+\.dist-info/(?:METADATA|WHEEL)\Z")


def released(old: str, new: str, policy: Policy | None = None) -> Report:
    """Hold two packages against each other. Raises SourceError, UsageError.

    The same version twice, or a folder of sources and a package: files. Two versions: what the later one can do, and could not.
    """
    if os.path.isdir(old) or _version(old) == _version(new) != "":
        return _made_of(old, new, policy)
    before, after = (collect([path], Options(packaged=True)) for path in (old, new))
    earlier, later = subjects(before), subjects(after)
    if not earlier or not later:
        missing = old if not earlier else new
        raise UsageError(
            f"{missing}: not a package that can be read here", hint="give wheels, source distributions or npm packages"
        )
    findings = [
        *detect_gain(read_release(earlier[0]), read_release(later[0])),
        *_fresh(before, after),
        *described(new, _metadata(old), _metadata(new)),
    ]
    return judged(new, findings, size=os.path.getsize(new), coverage=after.coverage, policy=policy)


def fetched(old: str, new: str, session: Session, index: str, demands: Demands, policy: Policy) -> Report:
    """Fetch two releases of an index, and hold them against each other. Raises SourceError, UsageError."""
    before = release(old, session, index)
    after = release(new, session, index, like=before.file)
    with tempfile.TemporaryDirectory() as folder:
        report = released(fetch(before, folder, session), fetch(after, folder, session), policy)
        findings = [_bare(one, folder) for one in report.findings]
    findings += published(before, after, demands, policy.today)
    coverage = [
        msgspec.structs.replace(entry, path=(os.path.basename(entry.path[0]), *entry.path[1:]))
        for entry in report.coverage
    ]
    return judged(f"{old} -> {new}", findings, size=report.artifact.size, coverage=coverage, policy=policy)


def _bare(one: Finding, folder: str) -> Finding:
    """A finding without the folder that the file was fetched into."""
    first, *rest = one.location.path
    place = msgspec.structs.replace(one.location, path=(first.removeprefix(f"{folder}{os.sep}"), *rest))
    return msgspec.structs.replace(one, location=place)


def _version(path: str) -> str:
    match = _WHEEL.search(os.path.basename(path)) or _SDIST.search(os.path.basename(path))
    return f"{normal('pypi', match['name'])} {match['version']}" if match else ""


def _fresh(before: Result, after: Result) -> Iterator[Finding]:
    """Findings of the later release that the earlier one does not have, in any place: files move between releases."""
    known = {_said(one) for one in _about(before)}
    for one in _about(after):
        if _said(one) not in known and one.severity is not Severity.INFO:
            yield one


def _about(result: Result) -> list[Finding]:
    every = [*quieted([result]), *packages([result])]
    return [one for part in every for one in part.findings]


def _said(one: Finding) -> tuple[str, str]:
    return one.rule, re.sub(r"\d+", "", one.message)


def _made_of(source: str, made: str, policy: Policy | None) -> Report:
    """A release against the source distribution or the folder that it is said to be made of."""
    sources = dict(_digests(source))
    if not sources:
        raise SourceError(f"{source}: no code in it", hint="give the source distribution, or the folder of the tag")
    by_name: dict[str, set[str]] = {}
    for name, digest in sources.items():
        parts = name.split("/")
        for at in range(len(parts)):
            by_name.setdefault("/".join(parts[at:]), set()).add(digest)
    findings, absent, count = [], list[str](), 0
    for name, digest in _digests(made):
        count += 1
        if _MADE.search(name) or _NATIVE.search(name):
            continue
        bare = (
            name.partition("/")[2]
            if made.endswith((".tar.gz", ".tgz"))
            else re.sub(r"\A[^/]+\.data/(?:purelib|platlib|scripts|data)/", "", name)
        )
        known = by_name.get(bare)
        if known is None:
            absent.append(name)
        elif digest not in known:
            place = Location(path=(made, name))
            evidence = [f"sha256 {digest[:32]}…, in the source {min(known)[:32]}…"]
            findings.append(
                finding("PKG-018", place, printable(f"{name} is not what its source holds"), evidence=evidence)
            )
    if absent:
        # A build may write files of its own; a start-up file or a script of another language is none of them.
        grave = [name for name in absent if not name.endswith(".py")]
        shown = grave or absent
        severity = Severity.HIGH if grave else Severity.MEDIUM
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        findings.append(
            finding(
                "PKG-018",
                Location(path=(made,)),
                printable(f"{shown[0]}{more}: in no file of the source"),
                evidence=map(printable, shown[:_SHOWN]),
                severity=severity,
            )
        )
    covered = Coverage(path=(made,), format="package", size=os.path.getsize(made), inspected=os.path.getsize(made))
    return judged(made, findings, size=os.path.getsize(made), files=count, coverage=[covered], policy=policy)


def _metadata(path: str) -> dict[str, tuple[str, ...]]:
    """Who made a wheel and with what, as its own metadata says; empty for other packages."""
    if not path.endswith(".whl"):
        return {}
    blob = FileBlob(path)
    found: dict[str, tuple[str, ...]] = {}
    try:
        tree = _archive(blob, os.path.basename(path))
        for entry in tree.entries():
            if _SAID.match(entry.name) and entry.size <= _LONGEST:
                found |= read_metadata(tree.open(entry).read(0, _LONGEST).decode("utf-8", "replace"))
    finally:
        blob.close()
    return found


def _digests(path: str) -> Iterator[tuple[str, str]]:
    """(name, digest of the text with plain line ends) of every file of code. Raises SourceError, MalformedInput."""
    opened = local(path)
    tree: Tree = opened if isinstance(opened, LocalTree) else _archive(opened, os.path.basename(path))
    try:
        for entry in tree.entries():
            if entry.kind is Kind.FILE and _CODE.search(entry.name) and entry.size <= _HASHED:
                data = b"".join(chunks(tree.open(entry)))
                yield entry.name, hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
    finally:
        if isinstance(opened, FileBlob):
            opened.close()


def _archive(blob: Blob, name: str) -> Tree:
    """The archive in a blob, by its content: compressed streams are opened as far as the archive in them."""
    limits = Limits()
    budget = Budget(limits)
    for _ in range(limits.depth):
        found = identify(blob).format
        if found not in CONTAINERS:
            break
        tree = open_container(found, blob, name, budget)
        if not isinstance(tree, StreamTree):
            return tree
        blob = tree.spool
    raise MalformedInput(f"{name}: no archive in it", hint="give a wheel, a source distribution or an npm package")
