"""Knows conda's files: environment.yml, conda-lock.yml, explicit lists, pixi.lock.

Sources: the documentation of conda, conda-lock and pixi (lock versions 4 to 6).
"""

from __future__ import annotations

import re
from typing import Any, Final

from weighbridge.formats.manifests.listed import Gap, Index, Listed, Manifest, Origin
from weighbridge.formats.manifests.requirements import requirement
from weighbridge.formats.manifests.shape import rows, table, tables, text, texts

_SPEC: Final = re.compile(r"(?:(?P<channel>[^:\s]+)::)?(?P<name>[\w.-]+)\s*(?P<wanted>[=<>!~ ].*)?\Z")
_EXACT: Final = re.compile(r"={1,2}\s*(\d[\w.+!-]*)(?:=\w+)?\Z")
_FILE: Final = re.compile(
    r"(?P<channel>https?://\S+?)/[\w-]+/(?P<name>[\w.+-]+)-(?P<version>[\w.+!]+)-(?P<build>[\w.]+)\.(?:conda|tar\.bz2)(?:#(?P<digest>[0-9a-f]{32,64}))?"
)


def read_environment(root: dict[str, Any], source: str) -> Manifest:
    """environment.yml: channels, conda packages, and the packages that pip adds."""
    numbers = {
        line.strip().removeprefix("-").strip().strip("\"'"): at for at, line in enumerate(source.splitlines(), 1)
    }
    listed: list[Listed] = []
    gaps: list[Gap] = []
    needs = root.get("dependencies")
    for one in needs if isinstance(needs, list) else ():
        if isinstance(one, str):
            found = _spec(one, numbers.get(one, 0))
            listed += [found] if found else []
            gaps += [] if found else [Gap(numbers.get(one, 0), f"not a package: {one[:80]}")]
            continue
        for line in texts(one, "pip"):
            asked = requirement(line, line=numbers.get(line, 0))
            listed += [asked] if asked else []
            gaps += (
                [] if asked or line.startswith("-") else [Gap(numbers.get(line, 0), f"not a requirement: {line[:80]}")]
            )
    return Manifest(
        kind="environment.yml",
        ecosystem="conda",
        listed=tuple(listed),
        indexes=tuple(Index(address=one, role="channel", line=numbers.get(one, 0)) for one in texts(root, "channels")),
        gaps=tuple(gaps),
    )


def _spec(wanted: str, line: int) -> Listed | None:
    match = _SPEC.match(wanted.strip())
    if match is None:
        return None
    limit = (match["wanted"] or "").strip()
    exact = _EXACT.match(limit)
    return Listed(
        ecosystem="conda",
        name=match["name"],
        version=exact[1] if exact else "",
        wanted=limit,
        line=line,
        index=match["channel"] or "",
    )


def read_conda_lock(root: dict[str, Any]) -> Manifest:
    """conda-lock.yml: packages of both managers, with address and digest."""
    listed = []
    for one in rows(root, "package"):
        kind = "pypi" if text(one, "manager") == "pip" else "conda"
        hashes = tuple(f"{name}:{digest}" for name, digest in table(one, "hash").items())
        listed.append(
            Listed(
                ecosystem=kind, name=text(one, "name"), version=text(one, "version"), hashes=hashes, index=_channel(text(one, "url")),
            )
        )  # fmt: skip
    channels = [text(one, "url") for one in rows(table(root, "metadata"), "channels")]
    return Manifest(
        kind="conda-lock.yml",
        ecosystem="conda",
        locked=True,
        listed=tuple(listed),
        indexes=tuple(Index(address=one, role="channel") for one in channels),
    )


def _channel(address: str) -> str:
    match = _FILE.match(address)
    return match["channel"] if match else ""


def read_explicit(source: str) -> Manifest:
    """A list that begins with @EXPLICIT: one address a line, with a digest behind `#`."""
    listed, gaps = [], []
    for number, line in enumerate(source.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith(("#", "@")):
            continue
        match = _FILE.match(bare)
        if match is None:
            gaps.append(Gap(number, f"not the address of a conda package: {bare[:80]}"))
            continue
        digest = match["digest"]
        listed.append(
            Listed(
                ecosystem="conda",
                name=match["name"],
                version=match["version"],
                line=number,
                hashes=(f"{'sha256' if len(digest) == 64 else 'md5'}:{digest}",) if digest else (),
                index=match["channel"],
            )
        )
    channels = dict.fromkeys(one.index for one in listed)
    return Manifest(
        kind="explicit conda list",
        ecosystem="conda",
        locked=True,
        listed=tuple(listed),
        indexes=tuple(Index(address=one, role="channel") for one in channels),
        gaps=tuple(gaps),
    )


def read_pixi_lock(root: dict[str, Any]) -> Manifest:
    """pixi.lock: every package of every environment once."""
    listed = []
    for one in rows(root, "packages"):
        hashes = tuple(f"{name}:{text(one, name)}" for name in ("sha256", "md5") if text(one, name))
        conda = text(one, "conda") or (text(one, "url") if text(one, "kind") == "conda" else "")
        match = _FILE.match(conda)
        if conda:
            listed.append(
                Listed(
                    ecosystem="conda",
                    name=text(one, "name") or (match["name"] if match else conda.rpartition("/")[2]),
                    version=text(one, "version") or (match["version"] if match else ""),
                    hashes=hashes,
                    index=match["channel"] if match else "",
                )
            )
            continue
        address = text(one, "pypi") or text(one, "url")
        commit = re.search(r"@([0-9a-f]{40})\b|#([0-9a-f]{40})\Z", address)
        is_vcs, is_path = address.startswith("git+"), "://" not in address
        listed.append(
            Listed(
                ecosystem="pypi",
                name=text(one, "name"),
                version=text(one, "version"),
                hashes=hashes,
                origin=Origin.VCS if is_vcs else Origin.PATH if is_path else Origin.INDEX,
                address=address if is_vcs or is_path else "",
                fixed=(commit[1] or commit[2]) if commit else "",
                editable=one.get("editable") is True,
            )
        )
    environments = [environment for _, environment in tables(table(root, "environments"))]
    channels = dict.fromkeys(text(one, "url") for environment in environments for one in rows(environment, "channels"))
    indexes = dict.fromkeys(one for environment in environments for one in texts(environment, "indexes"))
    return Manifest(
        kind="pixi.lock",
        ecosystem="conda",
        locked=True,
        listed=tuple(listed),
        indexes=(
            *(Index(address=one, role="channel") for one in channels),
            *(Index(address=one, role="index" if at == 0 else "extra") for at, one in enumerate(indexes)),
        ),
    )
