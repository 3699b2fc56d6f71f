"""Knows how files that list packages, and environments that hold them, become one report."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.dependencies.advisories import Advisories
from weighbridge.dependencies.habits import Habits, drift, unattested
from weighbridge.dependencies.installed import distributions, folders, foreign_licences, inspected, start_files
from weighbridge.dependencies.known import Upgrade, against, joined, upgrades
from weighbridge.dependencies.lookalikes import lookalikes
from weighbridge.dependencies.osv import ECOSYSTEMS
from weighbridge.dependencies.wanted import Demands
from weighbridge.dependencies.workspace import is_workspace, workspace
from weighbridge.detect.package_flow import Flow
from weighbridge.detect.pkg_files import detect_start
from weighbridge.detect.subjects import PackageSubject
from weighbridge.formats.manifests import Included, Listed, Manifest, Origin, is_install, is_manifest, read_manifest
from weighbridge.inspection.origin import judged
from weighbridge.names import NOBODY, Own
from weighbridge.rules.finding import finding
from weighbridge.schema import (
    Coverage,
    Fact,
    LimitExceeded,
    Location,
    MalformedInput,
    Reason,
    SourceError,
    Status,
    Unavailable,
    UsageError,
)
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from weighbridge.policy import Policy
    from weighbridge.provenance.wanted import Wanted
    from weighbridge.schema import Finding, Report

_LONGEST: Final = 64 << 20
_FILES: Final = 200_000
_INCLUDES: Final = 1000
_PASSED: Final = frozenset(
    {
        ".git",
        ".hg",
        "node_modules",
        "__pycache__",
        ".tox",
        ".nox",
        ".mypy_cache",
        "site-packages",
        "dist-packages",
        ".venv",
        "venv",
    }
)
_ARTIFACTS: Final = (
    ("torch", re.compile(r"\.(?:pt|pth|ckpt|bin)\Z")),
    ("pickle", re.compile(r"\.(?:pkl|pickle|joblib)\Z")),
    ("gguf", re.compile(r"\.gguf\Z")),
    ("keras", re.compile(r"\.keras\Z")),
    ("hdf5", re.compile(r"\.(?:h5|hdf5)\Z")),
    ("onnx", re.compile(r"\.onnx\Z")),
)  # fmt: skip


class Order(Struct, frozen=True, kw_only=True):
    """What is audited and by what: `environments` are folders, `advisories` the file, `known` what a baseline holds already.

    `gaps` are sources that could not be reached before the audit began. `attested` maps the SHA-256 of files that a
    verified attestation is about to who signed it.
    """

    paths: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    advisories: str = ""
    demands: Demands = Demands()
    names: Own = NOBODY
    known: frozenset[tuple[str, str, str]] = frozenset()
    gaps: tuple[str, ...] = ()
    attested: dict[str, str] = {}


class Read(Struct, frozen=True):
    """One file that was read: where it lies, as shown, and what it lists."""

    path: str
    place: str
    manifest: Manifest


class Audit(Struct, frozen=True):
    """The report, and the upgrades that would end what is known against versions."""

    report: Report
    upgrades: tuple[Upgrade, ...]
    files: dict[str, str]


def audit(order: Order, policy: Policy) -> Audit:
    """Read everything, and judge it. Raises SourceError where a path does not exist, UsageError where it is no manifest."""
    made = _Audit(order, policy)
    for path in order.paths:
        made.path(path)
    for path in order.environments:
        made.environment(path)
    return made.done()


class _Audit:
    def __init__(self, order: Order, policy: Policy) -> None:
        self._order, self._policy = order, policy
        self._read: list[Read] = []
        self._installed: list[tuple[str, Listed]] = []
        self._findings: list[Finding] = []
        self._coverage: list[Coverage] = []
        self._facts: list[Fact] = []
        self._formats: dict[str, str] = {}
        self._seen: set[str] = set()
        self._size = 0

    def path(self, path: str) -> None:
        """Take a folder or one file."""
        if os.path.isfile(path):
            if path.endswith((".whl", ".tgz", ".tar.gz", ".zip")):
                raise UsageError(f"{path} is a package, not a list of packages", hint=f"weighbridge scan {path}")
            self._file(path, path, os.path.dirname(os.path.realpath(path)), asked=True)
            return
        if not os.path.isdir(path):
            raise SourceError(f"{path}: no such file or folder", hint="check the path")
        root = os.path.realpath(path)
        for number, shown in enumerate(_walk(path)):
            if number > _FILES:
                self._skip(path, f"more than {_FILES} files", Reason.LIMIT)
                return
            for kind, pattern in _ARTIFACTS:
                if pattern.search(shown.lower()):
                    self._formats.setdefault(kind, shown)
            if not (is_manifest(shown) or is_install(shown) or is_workspace(shown)):
                continue
            if os.path.commonpath([root, os.path.realpath(shown)]) == root:
                self._file(shown, shown, root)
            else:
                self._skip(shown, "the link leads out of the folder that is audited", Reason.NOT_REGULAR)

    def _file(self, path: str, place: str, root: str, *, asked: bool = False) -> None:
        real = os.path.realpath(path)
        if real in self._seen:
            return
        self._seen.add(real)
        try:
            size = os.path.getsize(path)
            if size > _LONGEST:
                self._skip(place, f"longer than {_LONGEST >> 20} MiB", Reason.LIMIT)
                return
            with open(path, "rb") as file:
                text = file.read(_LONGEST).decode("utf-8-sig")
            if is_workspace(place):
                self._findings += workspace(place, text)
                self._inspected(place, "workspace", size)
                return
            manifest = read_manifest(path if asked else place, text)
        except (OSError, UnicodeDecodeError) as error:
            self._skip(place, f"cannot be read: {error}", Reason.UNREADABLE)
            return
        except LimitExceeded as error:
            self._skip(place, error.message, Reason.LIMIT)
            return
        except MalformedInput as error:
            self._skip(place, error.message, Reason.MALFORMED)
            return
        if (
            not asked
            and is_install(place)
            and not (manifest.listed or manifest.gaps or manifest.indexes or manifest.includes)
        ):
            return
        if asked and not (manifest.listed or manifest.includes or manifest.indexes) and manifest.gaps:
            raise UsageError(
                f"{place}: nothing here reads like a list of packages", hint=f"first: {manifest.gaps[0].why}"
            )
        self._size += size
        self._read.append(Read(path, place, manifest))
        self._cover(place, size, manifest)
        for one in manifest.includes:
            if manifest.commands:
                self._from_command(path, place, one, root)
            else:
                self._include(path, place, one.path, root)

    def _cover(self, place: str, size: int, manifest: Manifest) -> None:
        if not manifest.gaps:
            self._inspected(place, manifest.kind, size)
            return
        first = manifest.gaps[0]
        more = f" and {len(manifest.gaps) - 1} more lines" if len(manifest.gaps) > 1 else ""
        # What a variable stands for is decided elsewhere; in a pipeline that is no defect of the file.
        if manifest.commands:
            self._inspected(place, manifest.kind, size)
            self._facts.append(
                Fact(path=(place,), name="not known", value=printable(f"line {first.line}: {first.why}{more}"))
            )
            return
        detail = printable(f"line {first.line}: {first.why}{more}")
        self._coverage.append(
            Coverage(
                path=(place,),
                format=manifest.kind,
                size=size,
                inspected=size,
                status=Status.TRUNCATED,
                reason=Reason.MALFORMED,
                detail=detail,
            )
        )

    def _from_command(self, path: str, place: str, one: Included, root: str) -> None:
        """A file that a command reads: beside it, or at the root, where most commands run. Elsewhere is not known here."""
        for folder, shown in ((os.path.dirname(path), os.path.dirname(place)), (root, root)):
            target = os.path.realpath(os.path.join(folder, one.path))
            if os.path.commonpath([root, target]) == root and os.path.isfile(target):
                self._file(target, os.path.normpath(os.path.join(shown, one.path)), root)
                return
        said = printable(f"line {one.line}: {one.path} is read from a folder that is not known here")
        self._facts.append(Fact(path=(place,), name="not known", value=said))

    def _include(self, path: str, place: str, named: str, root: str) -> None:
        """Another file that is read for this one: only below the folder that was given, so that no secret is quoted."""
        target = os.path.realpath(os.path.join(os.path.dirname(path), named))
        shown = os.path.join(os.path.dirname(place), named)
        if "://" in named or len(self._seen) > _INCLUDES:
            self._skip(
                f"{place}: {named}",
                "included from an address, which is not fetched" if "://" in named else "too many includes",
                Reason.UNSUPPORTED,
            )
        elif os.path.commonpath([root, target]) != root:
            self._skip(f"{place}: {named}", "the include leads out of the folder that is audited", Reason.UNREADABLE)
        elif not os.path.isfile(target):
            self._skip(f"{place}: {named}", "the included file is not there", Reason.MISSING)
        else:
            self._file(target, os.path.normpath(shown), root, asked=False)

    def environment(self, path: str) -> None:
        """Take the packages that are installed below a folder."""
        for root in folders(path):
            every = distributions(root)
            result = inspected(root, every)
            self._size += result.size
            self._findings += result.findings
            self._installed += [(os.path.join(root, one.info), one.listed) for one in every]
            self._inspected(root, f"environment of {len(every)} packages, {result.checked} files checked", result.size)
            for gap in result.gaps:
                self._skip(root, gap, Reason.MISSING)
            self._findings += detect_start(
                PackageSubject(
                    location=Location(path=(root,)),
                    kind="environment",
                    modules={},
                    flow=Flow({}),
                    paths=start_files(root),
                )
            )
            for package, licence in foreign_licences(every, self._order.demands.licences):
                self._findings.append(finding("PKG-031", Location(path=(root,)), printable(f"{package}: {licence}")))

    def _skip(self, place: str, detail: str, reason: Reason) -> None:
        self._coverage.append(
            Coverage(
                path=(printable(place),),
                format="manifest",
                size=0,
                status=Status.SKIPPED,
                reason=reason,
                detail=printable(detail),
            )
        )

    def _inspected(self, place: str, kind: str, size: int) -> None:
        self._coverage.append(Coverage(path=(place,), format=kind, size=size, inspected=size))

    def done(self) -> Audit:
        """Judge what was read."""
        pins: dict[tuple[str, str], dict[str, bool]] = {}
        for read in self._read:
            for one in read.manifest.listed:
                if one.version:
                    pins.setdefault((one.ecosystem, one.key), {})[read.place] = bool(one.hashes)
        for read in self._read:
            habits = Habits(read.place, read.manifest, self._order.demands, self._policy.today, pins=pins)
            self._findings += habits.findings()
            self._findings += self._drifted(read)
            self._findings += unattested(read.place, read.manifest, self._order.demands, self._order.attested)
        every = [(read.place, one) for read in self._read for one in read.manifest.listed] + self._installed
        self._named(every)
        rows = self._versions(every)
        names = [*self._order.paths, *self._order.environments]
        kept = [one for one in self._findings if (one.rule, one.location.path[0], one.message) not in self._order.known]
        if len(kept) < len(self._findings):
            self._facts.append(
                Fact(path=("baseline",), name="known before", value=f"{len(self._findings) - len(kept)} findings")
            )
        report = judged(
            ", ".join(names),
            kept,
            size=self._size,
            files=len(self._read) + len(self._order.environments),
            coverage=self._coverage,
            facts=self._facts,
            policy=self._policy,
        )
        return Audit(report, tuple(upgrades(rows)), {read.place: read.path for read in self._read})

    def _drifted(self, read: Read) -> Iterator[Finding]:
        folder = os.path.dirname(read.place)
        for other in self._read:
            if os.path.dirname(other.place) == folder and other.manifest.kind == read.manifest.of:
                asked = [(os.path.basename(other.place), one) for one in other.manifest.listed if one.line != 0]
                yield from drift(read.place, read.manifest, [pair for pair in asked if pair[1].origin is Origin.INDEX])

    def _named(self, every: Sequence[tuple[str, Listed]]) -> None:
        own = self._order.names
        internal = (*self._order.demands.internal, *own.internal)
        told: set[tuple[str, str]] = set()

        for place, one in every:
            if (one.ecosystem, one.key) not in told:
                told.add((one.ecosystem, one.key))
                self._findings += lookalikes(place, one, internal)

    def _versions(self, every: Sequence[tuple[str, Listed]]) -> Iterator[Upgrade]:
        base = self._base({one.advised for _, one in every})
        rows = []
        open_: dict[str, list[str]] = {}
        for place, one in dict.fromkeys(every):
            found, unknown, safe = against(place, one, base)
            self._findings += found
            self._findings += joined(place, one, self._formats)
            if unknown:
                open_.setdefault(place, []).append(f"{one.name} {one.version}")
            if found:
                rows.append(Upgrade(place, one.ecosystem, one.name, one.version, safe))
        for place, names in open_.items():
            self._skip(
                f"{place}: advisories", f"versions that cannot be compared: {', '.join(names[:5])}", Reason.UNSUPPORTED
            )
        if base is not None:
            base.close()
        return iter(rows)

    def _base(self, ecosystems: set[str]) -> Advisories | None:
        """The advisories, with their age in the report. Without them nothing is said to be free of known weaknesses."""
        for gap in self._order.gaps:
            self._skip("advisories", gap, Reason.UNREACHABLE)
        if not ecosystems:
            return None
        try:
            base = Advisories(self._order.advisories)
        except Unavailable as error:
            self._skip("advisories", f"{error.message}: {error.hint}", Reason.MISSING)
            return None
        for ecosystem in sorted(ecosystems & set(ECOSYSTEMS.values())):
            age = base.age(ecosystem, self._policy.today)
            if age is None:
                self._skip("advisories", f"there are none for {ecosystem}: weighbridge audit --update", Reason.MISSING)
            elif self._order.demands.stale_days and age > self._order.demands.stale_days:
                self._skip(
                    "advisories",
                    f"the newest for {ecosystem} is {age} days old: weighbridge audit --update",
                    Reason.STALE,
                )
        for one in base.ages:
            self._facts.append(
                Fact(
                    path=("advisories",),
                    name=one.ecosystem,
                    value=f"{one.records} records, the newest of {one.newest[:10]}",
                )
            )
        return base


def attested(folder: str, wanted: Wanted, now: datetime) -> dict[str, str]:
    """SHA-256 of every file that a verified attestation of a folder is about, and who signed it.

    The files end in `.provenance` (PEP 740, as an index hands them out), `.attestation` or `.att`. Raises SourceError for a
    folder that is not there, VerificationFailed for the first attestation that is not authentic.
    """
    from weighbridge.provenance.attestation import read  # noqa: PLC0415  # few audits ask for provenance
    from weighbridge.provenance.check import trust  # noqa: PLC0415

    if not os.path.isdir(folder):
        raise SourceError(f"{folder}: no such folder", hint="give a folder of .provenance files")
    trusted = trust(wanted, now)
    names = [name for name in sorted(os.listdir(folder)) if name.endswith((".provenance", ".attestation", ".att"))]
    every = [one for name in names for one in read(os.path.join(folder, name), trusted, now)]
    return {digest["sha256"]: one.by for one in every for _, digest in one.subjects if "sha256" in digest}


def _walk(path: str) -> Iterator[str]:
    """The path of every file below a folder, in order; tools' own folders are passed over, links to folders not followed."""
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if name not in _PASSED)
        for name in sorted(names):
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                yield full
