"""Knows how paths become a report: list the files, share them among processes, gather in a fixed order."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.detect import Knowledge, detect
from weighbridge.inspection.budget import Account
from weighbridge.inspection.stages import Stages
from weighbridge.names import NOBODY, Own
from weighbridge.policy import Policy, decide
from weighbridge.provenance.wanted import Wanted
from weighbridge.rules import ruleset_version
from weighbridge.schema import (
    Artifact,
    Coverage,
    Fact,
    Finding,
    Limits,
    Location,
    Proof,
    Reason,
    Report,
    SourceError,
    Status,
)
from weighbridge.source import Anomaly, Blob, Entry, FileBlob, Kind, Oddity, local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from weighbridge.detect.patterns import Pattern
    from weighbridge.detect.subjects import Note

_SHARED_FROM_BYTES: Final = 512 << 20
_SHARED_FROM_FILES: Final = 20_000
_BATCH: Final = 64
_INSTALLED: Final = re.compile(r"\.dist-info/(?:RECORD|METADATA)\Z|/PKG-INFO\Z")


class Job(Struct, frozen=True):
    """One file to inspect: where it is and what it is called in the report."""

    path: str
    shown: tuple[str, ...]
    size: int


class Result(Struct, frozen=True):
    """What came out of one file, or of a folder's own structure."""

    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...] = ()


class Options(Struct, frozen=True, kw_only=True):
    """How to inspect. `workers` of 0 means as many as there are processors, where that pays.

    `offline` refuses addresses, `cache` keeps ranges of far files on the disk, `connections` bounds requests at a time.
    `wanted` says who is trusted and what has to speak for an artifact on this machine. `own` are callables and `names`
    names of hubs that the organisation knows. `packaged` says that folders are installed or unpacked packages,
    `patterns` are YARA rules of the user's; those of a feed join them.
    """

    limits: Limits = Limits()
    own: frozenset[str] = frozenset()
    names: Own = NOBODY
    workers: int = 0
    excluded: tuple[str, ...] = ()
    hashing: bool = False
    offline: bool = False
    cache: bool = True
    connections: int = 8
    wanted: Wanted = Wanted()
    packaged: bool = False
    patterns: tuple[Pattern, ...] = ()


