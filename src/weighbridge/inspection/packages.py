"""Knows where packages are among what was inspected, and how their members become one subject each.

A wheel has a `.dist-info`, a source distribution PKG-INFO or setup.py, an npm package package.json, an environment many
`.dist-info`. Rules about one's own code and repositories say nothing about other people's packages: what they found
there stays in the report as information.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.detect import detect
from weighbridge.detect.package_places import is_aside, named_by, script_at
from weighbridge.detect.pkg_files import is_program
from weighbridge.detect.subjects import PackageSubject
from weighbridge.inspection.connecting import connected
from weighbridge.inspection.plan import Result
from weighbridge.inspection.wheels import against_itself
from weighbridge.schema import Coverage, Finding, Location, Reason, Severity, Status, WeighbridgeError
from weighbridge.schema.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from weighbridge.detect.subjects import Note

Path = tuple[str, ...]
_MARK: Final = lazy(
    r"\A(?:(?P<wheel>)[^/]+\.dist-info/(?:WHEEL|METADATA)|(?P<sdist>[^/]+)/(?:PKG-INFO|setup\.py|pyproject\.toml)|(?P<npm>[^/]+)/package\.json|(?P<bare>)(?:setup\.py|PKG-INFO|package\.json))\Z"
)
_UNPACKED: Final = lazy(r"(.+)/(?:[^/]+\.dist-info/(?:WHEEL|METADATA)|(PKG-INFO))\Z")
_OWN: Final = lazy(r"(?:COD|HFR|NBK|OCI|CIC|AGT|MLO|TPL|TOK|IDN|NMO|NAT|JAX|CML|ADP)-|SCN-(?:001|008|009)|SEC-|PRV-014")
_LIBRARY: Final = lazy(r"(?:^|/)(?:src|lib)/")
_RECORD: Final = lazy(r"\A[^/]+\.dist-info/RECORD\Z")
_NATIVE: Final = frozenset({"elf", "pe", "mach-o"})
_PICKLED: Final = lazy(r"(?:PKL|TCH|JBL|NPY|KRS)-")
_SERVICES: Final = lazy(
    r"(?:^|/)(?:\.?appveyor\.yml|\.travis\.yml|azure-pipelines[\w-]*\.yml|\.cirrus\.yml|\.gitlab-ci\.yml|\.github/workflows/|\.circleci/|\.azure-pipelines/)"
)
_BACKEND: Final = lazy(r"^build-backend\s*=\s*[\"']([\w.]+)", re.MULTILINE)
_IN_TREE: Final = lazy(r"^backend-path\s*=", re.MULTILINE)
_IMPORT: Final = lazy(r"^import[ \t]+([\w.]+)", re.MULTILINE)
_SCRIPT: Final = lazy(r"""[\w./-]+\.(?:c|m)?js\b|(?<=require\(['"`])\./[\w./-]+|(?:(?<=node )|\A)\.?/?[\w./-]+""")


class Root(msgspec.Struct, frozen=True):
    """Where a package stands: the path of its container, the folder in it, and its kind."""

    container: Path
    folder: str
    kind: str

    def holds(self, path: Path) -> bool:
        """Whether a place is in the package, at any depth."""
        depth = len(self.container)
        inner = f"{self.folder}/" if self.folder else ""
        return len(path) > depth and path[:depth] == self.container and path[depth].startswith(inner)

    def inside(self, path: Path) -> str:
        """The name of a member below the root; empty where it is not below it."""
        depth = len(self.container)
        if not depth:
            base = f"{self.folder}/"
            return path[0].removeprefix(base) if len(path) == 1 and path[0].startswith(base) else ""
        if len(path) != depth + 1 or path[:depth] != self.container:
            return ""
        base = f"{self.folder}/" if self.folder else ""
        return path[depth].removeprefix(base) if path[depth].startswith(base) else ""


def packages(results: Sequence[Result]) -> list[Result]:
    """Findings about each package, in place of those that are meant for one's own code."""
    notes = [note for result in results for note in result.notes]
    coverage = [entry for result in results for entry in result.coverage]
    roots = _roots(coverage)
    if not roots:
        return []
    serious = _serious(finding for result in results for finding in result.findings)
    made: list[Result] = []
    for root in roots:
        subject, unread = _subject(root, notes, coverage, serious)
        made.append(Result((), tuple(unread), ()))
        if root.kind == "wheel" and len(root.container) == 1:
            record = next(
                (str(n.value) for n in notes if n.kind == "record" and _RECORD.search(root.inside(n.path))), ""
            )
            digests = {n.path[1]: str(n.value) for n in notes if n.kind == "digest" and n.path[:1] == root.container}
            made.append(Result(tuple(against_itself(root.container[0], record, digests)), (), ()))
        place = Location(path=(*root.container, root.folder) if root.folder else root.container)
        try:
            made.append(Result(tuple(detect(subject)), (), ()))
        except Exception as error:  # noqa: BLE001  # reported as not inspected, never swallowed
            detail = f"{type(error).__name__}: {error}"
            failed = Coverage(
                path=place.path, format="package", size=0, status=Status.SKIPPED, reason=Reason.INTERNAL, detail=detail
            )
            made.append(Result((), (failed,), ()))
    return made


def subjects(result: Result) -> list[PackageSubject]:
    """The packages of an inspection that is done, as detectors see them."""
    serious = _serious(result.findings)
    return [_subject(root, result.notes, result.coverage, serious)[0] for root in _roots(result.coverage)]


def _serious(findings: Iterable[Finding]) -> set[Path]:
    """Where pickles lie that do more than hold data."""
    return {
        one.location.path for one in findings if _PICKLED.match(one.rule) and one.severity.rank <= Severity.HIGH.rank
    }


def quieted(results: Sequence[Result]) -> list[Result]:
    """The results with what is meant for one's own code turned into information, inside of packages."""
    roots = _roots([entry for result in results for entry in result.coverage])
    if not roots:
        return list(results)
    return [
        msgspec.structs.replace(result, findings=tuple(_quiet(finding, roots) for finding in result.findings))
        for result in results
    ]


def _quiet(finding: Finding, roots: Sequence[Root]) -> Finding:
    own = _OWN.match(finding.rule)
    # A pickle among the data of tests is no part of what the package does, though it is one all the same.
    idle = (
        _PICKLED.match(finding.rule)
        and is_aside(finding.location.member)
        and finding.severity.rank < Severity.MEDIUM.rank
    )
    # What a build service is told is not what an installation runs.
    elsewhere = finding.rule == "PKG-032" and _SERVICES.search(finding.location.member)
    if not (own or idle or elsewhere) or not any(root.holds(finding.location.path) for root in roots):
        return finding
    if idle or elsewhere:
        return msgspec.structs.replace(finding, severity=Severity.MEDIUM)
    return msgspec.structs.replace(finding, severity=Severity.INFO)


def _roots(coverage: Sequence[Coverage]) -> list[Root]:
    found: dict[tuple[Path, str], str] = {}
    for entry in coverage:
        if len(entry.path) < 2:
            unpacked = _UNPACKED.match(entry.path[0])
            if unpacked is not None:
                found.setdefault(((), unpacked[1]), "sdist" if unpacked[2] == "PKG-INFO" else "environment")
            continue
        container, name = entry.path[:-1], entry.path[-1]
        match = _MARK.match(name)
        if match is None:
            continue
        kind = match.lastgroup or "sdist"
        folder = match["sdist"] or match["npm"] or ""
        if kind in {"bare", "npm"}:
            kind = "npm" if name.endswith("package.json") else "sdist"
        found.setdefault((container, folder), kind)
        if kind != "npm":
            found[container, folder] = kind
    wheels = {container for (container, folder), kind in found.items() if kind == "wheel"}
    return [Root(c, f, kind) for (c, f), kind in sorted(found.items()) if kind == "wheel" or c not in wheels]


def _subject(
    root: Root, notes: Sequence[Note], coverage: Sequence[Coverage], serious: set[Path]
) -> tuple[PackageSubject, list[Coverage]]:
    """A package as detectors see it, and the files of it through which data could not be followed."""
    by_kind: dict[str, list[tuple[str, Path, Any]]] = defaultdict(list)
    for note in notes:
        name = root.inside(note.path)
        if name:
            by_kind[note.kind].append((name, note.path, note.value))
    members = [(name, entry) for entry in coverage if (name := root.inside(entry.path))]
    names = {name for name, _ in members}
    manifests = {path: table for _, path, text in by_kind["package.json"] if (table := _table(text))}
    paths = {path: text for _, path, text in by_kind["path file"]}
    modules, flow, unread = connected({_dotted(name): (path, code) for name, path, code in by_kind["code"]})
    build = [text for name, _, text in by_kind["pyproject.toml"] if name == "pyproject.toml"]
    subject = PackageSubject(
        location=Location(path=root.container or (root.folder,)),
        kind=root.kind,
        modules=modules,
        flow=flow,
        paths=paths,
        manifests=manifests,
        scripts={path: script for _, path, script in by_kind["script"]},
        started=tuple(one for text in paths.values() for one in _IMPORT.findall(text)),
        backends=tuple(m[1] for text in build if _IN_TREE.search(text) for m in _BACKEND.finditer(text)),
        hooked=tuple(dict.fromkeys(_hooked(manifests, {entry.path for _, entry in members}))),
        programs=tuple(entry.path for name, entry in members if entry.format in _NATIVE and is_program(name)),
        bytecode=tuple(
            entry.path for name, entry in members if entry.format == "bytecode" and not _has_source(name, names)
        ),
        foreign=tuple(_foreign(by_kind["bytecode"], members)),
        pickles=tuple(
            entry.path for _, entry in members if any(path[: len(entry.path)] == entry.path for path in serious)
        ),
        natives={path: headers for _, path, headers in by_kind["native"] if headers is not None},
        pure=root.kind == "sdist" or any(part.endswith("-none-any.whl") for part in root.container[:1]),
    )
    return subject, unread


def _table(text: str) -> dict[str, Any]:
    from weighbridge.formats.document import read_json  # noqa: PLC0415  # few packages have one

    try:
        root = read_json(text).root
    except WeighbridgeError:
        return {}
    return root if isinstance(root, dict) else {}


def _dotted(name: str) -> str:
    return _LIBRARY.sub("", name.removeprefix("src/"))[:-3].replace("/", ".") if name.endswith(".py") else name


def _has_source(name: str, names: set[str]) -> bool:
    return _source(name) in names


def _source(name: str) -> str:
    """The source that belongs to bytecode of this name."""
    folder, _, last = name.rpartition("/")
    stem = last.partition(".")[0]
    home = folder.removesuffix("__pycache__").rstrip("/") if folder.endswith("__pycache__") else folder
    return f"{home}/{stem}.py".lstrip("/")


def _foreign(compiled: Sequence[tuple[str, Path, Any]], members: Sequence[tuple[str, Coverage]]) -> Iterator[Path]:
    """Bytecode that says it was made of a source of another size than the one beside it."""
    sizes = {name: entry.size for name, entry in members if name.endswith(".py")}
    for name, path, size in compiled:
        known = sizes.get(_source(name))
        if known is not None and known & 0xFFFFFFFF != size:
            yield path


def _hooked(manifests: dict[Path, dict[str, Any]], known: set[Path]) -> Iterator[Path]:
    """The files that install scripts of the package's own manifest name; one by the name of a script need not be there."""
    for path, table in manifests.items():
        hooks = table.get("scripts")
        for hook in ("preinstall", "install", "postinstall"):
            command = hooks.get(hook) if isinstance(hooks, dict) else None
            for name in _SCRIPT.findall(command) if isinstance(command, str) else ():
                found = script_at(path, name, known)
                if found is not None:
                    yield found
                elif name.endswith("js"):
                    yield named_by(path, name)
