"""Knows the locks of Python tools: uv.lock, poetry.lock, pdm.lock, pylock.toml, Pipfile.lock.

Sources: PEP 751 (pylock.toml), and the lock files that uv, Poetry, PDM and Pipenv write.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec.structs import replace

from weighbridge.formats.manifests.listed import Index, Listed, Manifest, Origin, exact
from weighbridge.formats.manifests.shape import lines_of, rows, table, tables, text, texts

_NAME: Final = re.compile(r"""^name = ["']([^"']+)["']""")
_COMMIT: Final = re.compile(r"(?:#|@|rev=)([0-9a-f]{40})\b")


def _listed(one: dict[str, Any], numbers: dict[str, int], files: list[dict[str, Any]], **more: Any) -> Listed:
    """A package of a lock whose rows hold a name, a version and, with each file, a digest."""
    name = text(one, "name")
    hashes = tuple(text(file, "hash") for file in files if text(file, "hash"))
    return Listed(
        ecosystem="pypi",
        name=name,
        version=text(one, "version"),
        line=numbers.get(name, 0),
        **{"hashes": hashes, **more},
    )


def read_uv(root: dict[str, Any], source: str) -> Manifest:
    """uv.lock. The packages of the workspace itself are left out."""
    numbers = lines_of(source, _NAME)
    listed, indexes, own = [], dict[str, None](), set[str]()
    packages = rows(root, "package")
    for one in packages:
        place = table(one, "source")
        if any(kind in place for kind in ("virtual", "editable", "directory")):
            own |= {text(need, "name") for need in rows(one, "dependencies")}
            if "virtual" in place or text(place, "editable") == ".":
                continue
        files = [table(one, "sdist"), *rows(one, "wheels")]
        registry = text(place, "registry")
        address = (
            text(place, "git")
            or text(place, "url")
            or text(place, "path")
            or text(place, "editable")
            or text(place, "directory")
        )
        if registry:
            indexes.setdefault(registry)
        commit = _COMMIT.search(address)
        listed.append(
            _listed(
                one,
                numbers,
                files,
                origin=_origin(place),
                address=address,
                fixed=commit[1] if commit else "",
                editable="editable" in place,
                index=registry,
                released=max((text(file, "upload-time") for file in files), default=""),
            )
        )
    placed = [one if one.name in own else replace(one, direct=False) for one in listed]
    return Manifest(
        kind="uv.lock",
        locked=True,
        of="pyproject.toml",
        listed=tuple(placed),
        indexes=tuple(Index(address=one, role="index") for one in indexes if "://" in one),
    )


def _origin(place: dict[str, Any]) -> Origin:
    if "git" in place or "vcs" in place:
        return Origin.VCS
    if "url" in place or "archive" in place:
        return Origin.URL
    if any(kind in place for kind in ("path", "editable", "directory", "virtual")):
        return Origin.PATH
    return Origin.INDEX


def read_poetry(root: dict[str, Any], source: str) -> Manifest:
    """poetry.lock, with the digests of its files in either of their two places."""
    numbers = lines_of(source, _NAME)
    before = table(table(root, "metadata"), "files")
    listed = []
    for one in rows(root, "package"):
        place = table(one, "source")
        files = rows(one, "files") or rows(before, text(one, "name"))
        kind = text(place, "type")
        origin = {"git": Origin.VCS, "url": Origin.URL, "file": Origin.PATH, "directory": Origin.PATH}.get(
            kind, Origin.INDEX
        )
        listed.append(
            _listed(
                one,
                numbers,
                files,
                origin=origin,
                address=text(place, "url") if origin is not Origin.INDEX else "",
                fixed=text(place, "resolved_reference"),
                index=text(place, "url") if origin is Origin.INDEX else "",
            )
        )
    return Manifest(kind="poetry.lock", locked=True, of="pyproject.toml", listed=tuple(listed))


def read_pdm(root: dict[str, Any], source: str) -> Manifest:
    """pdm.lock."""
    numbers = lines_of(source, _NAME)
    listed = []
    for one in rows(root, "package"):
        address = text(one, "git") or text(one, "url") or text(one, "path")
        place = {"git": 1} if "git" in one else {"url": 1} if "url" in one else {"path": 1} if "path" in one else {}
        listed.append(
            _listed(
                one,
                numbers,
                rows(one, "files"),
                origin=_origin(place),
                address=address,
                fixed=text(one, "revision"),
                editable=one.get("editable") is True,
            )
        )
    return Manifest(kind="pdm.lock", locked=True, of="pyproject.toml", listed=tuple(listed))


def read_pylock(root: dict[str, Any], source: str) -> Manifest:
    """pylock.toml of PEP 751."""
    numbers = lines_of(source, _NAME)
    listed = []
    for one in rows(root, "packages"):
        vcs, archive, folder = table(one, "vcs"), table(one, "archive"), table(one, "directory")
        files = [table(one, "sdist"), *rows(one, "wheels"), archive]
        place = {kind: 1 for kind, given in (("vcs", vcs), ("archive", archive), ("directory", folder)) if given}
        listed.append(
            _listed(
                one,
                numbers,
                files,
                origin=_origin(place),
                address=text(vcs, "url") or text(archive, "url") or text(folder, "path"),
                fixed=text(vcs, "commit-id") or "".join(text(table(archive, "hashes"), "sha256")),
                editable=folder.get("editable") is True,
                hashes=tuple(
                    f"{algorithm}:{digest}" for file in files for algorithm, digest in table(file, "hashes").items()
                ),
                index=text(one, "index"),
                released=max((text(file, "upload-time") for file in files), default=""),
            )
        )
    indexes = dict.fromkeys(one.index for one in listed if one.index)
    return Manifest(
        kind="pylock.toml",
        locked=True,
        of="pyproject.toml",
        listed=tuple(listed),
        indexes=tuple(Index(address=one, role="index") for one in indexes),
    )


def read_pipfile_lock(root: dict[str, Any]) -> Manifest:
    """Pipfile.lock."""
    sources = rows(table(root, "_meta"), "sources")
    listed = []
    for group in ("default", "develop"):
        for name, one in tables(table(root, group)):
            address = text(one, "git") or text(one, "file") or text(one, "path")
            origin = Origin.VCS if "git" in one else Origin.URL if "file" in one else Origin.PATH
            listed.append(
                Listed(
                    ecosystem="pypi",
                    name=name,
                    version=exact(text(one, "version")),
                    wanted=text(one, "version"),
                    origin=origin if address else Origin.INDEX,
                    address=address,
                    fixed=text(one, "ref"),
                    editable=one.get("editable") is True,
                    hashes=tuple(texts(one, "hashes")),
                    index=text(one, "index"),
                )
            )
    return Manifest(
        kind="Pipfile.lock",
        locked=True,
        of="Pipfile",
        listed=tuple(listed),
        indexes=tuple(
            Index(address=text(one, "url"), role="index" if number == 0 else "extra", name=text(one, "name"))
            for number, one in enumerate(sources)
        ),
    )
