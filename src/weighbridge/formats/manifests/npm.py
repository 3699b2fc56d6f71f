"""Knows package.json and the locks of npm, pnpm, yarn (classic and berry) and bun.

Sources: npm's documentation of package-lock.json (versions 1 to 3), the lock files that pnpm 5 to 9, yarn 1 and 2+, and bun write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.manifests.listed import MOST, Gap, Listed, Manifest, Origin
from weighbridge.formats.manifests.shape import lines_of, table, text
from weighbridge.schema import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTIONS: Final = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_EXACT: Final = re.compile(r"=?v?(\d+\.\d+\.\d+[\w.+-]*)\Z")
_COMMIT: Final = re.compile(r"#([0-9a-f]{40})\b")
_KEY: Final = re.compile(r'^\s*"([^"]+)"\s*:')
_PNPM: Final = re.compile(r"/?(@?[^@()]+)[@/](\d[^()/]*|(?:https?:|git|file:|link:)[^()]*)(?:\(|\Z)")
_YARN: Final = re.compile(r'"?(@?[^@"]+)@')
_FIELD: Final = re.compile(r'\s+"?(version|resolved|integrity|resolution|checksum)"?:?\s+"?([^"\n]+)"?')
_VCS: Final = re.compile(r"(?:git(?:\+\w+)?:|github:|gitlab:|bitbucket:|git@|[\w.-]+/[\w.-]+(?:#|\Z))")
_REGISTRIES: Final = re.compile(
    r"https://(?:registry\.(?:npmjs\.org|yarnpkg\.com|npmmirror\.com)|npm\.pkg\.github\.com)/"
)


def read_package_json(root: dict[str, Any], source: str) -> Manifest:
    """package.json: what it asks for."""
    numbers = lines_of(source, _KEY)
    listed = [
        asked(str(name), str(wanted), numbers.get(str(name), 0))
        for section in _SECTIONS
        for name, wanted in table(root, section).items()
        if not str(wanted).startswith("workspace:")
    ]
    return Manifest(kind="package.json", ecosystem="npm", listed=tuple(listed))


def asked(name: str, wanted: str, line: int = 0) -> Listed:
    """One dependency as package.json or a command asks for it: a name, and a version, range, address or alias."""
    alias = re.match(r"npm:(@?[^@]+)@?(.*)\Z", wanted)
    if alias:
        name, wanted = alias[1], alias[2]
    exact, commit = _EXACT.match(wanted), _COMMIT.search(wanted)
    origin = _origin(wanted)
    return Listed(
        ecosystem="npm",
        name=name,
        version=exact[1] if exact else "",
        wanted=wanted,
        line=line,
        origin=origin,
        address=wanted if origin is not Origin.INDEX else "",
        fixed=commit[1] if commit else "",
    )


def _origin(wanted: str) -> Origin:
    if wanted.startswith(("file:", "link:", "portal:", "./", "../", "~/")):
        return Origin.PATH
    if _VCS.match(wanted) or (".git" in wanted and "://" in wanted):
        return Origin.VCS
    return Origin.URL if wanted.startswith(("http:", "https:")) else Origin.INDEX


def read_package_lock(root: dict[str, Any]) -> Manifest:
    """package-lock.json or npm-shrinkwrap.json, of any version."""
    packages = root.get("packages")
    rows = _installed(packages) if isinstance(packages, dict) else _nested(root)
    asked = table(table(root, "packages"), "")
    direct = {name for section in _SECTIONS for name in table(asked, section)}
    listed = [_locked(name, one, direct=not direct or name in direct) for name, one in rows]
    return Manifest(kind="package-lock.json", ecosystem="npm", locked=True, of="package.json", listed=tuple(listed))


def _installed(packages: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, one in packages.items():
        if isinstance(one, dict) and place and "node_modules/" in place and one.get("link") is not True:
            yield text(one, "name") or place.rpartition("node_modules/")[2], one


def _nested(root: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tree of lock version 1, walked without recursion."""
    waiting, count = [root], 0
    while waiting:
        for name, one in table(waiting.pop(), "dependencies").items():
            count += 1
            if count > MOST:
                raise LimitExceeded(f"more than {MOST} packages in one lock", limit="members")
            if isinstance(one, dict):
                yield str(name), one
                waiting.append(one)


def _locked(name: str, one: dict[str, Any], *, direct: bool) -> Listed:
    version, resolved = text(one, "version"), text(one, "resolved")
    place = resolved if resolved and not _REGISTRIES.match(resolved) else ""
    origin = _origin(place or version)
    if origin is Origin.URL and re.search(r"/-/[\w.@-]+\.tgz", place):
        origin = Origin.INDEX
    commit = _COMMIT.search(place or version)
    index = place.partition("/-/")[0].removesuffix(name).rstrip("/") if origin is Origin.INDEX and place else ""
    return Listed(
        ecosystem="npm",
        name=name,
        version=version if version[:1].isdigit() else "",
        origin=origin,
        address=(place or version) if origin is not Origin.INDEX else "",
        fixed=commit[1] if commit else "",
        hashes=tuple(text(one, "integrity").split()),
        index=index,
        hooks=one.get("hasInstallScript") is True,
        direct=direct,
    )


