"""Knows what is installed in a Python environment, and whether every file of it is what was installed.

Sources: PEP 376 and PEP 627 (RECORD), core metadata 2.4, entry points specification. Nothing of it is imported.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.manifests import Listed, Origin
from weighbridge.formats.metadata import first, read_metadata
from weighbridge.formats.record import read_record
from weighbridge.names.packages import popular
from weighbridge.rules.finding import finding
from weighbridge.schema import Location, Severity, SourceError
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.formats.record import Recorded
    from weighbridge.schema import Finding

_METADATA: Final = 1 << 20
_RECORD: Final = 64 << 20
_FILES: Final = 2_000_000
_SHOWN: Final = 8
_STARTS: Final = re.compile(r"(?:\A|/)(?:[^/]+\.pth|sitecustomize\.py|usercustomize\.py)\Z")
_MADE: Final = re.compile(r"(?:\A|/)__pycache__/|\.pyc\Z|\.dist-info/(?:INSTALLER|REQUESTED|RECORD(?:\.jws|\.p7s)?|direct_url\.json|uv_cache\.json|refresh\.lock)\Z|\A(?:_virtualenv\.(?:py|pth)|\.lock|__editable__[^/]*|\.keep)\Z|\.egg-(?:info|link)(?:/|\Z)|\A\.gitignore\Z")  # fmt: skip
_CODE: Final = re.compile(r"\.(?:py|so|pyd|dll|dylib|pth|js|sh|exe)\Z|\.so\.\d")
_HOSTS: Final = {
    "pytest11": ("pytest", "xdist"), "jupyter_serverproxy_servers": ("jupyter",), "jupyter.kernels": ("jupyter", "kernel"), "mlflow.request_header_provider": ("mlflow",),
    "mlflow.model_evaluator": ("mlflow",), "mlflow.artifact_repository": ("mlflow",), "mlflow.tracking_store": ("mlflow",), "kedro.hooks": ("kedro",),
    "nbconvert.exporters": ("nbconvert", "jupyter"), "babel.extractors": (), "sphinx.html_themes": (), "distutils.commands": ("setuptools", "wheel", "babel"),
    "setuptools.finalize_distribution_options": ("setuptools", "scm"), "torch.backends": ("torch",), "vllm.general_plugins": ("vllm",), "vllm.platform_plugins": ("vllm",),
    "transformers.plugins": ("transformers",), "sitecustomize": (), "pluggy": (), "streamlit.components": ("streamlit",), "ray.plugins": ("ray",),
}  # fmt: skip
_LICENCES: Final = re.compile(r"License :: (?:OSI Approved :: )?(.+)")


class Installed(Struct, frozen=True, kw_only=True):
    """One distribution. `info` is its metadata folder relative to the root, `licence` what it says of its licence."""

    name: str
    version: str
    info: str
    licence: str = ""
    inactive: bool = False
    origin: Origin = Origin.INDEX
    address: str = ""
    plugins: tuple[tuple[str, str], ...] = ()
    recorded: bool = True

    @property
    def listed(self) -> Listed:
        """The same as a manifest would list it."""
        return Listed(ecosystem="pypi", name=self.name, version=self.version, origin=self.origin, address=self.address)


def folders(path: str) -> list[str]:
    """The folders of installed packages at or below a path: the folder itself, or those of a virtual environment.

    Raises SourceError where there is none.
    """
    if not os.path.isdir(path):
        raise SourceError(f"{path}: no such folder", hint="give a virtual environment, or its site-packages")
    if any(name.endswith((".dist-info", ".egg-info")) for name in os.listdir(path)):
        return [path]
    found: list[str] = []
    for base in (os.path.join(path, "lib"), os.path.join(path, "lib64"), os.path.join(path, "Lib"), path):
        inside = sorted(os.listdir(base)) if os.path.isdir(base) else []
        for name in ("", *(one for one in inside if one.startswith("python"))):
            for kind in ("site-packages", "dist-packages"):
                folder = os.path.join(base, name, kind)
                if os.path.isdir(folder) and os.path.realpath(folder) not in map(os.path.realpath, found):
                    found.append(folder)
    if not found:
        raise SourceError(
            f"{path}: no packages are installed here", hint="give a virtual environment, or its site-packages"
        )
    return found


def distributions(root: str) -> list[Installed]:
    """The distributions whose metadata lies in a folder, by name."""
    found = []
    for name in sorted(os.listdir(root)):
        if name.endswith((".dist-info", ".egg-info")):
            one = _distribution(root, name)
            found += [one] if one is not None else []
    return found


def _distribution(root: str, info: str) -> Installed | None:
    folder = os.path.join(root, info)
    text = ""
    for place in ("METADATA", "PKG-INFO", ""):
        text = _text(os.path.join(folder, place) if place else folder)
        if text:
            break
    if not text:
        return None
    said = read_metadata(text)
    classifiers = said.get("classifier", ())
    spoken = [match[1] for line in classifiers if (match := _LICENCES.match(line))]
    licence = first(said, "license-expression") or "; ".join(spoken) or first(said, "license")[:100]
    origin, address = _placed(_text(os.path.join(folder, "direct_url.json")))
    return Installed(
        name=first(said, "name") or info.partition("-")[0],
        version=first(said, "version"),
        info=info,
        licence=licence,
        inactive=any("7 - Inactive" in line for line in classifiers),
        origin=origin,
        address=address,
        plugins=tuple(_plugins(_text(os.path.join(folder, "entry_points.txt")))),
        recorded=os.path.isfile(os.path.join(folder, "RECORD")),
    )


def _placed(text: str) -> tuple[Origin, str]:
    """Where direct_url.json says that a distribution came from. Source: PEP 610."""
    address = re.search(r'"url"\s*:\s*"([^"]+)"', text)
    if address is None:
        return Origin.INDEX, ""
    return (
        Origin.VCS if '"vcs_info"' in text else Origin.PATH if address[1].startswith("file:") else Origin.URL
    ), address[1]


def _text(path: str, most: int = _METADATA) -> str:
    """A file as text, up to `most` bytes; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def start_files(root: str) -> dict[tuple[str, ...], str]:
    """The .pth files of a folder, by place."""
    paths = [os.path.join(root, name) for name in sorted(os.listdir(root)) if name.endswith(".pth")]
    return {(path,): _text(path) for path in paths}


