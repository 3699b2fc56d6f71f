"""Knows pip's requirements files, with options, hashes and includes, and single requirements (PEP 508).

Source: pip documentation, "Requirements File Format".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.formats.manifests.listed import Gap, Included, Index, Listed, Manifest, Origin, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT: Final = re.compile(r"(?:^|\s+)#.*$")
_HASH: Final = re.compile(r"--hash[= ]\s*([\w-]+:[0-9A-Fa-f]+)")
_OPTION: Final = re.compile(r"(--?[\w-]+)(?:[= ]\s*(.*))?\Z")
_NAMED: Final = re.compile(
    r"""(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*
    (?:@\s*(?P<address>\S[^;]*)|\(?(?P<wanted>(?:===?|~=|!=|<=?|>=?)[^;()]*)?\)?)\s*(?:;.*)?\Z""",
    re.VERBOSE,
)
_VCS: Final = re.compile(r"(?:git|hg|svn|bzr)(?:\+\w+)?(?:://|\+|@)")
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}\Z")
_DIGEST: Final = re.compile(r"[#&](?:sha256|sha384|sha512)=([0-9a-f]{64,128})")
_EGG: Final = re.compile(r"[#&]egg=([\w.-]+)")
_INDEXES: Final = {
    "-i": "index", "--index-url": "index", "--pypi-url": "index", "--extra-index-url": "extra", "--index": "extra", "--default-index": "index",
    "-f": "find-links", "--find-links": "find-links",
}  # fmt: skip
_TELLING: Final = ("--require-hashes", "--no-index", "--trusted-host", "--pre", "--prerelease", "--index-strategy")
_WORDS: Final = 8192


def read_requirements(text: str) -> Manifest:
    """A requirements or constraints file. A line that pip would not take is a gap."""
    listed: list[Listed] = []
    indexes: list[Index] = []
    includes: list[Included] = []
    options: list[str] = []
    gaps: list[Gap] = []
    for number, line in _lines(text):
        match = _OPTION.match(line) if line.startswith("-") else None
        name, value = (match[1], (match[2] or "").strip().strip("\"'")) if match else ("", "")
        if name in {"-r", "--requirement", "-c", "--constraint"} and value:
            includes.append(Included(value, number))
        elif name in _INDEXES and value:
            indexes.append(Index(address=value, role=_INDEXES[name], line=number))
        elif name in {"-e", "--editable"} and value:
            listed.append(placed(value, line=number, editable=True))
        elif name in _TELLING:
            options.append(f"{name.lstrip('-')} {value}".strip())
        elif not name:
            one = requirement(line, line=number)
            if one is not None:
                listed.append(one)
            else:
                gaps.append(Gap(number, f"not a requirement: {line[:80]}"))
    return Manifest(
        kind="requirements",
        listed=tuple(listed),
        indexes=tuple(indexes),
        includes=tuple(includes),
        options=tuple(options),
        gaps=tuple(gaps),
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) with continued lines joined, without comments and blanks."""
    joined, started = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        started = started or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", joined + raw).strip()[:_WORDS]
        if line:
            yield started, line
        joined, started = "", 0
    if joined.strip():
        yield started, joined.strip()[:_WORDS]


def requirement(text: str, *, line: int = 0) -> Listed | None:
    """One requirement as PEP 508 or pip writes it; None for what is none."""
    hashes = tuple(_HASH.findall(text))
    bare = re.split(r"\s--?[a-z]", text, maxsplit=1)[0].strip()
    if not bare:
        return None
    if "://" in bare.partition("@")[0] or _VCS.match(bare) or bare.startswith((".", "/", "~")) or _is_file(bare):
        return placed(bare, line=line, hashes=hashes)
    match = _NAMED.match(bare)
    if match is None:
        return None
    if match["address"]:
        found = placed(match["address"].strip(), line=line, hashes=hashes)
        return replace(found, name=match["name"])
    wanted = (match["wanted"] or "").strip()
    version = exact(wanted) if wanted.startswith("==") and "," not in wanted else ""
    return Listed(ecosystem="pypi", name=match["name"], version=version, wanted=wanted, line=line, hashes=hashes)


def placed(address: str, *, line: int = 0, editable: bool = False, hashes: tuple[str, ...] = ()) -> Listed:
    """A requirement that names where it lies: a repository, an address, a path."""
    address = address.strip().strip("\"'")
    bare, _, fragment = address.partition("#")
    egg = _EGG.search(f"#{fragment}")
    last = re.sub(
        r"\.(?:whl|zip|tar\.\w+|tgz|git)\Z", "", bare.rstrip("/").partition("@" if "+" in bare[:5] else "?")[0]
    )
    name = egg[1] if egg else re.split(r"-\d", last.rpartition("/")[2])[0] or address[:80]
    if _VCS.match(bare) or bare.endswith(".git"):
        revision = bare.rpartition("@")[2] if "@" in bare.partition("://")[2] else ""
        fixed = revision if _COMMIT.match(revision) else ""
        return Listed(
            ecosystem="pypi", name=name, line=line, origin=Origin.VCS, address=bare, fixed=fixed, editable=editable
        )
    if "://" in bare and not bare.startswith("file:"):
        digest = _DIGEST.search(address)
        fixed = digest[1] if digest else (hashes[0] if hashes else "")
        return Listed(
            ecosystem="pypi", name=name, line=line, origin=Origin.URL, address=bare, fixed=fixed, hashes=hashes
        )
    return Listed(
        ecosystem="pypi", name=name, line=line, origin=Origin.PATH, address=bare, editable=editable, hashes=hashes
    )


def _is_file(text: str) -> bool:
    return bool(re.search(r"\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)\Z", text.partition("#")[0])) and " " not in text