def read_pnpm(root: dict[str, Any]) -> Manifest:
    """pnpm-lock.yaml."""
    listed = []
    importers = [*table(root, "importers").values(), root]
    direct = {str(name) for one in importers for section in _SECTIONS for name in table(one, section)}
    for key, one in table(root, "packages").items():
        match = _PNPM.match(str(key))
        kept = table(one, "resolution")
        name = (text(one, "name") or (match[1] if match else str(key))).strip()
        version = text(one, "version") or (match[2] if match else "")
        place = text(kept, "tarball") or text(kept, "repo") or ("" if version[:1].isdigit() else version)
        origin = Origin.VCS if "repo" in kept else _origin(place)
        listed.append(
            Listed(
                ecosystem="npm",
                name=name,
                version=version.partition("_")[0] if version[:1].isdigit() else "",
                origin=origin,
                address=place,
                fixed=text(kept, "commit"),
                hashes=tuple(text(kept, "integrity").split()),
                hooks=isinstance(one, dict) and one.get("requiresBuild") is True,
                direct=name in direct,
            )
        )
    return Manifest(kind="pnpm-lock.yaml", ecosystem="npm", locked=True, of="package.json", listed=tuple(listed))


def read_yarn(source: str) -> Manifest:
    """yarn.lock, of classic yarn and of berry: entries with a heading at the margin and indented fields."""
    listed: list[Listed] = []
    gaps: list[Gap] = []
    heading, line, fields = "", 0, dict[str, str]()
    for number, raw in enumerate([*source.splitlines(), "end:"], 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if not raw[0].isspace():
            if heading and heading != "__metadata":
                listed += _yarn_entry(heading, line, fields)
            heading, line, fields = raw.strip().rstrip(":"), number, {}
            if not raw.rstrip().endswith(":"):
                gaps.append(Gap(number, f"not a heading: {raw[:80]}"))
        elif field := _FIELD.match(raw):
            fields.setdefault(field[1], field[2].strip())
    return Manifest(
        kind="yarn.lock", ecosystem="npm", locked=True, of="package.json", listed=tuple(listed), gaps=tuple(gaps)
    )


def _yarn_entry(heading: str, line: int, fields: dict[str, str]) -> Iterator[Listed]:
    match = _YARN.match(heading)
    resolution = fields.get("resolution", "")
    if match is None or "@workspace:" in f"{heading}{resolution}":
        return
    wanted = re.search(r"npm:(@?[^@,\"\s]+)@", heading)
    name = wanted[1] if wanted else match[1]
    resolved = fields.get("resolved", "")
    place = resolved if resolved and not _REGISTRIES.match(resolved) else ""
    if resolution and "@npm:" not in resolution:
        place = resolution.removeprefix(f"{name}@")
    commit = _COMMIT.search(place) or re.search(r"commit=([0-9a-f]{40})", place)
    origin = _origin(place)
    if origin is Origin.URL and "/-/" in place:
        origin = Origin.INDEX
    digest = fields.get("integrity", fields.get("checksum", ""))
    yield Listed(
        ecosystem="npm",
        name=name,
        version=fields.get("version", ""),
        line=line,
        origin=origin,
        address=place if origin is not Origin.INDEX else "",
        fixed=commit[1] if commit else "",
        hashes=(digest,) if digest else (),
    )


def read_bun(root: dict[str, Any]) -> Manifest:
    """bun.lock: `packages` maps a place to [name@version, registry, {…}, integrity]."""
    listed = []
    spaces = table(root, "workspaces").values()
    direct = {name for one in spaces for section in _SECTIONS for name in table(one, section)}
    for value in table(root, "packages").values():
        parts = value if isinstance(value, list) else []
        first = parts[0] if parts and isinstance(parts[0], str) else ""
        name, _, version = first.rpartition("@")
        if not name or version.startswith("workspace:"):
            continue
        origin = _origin(version)
        commit = _COMMIT.search(version)
        last = parts[-1] if isinstance(parts[-1], str) and "-" in parts[-1] else ""
        listed.append(
            Listed(
                ecosystem="npm",
                name=name,
                version=version if version[:1].isdigit() else "",
                origin=origin,
                address=version if origin is not Origin.INDEX else "",
                fixed=commit[1] if commit else "",
                hashes=(last,) if last.startswith("sha") else (),
                direct=not direct or name in direct,
            )
        )
    return Manifest(kind="bun.lock", ecosystem="npm", locked=True, of="package.json", listed=tuple(listed))