def _plugins(text: str) -> Iterator[tuple[str, str]]:
    group = ""
    for line in text.splitlines():
        head = re.match(r"\[([^\]]+)\]", line.strip())
        if head:
            group = head[1].strip()
        elif "=" in line and group in _HOSTS:
            yield group, line.strip()[:200]


class Inspection(Struct, frozen=True, kw_only=True):
    """What was found out about the files of a folder. `checked` counts files whose digest was compared."""

    findings: tuple[Finding, ...]
    checked: int
    size: int
    gaps: tuple[str, ...] = ()


def inspected(root: str, every: Iterable[Installed]) -> Inspection:
    """Hold every file of a folder against RECORD: changed, missing, and of no package."""
    findings: list[Finding] = []
    gaps: list[str] = []
    owned: set[str] = set()
    checked = size = 0
    for one in every:
        if not one.recorded:
            gaps.append(f"{one.name} has no RECORD: its files cannot be told from others")
            continue
        records = read_record(_text(os.path.join(root, one.info, "RECORD"), _RECORD))
        names = [os.path.normpath(record.name).replace("\\", "/") for record in records]
        owned.update(names)
        wrong, seen, read = _held(root, records)
        checked, size = checked + seen, size + read
        if wrong:
            place = Location(path=(os.path.join(root, one.info, "RECORD"),))
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            findings.append(
                finding(
                    "PKG-015",
                    place,
                    printable(f"{one.name} {one.version}: {wrong[0]}{more}"),
                    evidence=map(printable, wrong[:_SHOWN]),
                )
            )
        findings += _about(root, one)
    findings += _strangers(root, owned, whole=not gaps)
    return Inspection(findings=tuple(findings), checked=checked, size=size, gaps=tuple(gaps))


