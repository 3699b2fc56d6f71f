"""Knows package indexes as far as one release goes: which file it is, its digest, when and how it was published.

Sources: PEP 691 and PEP 700 (JSON of simple indexes), PEP 740 (provenance), the registry API of npm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin

from msgspec import Struct

from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from weighbridge.source.http import Session

INDEXES: Final = {"pypi": "https://pypi.org/simple", "npm": "https://registry.npmjs.org"}
_ADDRESS: Final = re.compile(r"(?:(pypi):([A-Za-z0-9][\w.-]*)==([\w.!+-]+)|(npm):((?:@[\w.-]+/)?[\w.-]+)@([\w.+-]+))\Z")
_JSON: Final = {"Accept": "application/vnd.pypi.simple.v1+json"}
_LARGEST: Final = 2 << 30
_ORDER: Final = ("-none-any.whl", "manylinux", ".whl", ".tar.gz", ".zip")


class Published(Struct, frozen=True, kw_only=True):
    """One file of one release.

    `digest` is `sha256:…` or an npm integrity, `released` ISO 8601, `by` who published it where that is said, `python` the
    versions it is for, `size` in bytes (-1: not said), `provenance` where its attestations are (PEP 740).
    """

    name: str
    version: str
    file: str
    address: str
    digest: str
    released: str = ""
    attested: bool = False
    provenance: str = ""
    withdrawn: str = ""
    by: str = ""
    size: int = -1
    python: str = ""


def is_release(text: str) -> bool:
    """Whether a text names a release on an index: `pypi:name==version` or `npm:name@version`."""
    return text.startswith(("pypi:", "npm:"))


def release(text: str, session: Session, index: str = "", *, like: str = "") -> Published:
    """The file of a release, of the kind of the file `like` where there is one. Raises UsageError, SourceError."""
    match = _ADDRESS.match(text)
    if match is None:
        raise UsageError(f"{text}: not a release", hint="pypi:name==version or npm:name@version")
    ecosystem, name, version = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], match[6])
    base = (index or INDEXES[ecosystem]).rstrip("/")
    if ecosystem == "npm":
        return _npm(_document(session, f"{base}/{quote(name, safe='@')}", {}), name, version)
    address = f"{base}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    return _pypi(_document(session, address, _JSON), address, name, version, like)


def _document(session: Session, address: str, headers: dict[str, str]) -> dict[str, Any]:
    body, _ = session.document(address, headers)
    try:
        root = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{address}: the index does not answer in JSON", hint="fetch both files, and compare them"
        ) from error
    if not isinstance(root, dict):
        raise SourceError(f"{address}: the index does not answer in JSON", hint="fetch both files, and compare them")
    return root


def _pypi(root: dict[str, Any], address: str, name: str, version: str, like: str) -> Published:
    stem = re.compile(
        rf"{re.sub(r'[-_.]+', '[-_.]+', re.escape(name).replace(chr(92), ''))}-{re.escape(version)}(?:-|\.tar\.gz\Z|\.zip\Z)",
        re.IGNORECASE,
    )
    files = [one for one in _rows(root, "files") if stem.match(str(one.get("filename", "")))]
    if not files:
        raise SourceError(f"{name} {version}: not on the index", hint="check the name and the version")
    tail = like.rpartition("-")[2] if like else ""
    chosen = min(
        files,
        key=lambda one: (
            not (tail and str(one["filename"]).endswith(tail)),
            _rank(str(one["filename"])),
            str(one["filename"]),
        ),
    )
    return _published(chosen, address, name, version)


def _published(row: dict[str, Any], address: str, name: str, version: str) -> Published:
    hashes, yanked, size = row.get("hashes"), row.get("yanked"), row.get("size")
    return Published(
        name=name,
        version=version,
        file=os.path.basename(str(row["filename"])),
        address=urljoin(address, str(row.get("url", ""))),
        digest=f"sha256:{hashes.get('sha256', '')}" if isinstance(hashes, dict) and hashes.get("sha256") else "",
        released=str(row.get("upload-time") or ""),
        attested=bool(row.get("provenance")),
        provenance=urljoin(address, str(row["provenance"])) if row.get("provenance") else "",
        withdrawn="" if not yanked else str(yanked) if isinstance(yanked, str) else "yanked",
        size=size if type(size) is int else -1,
        python=str(row.get("requires-python") or ""),
    )


def python_project(name: str, session: Session, index: str) -> tuple[str, tuple[Published, ...]]:
    """(status, files) of a Python project (PEP 691, PEP 792); files whose names say no version are left out.

    Raises SourceError.
    """
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename  # noqa: PLC0415

    address = f"{index.rstrip('/')}/{name}/"
    root = _document(session, address, _JSON)
    found = []
    for row in _rows(root, "files"):
        file = os.path.basename(str(row.get("filename", "")))
        try:
            version = (parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file))[1]
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue
        found.append(_published(row, address, name, str(version)))
    status = root.get("project-status")
    return str(status.get("status", "active")) if isinstance(status, dict) else "active", tuple(found)


def node_project(name: str, session: Session, index: str) -> dict[str, Any]:
    """What an npm registry says of a package, as it says it. Raises SourceError."""
    return _document(session, f"{index.rstrip('/')}/{quote(name, safe='@')}", {})


def node_release(root: dict[str, Any], name: str, version: str) -> Published:
    """One version of what `node_project` gave. Raises SourceError where it has none."""
    return _npm(root, name, version)


def _rank(name: str) -> int:
    return next((at for at, part in enumerate(_ORDER) if part in name), len(_ORDER))


def _npm(root: dict[str, Any], name: str, version: str) -> Published:
    versions, times = root.get("versions"), root.get("time")
    found = versions.get(version) if isinstance(versions, dict) else None
    kept = found.get("dist") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(kept, dict):
        raise SourceError(f"{name} {version}: not on the index", hint="check the name and the version")
    by = found.get("_npmUser")
    return Published(
        name=name,
        version=version,
        file=f"{name.rpartition('/')[2]}-{version}.tgz",
        address=str(kept.get("tarball", "")),
        digest=str(kept.get("integrity", "")),
        released=str(times.get(version, "")) if isinstance(times, dict) else "",
        attested=isinstance(kept.get("attestations"), dict),
        withdrawn=str(found.get("deprecated") or ""),
        by=str(by.get("name", "")) if isinstance(by, dict) else "",
    )


def _rows(root: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = root.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def fetch(one: Published, folder: str, session: Session) -> str:
    """The path of the file, fetched into a folder and held against its digest. Raises SourceError."""
    path = os.path.join(folder, one.file)
    session.download(one.address, path, _LARGEST)
    kind, _, wanted = one.digest.replace("-", ":", 1).partition(":")
    if kind not in {"sha256", "sha512"}:
        raise SourceError(f"{one.file}: the index names no digest", hint="fetch the file yourself, and verify it")
    with open(path, "rb", buffering=0) as file:
        digest = hashlib.file_digest(file, kind)
    if wanted not in {digest.hexdigest(), base64.b64encode(digest.digest()).decode()}:
        raise SourceError(f"{one.file}: not what the index says it is", hint="try again; if it stays, tell the index")
    return path