def scan(
    paths: Sequence[str],
    *,
    policy: Policy | None = None,
    options: Options | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Inspect files and folders and judge them as one artifact.

    `progress` hears (files done, files in all). Raises SourceError where a path does not exist.
    """
    chosen, options = policy or Policy(), options or Options()
    if options.wanted.feed:
        from weighbridge.inspection.origin import feed_patterns  # noqa: PLC0415  # few runs have a feed

        options = replace(options, patterns=(*options.patterns, *feed_patterns(options.wanted)))
    jobs: list[Job] = []
    results: list[Result] = []
    far: list[Job] = []
    received = 0
    for path in paths:
        if "://" in path and _is_far(path):
            from weighbridge.inspection.far import inspect_far  # noqa: PLC0415  # only far artifacts need it

            files, made, count = inspect_far(path, options, progress)
            far += files
            results += made
            received += count
            continue
        found, structured = _listed(path, options)
        jobs += found
        results += structured
    if any(_INSTALLED.search(job.shown[0]) for job in jobs):
        options = replace(options, packaged=True)
    results += _run(jobs, options, progress)
    proofs: tuple[Proof, ...] = ()
    if options.wanted.anything:
        proofs, spoken = _origin([path for path in paths if "://" not in path], options.wanted)
        results.append(spoken)
    every = [*jobs, *far]
    results += [_twins(results), _whole(results)]
    results = _packages(results)
    results += [_declared(path, results) for path in paths if "://" not in path and os.path.isdir(path)]
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module

    artifact = Artifact(
        name=", ".join(without_secrets(path) for path in paths),
        size=sum(job.size for job in every),
        files=len(every),
        sha256=_digest(jobs) if options.hashing and not far else "",
        received=received,
    )
    return decide(
        Report(
            artifact=artifact,
            findings=_ordered(finding for result in results for finding in result.findings),
            coverage=tuple(sorted(_coverage(results), key=lambda e: e.path)),
            facts=tuple(fact for result in results for fact in result.facts),
            proofs=proofs,
            verdict=chosen.pending(),
            tool=f"weighbridge {__version__}",
            rules=ruleset_version(),
        ),
        chosen,
    )


def _origin(paths: Sequence[str], wanted: Wanted) -> tuple[tuple[Proof, ...], Result]:
    """What speaks for and against each artifact on this machine."""
    from datetime import UTC, datetime  # noqa: PLC0415  # only where provenance is asked for

    from weighbridge.inspection.origin import origin  # noqa: PLC0415

    found = [origin(path, wanted, datetime.now(UTC)) for path in paths]
    proofs = tuple(proof for held, _ in found for proof in held)
    return proofs, Result(tuple(finding for _, findings in found for finding in findings), (), ())


def _declared(path: str, results: list[Result]) -> Result:
    """What the card and configuration of a folder say, held against what was read."""
    if not any(note.kind in {"tensors", "config"} for result in results for note in result.notes):
        return Result((), (), ())
    from weighbridge.inspection.inventory import claims_of  # noqa: PLC0415  # few artifacts are repositories
    from weighbridge.inspection.origin import as_findings  # noqa: PLC0415
    from weighbridge.provenance.description import complaints  # noqa: PLC0415

    base = f"{path.rstrip('/')}/"
    notes = tuple(note for result in results for note in result.notes if note.path[0].startswith(base))
    coverage = tuple(entry for result in results for entry in result.coverage if entry.path[0].startswith(base))
    return Result(tuple(as_findings(path, complaints(claims_of(path, notes, coverage)))), (), ())


def without_secrets(path: str) -> str:
    """A path, or an address without what may be a password or a signature."""
    scheme, marker, rest = path.partition("://")
    if not marker:
        return path
    host, slash, file = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2] if scheme != 'hf' else host}{slash}{file}"


def collect(paths: Sequence[str], options: Options) -> Result:
    """Findings, coverage, facts and notes of files and folders on this machine, without a verdict."""
    jobs: list[Job] = []
    results: list[Result] = []
    for path in paths:
        found, structured = _listed(path, options)
        jobs += found
        results += structured
    results += _run(jobs, options, None)
    results += [_twins(results), _whole(results)]
    return Result(
        tuple(finding for result in results for finding in result.findings),
        tuple(_coverage(results)),
        tuple(fact for result in results for fact in result.facts),
        tuple(note for result in results for note in result.notes),
    )


def _is_far(path: str) -> bool:
    from weighbridge.inspection.far import is_far  # noqa: PLC0415  # only addresses need it

    return is_far(path)


def _ordered(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(findings), key=Finding.sort_key))


def _listed(path: str, options: Options) -> tuple[list[Job], list[Result]]:
    source = local(path)
    if isinstance(source, FileBlob):
        size = source.size
        source.close()
        return [Job(path, (path,), size)], []
    jobs, entries, coverage = [], list[Entry](), list[Coverage]()
    base = path.rstrip("/") or "/"
    for entry in source.entries():
        if excluded(entry.name, options.excluded):
            continue
        entries.append(entry)
        shown = (f"{base}/{entry.name}",)
        if entry.kind is Kind.FILE:
            jobs.append(Job(source.path_of(entry), shown, entry.size))  # hot on large trees
        elif entry.kind is Kind.SPECIAL:
            coverage.append(
                Coverage(
                    path=shown, format="", size=0, status=Status.SKIPPED, reason=Reason.NOT_REGULAR, detail=entry.target
                )
            )
    return jobs, [structure(path, tuple(entries), tuple(source.anomalies()), tuple(coverage), options.names)]


def structure(
    path: str,
    entries: tuple[Entry, ...],
    anomalies: tuple[Anomaly, ...],
    coverage: tuple[Coverage, ...] = (),
    names: Own = NOBODY,
) -> Result:
    """What a folder itself says: links, devices, colliding names, shard sets."""
    from weighbridge.detect.subjects import Note, TreeSubject  # noqa: PLC0415  # only folders need it
    from weighbridge.source.names import name_anomalies  # noqa: PLC0415

    # The folder itself has resolved its links on the disk; their text alone says less.
    by_name = (a for a in name_anomalies(entries) if a.oddity is not Oddity.LINK_ESCAPE)
    subject = TreeSubject(
        location=Location(path=(path,)), format="folder", entries=entries, anomalies=(*anomalies, *by_name)
    )
    links = [entry.name for entry in entries if entry.kind in {Kind.LINK, Kind.HARDLINK}]
    base = path.rstrip("/") or "/"
    notes = tuple(Note(kind="link", path=(f"{base}/{name}",), value=True) for name in links)
    return Result(tuple(detect(subject, names)), coverage, (), notes)


def _packages(results: list[Result]) -> list[Result]:
    """Packages as wholes; rules about one's own code and repositories say nothing about them."""
    if not any(
        note.kind in {"code", "script", "path file", "package.json"} for result in results for note in result.notes
    ):
        return results
    from weighbridge.inspection.packages import packages, quieted  # noqa: PLC0415  # few artifacts are packages

    return [*quieted(results), *packages(results)]


def _twins(results: list[Result]) -> Result:
    """Safetensors files and torch files of the same name, held against each other."""
    notes = [note for result in results for note in result.notes if note.kind == "tensor bytes"]
    sizes = {note.path[0]: note.value for note in notes if len(note.path) == 1 and isinstance(note.value, int)}
    if not any(path.endswith(".safetensors") for path in sizes):
        return Result((), (), ())
    from weighbridge.detect.stn import detect_twins  # noqa: PLC0415  # only folders with safetensors need it

    return Result(tuple(detect_twins(sizes)), (), ())


def _whole(results: list[Result]) -> Result:
    """What members of one folder say together."""
    notes = [note for result in results for note in result.notes if note.kind != "tensor bytes"]
    if not notes:
        return Result((), (), ())
    from weighbridge.inspection.whole import repositories  # noqa: PLC0415  # only repositories need it

    findings, failed = repositories(notes, [entry for result in results for entry in result.coverage])
    return Result(findings, failed, ())


def _coverage(results: list[Result]) -> Iterator[Coverage]:
    """The coverage of every member; plain numbers that another member accounts for are no longer unknown."""
    named = [note for result in results for note in result.notes if note.kind == "numbers"]
    known = set[tuple[str, ...]]()
    if named:
        from weighbridge.inspection.whole import named_files  # noqa: PLC0415  # few artifacts need it

        known = named_files(named)
    for result in results:
        for entry in result.coverage:
            if entry.path in known and entry.reason is Reason.UNSUPPORTED and entry.format == "unknown":
                yield Coverage(path=entry.path, format="tensor data", size=entry.size, tensor=entry.size)
            else:
                yield entry


def excluded(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a file is left out by its path in the folder."""
    if not patterns:
        return False
    from fnmatch import fnmatch  # noqa: PLC0415  # only where --exclude is used

    return any(fnmatch(name, pattern) for pattern in patterns)


def _run(jobs: list[Job], options: Options, progress: Callable[[int, int], None] | None) -> list[Result]:
    workers = options.workers or min(os.cpu_count() or 1, len(jobs))
    large = sum(job.size for job in jobs) > _SHARED_FROM_BYTES or len(jobs) > _SHARED_FROM_FILES
    if workers > 1 and len(jobs) > 1 and (large or options.workers > 1):
        return list(_shared(jobs, options, workers, progress))
    results = []
    for number, job in enumerate(jobs):
        if progress:
            progress(number, len(jobs))
        results.append(inspect_file(job, options))
    return results


def _shared(
    jobs: list[Job], options: Options, workers: int, progress: Callable[[int, int], None] | None
) -> Iterator[Result]:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415  # costs 20 ms, needed for large trees only

    step = max(1, min(_BATCH, len(jobs) // (4 * workers)))
    with ProcessPoolExecutor(workers) as pool:
        for number, result in enumerate(pool.map(inspect_file, jobs, [options] * len(jobs), chunksize=step)):
            if progress:
                progress(number, len(jobs))
            yield result


def inspect_file(job: Job, options: Options) -> Result:
    """Inspect one file. Never raises for what the file holds."""
    try:
        blob = FileBlob(job.path)
    except SourceError as error:
        unread = Coverage(
            path=job.shown,
            format="unknown",
            size=job.size,
            status=Status.SKIPPED,
            reason=Reason.UNREADABLE,
            detail=error.message,
        )
        return Result((), (unread,), ())
    result = inspect_blob(blob, job.shown, options)
    blob.close()
    return result


def inspect_blob(blob: Blob, shown: tuple[str, ...], options: Options) -> Result:
    """Inspect bytes that can be read by position. Never raises for what they hold."""
    account = Account(options.limits, time.monotonic)
    stages = Stages(account, Knowledge(options.own), packaged=options.packaged, patterns=options.patterns)
    location = Location(path=shown)
    stages.member(location, blob)
    if getattr(blob, "changed", False):
        stages.bounded(location, blob.size, "unchanged", "the file changed while it was inspected")
    findings = [*stages.findings, *_opinions(stages, options.names)]
    return Result(tuple(findings), tuple(stages.coverage), tuple(stages.facts), tuple(stages.notes))


def _opinions(stages: Stages, names: Own) -> list[Finding]:
    """What the detectors say. A fault in one of them costs the member it was about, and nothing else."""
    findings: list[Finding] = []
    for subject in stages.subjects:
        try:
            findings += detect(subject, names)
        except Exception as error:  # noqa: BLE001  # reported as not inspected, never swallowed
            stages.skipped(subject.location, 0, Reason.INTERNAL, f"{type(error).__name__}: {error}")
    return findings


def _digest(jobs: list[Job]) -> str:
    """SHA-256 over the sorted list of names and SHA-256 digests of the files; the file's own for a single one."""
    import hashlib  # noqa: PLC0415  # only where hashing is asked for

    digests = []
    for job in jobs:
        with open(job.path, "rb", buffering=0) as file:  # file_digest wants a raw file
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(jobs) == 1:
        return digests[0]
    lines = sorted(f"{digest}  {job.shown[0]}\n" for digest, job in zip(digests, jobs, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