def _held(root: str, records: list[Recorded]) -> tuple[list[str], int, int]:
    wrong, checked, size = [], 0, 0
    for record in records:
        if os.path.isabs(record.name):
            continue
        path = os.path.normpath(os.path.join(root, record.name))
        if not os.path.lexists(path):
            # Bytecode is made and removed as it pleases; data files lie where the scheme says, which is not known here.
            if not record.name.startswith("..") and not _MADE.search(record.name):
                wrong.append(f"{record.name} is in RECORD and not here")
            continue
        if not record.sha256 or _MADE.search(record.name):
            continue
        digest, read = _digest(path)
        checked, size = checked + 1, size + read
        # Installers write the address of this machine's Python into scripts.
        if digest and digest != record.sha256 and not record.name.startswith(".."):
            wrong.append(
                f"{record.name} is not what was installed (sha256 {digest[:16]}…, RECORD {record.sha256[:16]}…)"
            )
    if not records:
        wrong.append("RECORD is empty or cannot be read")
    return wrong, checked, size


def _digest(path: str) -> tuple[str, int]:
    try:
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
    except OSError:
        return "", 0


def _strangers(root: str, owned: set[str], *, whole: bool) -> Iterator[Finding]:
    """Files that no RECORD lists. Without a RECORD of every package, only those that run by themselves are told."""
    strange: list[str] = []
    count = 0
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        for name in names:
            count += 1
            relative = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            if (
                relative not in owned
                and not _MADE.search(relative)
                and (whole or _STARTS.search(relative))
                and count < _FILES
            ):
                strange.append(relative)
    starting = sorted(one for one in strange if _STARTS.search(one) and "/" not in one)
    for name in starting:
        message = printable(f"{name} runs when Python starts, and belongs to no package")
        yield finding("PKG-015", Location(path=(os.path.join(root, name),)), message)
    others = [name for name in strange if name not in starting]
    code = [name for name in others if _CODE.search(name)]
    if others:
        shown = code or others
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield finding(
            "PKG-015",
            Location(path=(root,)),
            printable(f"{shown[0]}{more}: in no RECORD"),
            severity=Severity.MEDIUM if code else Severity.LOW,
            evidence=map(printable, shown[:_SHOWN]),
        )


def _about(root: str, one: Installed) -> Iterator[Finding]:
    place = Location(path=(os.path.join(root, one.info),))
    if one.inactive:
        yield finding("PKG-021", place, printable(f"{one.name} {one.version} says of itself that it is inactive"))
    for group, line in one.plugins:
        words = _HOSTS[group]
        if words and not any(word in one.listed.key for word in words):
            # Many libraries bring fixtures for their users' tests; who is used by everybody is not told as a stranger.
            severity = Severity.INFO if popular("pypi").knows(one.listed.key) else None
            message = printable(f"{one.name} is loaded by {words[0]} at every start")
            yield finding("PKG-022", place, message, evidence=[printable(f"[{group}] {line}")], severity=severity)


def foreign_licences(every: Iterable[Installed], allowed: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(package, licence) of every distribution whose licence is not among those allowed. Nothing is asked where `allowed` is empty."""
    known = {_plain(one) for one in allowed}
    for one in every:
        parts = [
            _plain(part) for part in re.split(r"\s+(?:OR|AND|or|and)\s+|;", one.licence.strip("()")) if part.strip()
        ]
        any_of = " OR " in one.licence or (";" not in one.licence and " AND " not in one.licence)
        fits = (any if any_of else all)(part in known for part in parts)
        if allowed and not (parts and fits):
            yield f"{one.name} {one.version}", one.licence or "no licence that is known"


def _plain(licence: str) -> str:
    """A licence by the letters that tell it from others: `Apache Software License` and `Apache-2.0` are written in many ways."""
    text = re.sub(
        r"\blicen[cs]e\b|\bversion\b|\bsoftware\b|\bthe\b|[^a-z0-9.+-]",
        "",
        licence.lower().replace(" ", "-").strip("-"),
    )
    known = {
        "apache": "apache-2.0",
        "apache-2": "apache-2.0",
        "mit": "mit",
        "bsd": "bsd-3-clause",
        "new-bsd": "bsd-3-clause",
        "python--foundation-": "psf-2.0",
    }
    return known.get(text.strip("-"), text.strip("-"))
