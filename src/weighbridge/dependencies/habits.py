"""Knows the habits that let a dependency change, or be answered by a stranger: pins, digests, indexes, addresses, ages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from weighbridge.dependencies.wanted import is_among
from weighbridge.formats.manifests import Index, Listed, Manifest, Origin
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from weighbridge.dependencies.wanted import Demands
    from weighbridge.schema import Finding

_SHOWN: Final = 8
_BILLS: Final = frozenset({"CycloneDX", "SPDX"})
_PUBLIC: Final = re.compile(
    r"https://(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|test\.pypi\.org)(?:/|\Z)"
)
_CHANNELS: Final = frozenset(
    ["defaults", "conda-forge", "pytorch", "pytorch-nightly", "nvidia", "bioconda", "main", "r", "msys2", "rapidsai", "huggingface", "anaconda", "pkgs/main", "nodefaults", "fastai", "pyg", "xformers", "intel", "dask"]
)  # fmt: skip
_RUNTIMES: Final = re.compile(
    r"(?:torch(?:vision|audio|ao|text|codec)?|nvidia-[\w-]+|triton|pytorch-triton\S*|jaxlib|jax-cuda\S*|tensorflow(?:-\w+)?|cupy(?:-cuda\w+)?|vllm|xformers|flash-attn\S*|onnxruntime-gpu|tensorrt\S*|bitsandbytes|deepspeed|cuda-\S+|cudatoolkit|llama-cpp-python)\Z"
)
_OFFICIAL: Final = re.compile(
    r"(?:pypi\.org|files\.pythonhosted\.org|download(?:-r2)?\.pytorch\.org|pypi\.nvidia\.com|pypi\.ngc\.nvidia\.com|storage\.googleapis\.com/jax-releases|wheels\.vllm\.ai|flashinfer\.ai|conda\.anaconda\.org/(?:pytorch|nvidia|conda-forge|rapidsai)|repo\.anaconda\.com|github\.com/(?:Dao-AILab|vllm-project|pytorch|abetlen|NVIDIA)/|abetlen\.github\.io/llama-cpp-python|repo\.radeon\.com|huggingface\.co/)",
    re.IGNORECASE,
)


Pins: TypeAlias = "Mapping[tuple[str, str], Mapping[str, bool]]"


class Habits:
    """Judges one manifest.

    `place` is its path as shown, `pins` maps (ecosystem, package) to the files that pin it, and whether with its digest.
    """

    def __init__(self, place: str, manifest: Manifest, demands: Demands, today: date, *, pins: Pins) -> None:
        self._place, self._manifest, self._demands, self._today = place, manifest, demands, today
        self._pins_of = pins
        self._covered = bool(manifest.listed) and all(any(self._elsewhere(one)) for one in manifest.listed)

    def findings(self) -> Iterator[Finding]:
        """Everything about one manifest."""
        yield from self._pins()
        yield from self._digests()
        yield from self._addresses()
        yield from self._indexes()
        yield from self._channels()
        yield from self._runtimes()
        yield from self._young()

    def _elsewhere(self, one: Listed) -> list[bool]:
        """Of each other file that pins a package: whether it holds its digest."""
        held = self._pins_of.get((one.ecosystem, one.key), {})
        return [hashed for place, hashed in held.items() if place != self._place]

    def _at(
        self, rule: str, message: str, *, line: int = 0, evidence: Iterable[str] = (), severity: Severity | None = None
    ) -> Finding:
        place = Location(path=(self._place,), line=line or None)
        return finding(
            rule,
            place,
            printable(message),
            severity=severity,
            evidence=[Evidence(text=printable(one)) for one in evidence],
        )

    def _pins(self) -> Iterator[Finding]:
        if self._manifest.locked:
            return
        loose = [
            one
            for one in self._manifest.listed
            if one.origin is Origin.INDEX and not one.version and not self._elsewhere(one)
        ]
        if loose:
            # A library leaves ranges to whoever installs it; what counts is that something is fixed somewhere.
            names = ", ".join(one.name for one in loose[:3])
            more = f" and {len(loose) - 3} more" if len(loose) > 3 else ""
            yield self._at(
                "PKG-003", f"{names}{more}: no exact version, and no lock beside it", line=loose[0].line,
                evidence=(f"{one.line or '-'}: {one.name} {one.wanted}".rstrip() for one in loose[:_SHOWN]),
            )  # fmt: skip

    def _digests(self) -> Iterator[Finding]:
        whole = self._manifest.locked and self._manifest.kind not in _BILLS
        if self._covered or not (whole or self._manifest.kind == "requirements"):
            return
        pinned = [one for one in self._manifest.listed if one.version and one.origin is Origin.INDEX]
        bare = [one for one in pinned if not one.hashes]
        if not bare:
            return
        severity = (
            Severity.HIGH
            if self._demands.hashes
            else Severity.MEDIUM
            if len(bare) < len(pinned) or self._manifest.locked
            else Severity.LOW
        )
        yield self._at(
            "PKG-004", f"{len(bare)} of {len(pinned)} pinned packages have no digest", line=bare[0].line, severity=severity,
            evidence=(f"{one.line or '-'}: {one.name} {one.version}" for one in bare[:_SHOWN]),
        )  # fmt: skip

    def _addresses(self) -> Iterator[Finding]:
        for one in self._manifest.listed:
            plain = one.address.startswith(("http://", "git+http://", "git://"))
            if one.origin is Origin.VCS and not one.fixed and not self._covered:
                yield self._at(
                    "PKG-008",
                    f"{one.name} comes from {_plain(one.address)[:120]} without a commit",
                    line=one.line,
                    evidence=[_plain(one.address)],
                )
            elif one.origin is Origin.URL and (plain or not (one.fixed or one.hashes or self._covered)):
                severity = Severity.HIGH if plain else None
                why = "without encryption" if plain else "without a digest"
                yield self._at(
                    "PKG-008",
                    f"{one.name} comes from {_plain(one.address)[:120]} {why}",
                    line=one.line,
                    severity=severity,
                    evidence=[_plain(one.address)],
                )

    def _indexes(self) -> Iterator[Finding]:
        indexes = [one for one in self._manifest.indexes if one.role != "channel"]
        for one in indexes:
            if one.address.startswith("http://") and not re.match(r"http://(?:localhost|127\.0\.0\.1)\b", one.address):
                yield self._at(
                    "PKG-005",
                    f"the index {_host(one.address)} is asked without encryption",
                    line=one.line,
                    evidence=[_plain(one.address)],
                )
            if self._demands.indexes and not self._allowed(one.address):
                yield self._at(
                    "PKG-005",
                    f"the index {_host(one.address)} is not among those that policy allows",
                    line=one.line,
                    evidence=[_plain(one.address)],
                )
        for text in self._manifest.options:
            if text.startswith("trusted-host "):
                yield self._at(
                    "PKG-005",
                    f"certificates of {text.removeprefix('trusted-host ')} are not checked",
                    evidence=[f"--{text}"],
                )
        # A folder of this machine, or one that a variable names, is nobody else's to answer from.
        extra = [
            one
            for one in indexes
            if one.role in {"extra", "find-links"} and "://" in one.address and "$" not in one.address
        ]
        if extra:
            yield from self._confused(extra)
        yield from self._internal(indexes)

    def _confused(self, extra: list[Index]) -> Iterator[Finding]:
        """Several indexes that any of them may answer for: pip takes the highest version, wherever it lies."""
        if self._manifest.locked:
            return
        uv = self._manifest.kind == "pyproject.toml" and not any("unsafe" in one for one in self._manifest.options)
        open_ = [
            one for one in self._manifest.listed if one.origin is Origin.INDEX and not one.index and not one.hashes
        ]
        if self._manifest.listed and not open_:
            return
        hosts = ", ".join(dict.fromkeys(_host(one.address) for one in extra))
        severity = Severity.MEDIUM if uv or self._covered else Severity.HIGH
        yield self._at(
            "PKG-005", f"{hosts} is searched beside the main index, for {len(open_) or 'all'} packages that no digest holds", line=extra[0].line, severity=severity,
            evidence=[*(f"{one.role}: {_plain(one.address)}" for one in extra), *(f"{one.name} {one.wanted}".rstrip() for one in open_[:4])],
        )  # fmt: skip

    def _internal(self, indexes: list[Index]) -> Iterator[Finding]:
        main = [one for one in indexes if one.role == "index"]
        public = not main or any(_PUBLIC.match(one.address) for one in indexes)
        for one in self._manifest.listed:
            if not is_among(one.key, self._demands.internal):
                continue
            elsewhere = one.index and not _PUBLIC.match(one.index) and one.index != "pypi"
            if public and not elsewhere and one.origin is Origin.INDEX:
                where = one.index or "a public index"
                yield self._at(
                    "PKG-005",
                    f"the internal name {one.name} can be answered by {_host(where)}",
                    line=one.line,
                    evidence=[f"{one.name} {one.version or one.wanted}".rstrip()],
                )

    def _channels(self) -> Iterator[Finding]:
        channels = [one for one in self._manifest.indexes if one.role == "channel"]
        names = [
            re.sub(
                r"\Ahttps://(?:conda\.anaconda\.org|repo\.anaconda\.com/pkgs|prefix\.dev|repo\.prefix\.dev)/",
                "",
                one.address,
            ).strip("/")
            for one in channels
        ]
        for one, name in zip(channels, names, strict=True):
            if one.address.startswith("http://"):
                yield self._at(
                    "PKG-020",
                    f"the channel {_plain(one.address)} is asked without encryption",
                    line=one.line,
                    severity=Severity.HIGH,
                )
            elif name.partition("/label/")[0] not in _CHANNELS:
                yield self._at(
                    "PKG-020", f"the channel {name} is anybody's", line=one.line, evidence=[_plain(one.address)]
                )
        main = {name for name in names if name in {"defaults", "main", "anaconda"}}
        if main and "conda-forge" in names and not self._manifest.locked:
            yield self._at(
                "PKG-020",
                f"{min(main)} and conda-forge hold the same names, and both are searched",
                severity=Severity.LOW,
                evidence=names,
            )

    def _runtimes(self) -> Iterator[Finding]:
        foreign = [
            one
            for one in self._manifest.indexes
            if one.role in {"extra", "index", "find-links"}
            and not _OFFICIAL.search(one.address)
            and not one.address.startswith("${")
        ]
        for one in self._manifest.listed:
            if not _RUNTIMES.match(one.key):
                continue
            address = one.address if one.origin in {Origin.URL, Origin.VCS} else one.index
            if "://" in address and not _OFFICIAL.search(address) and not self._allowed(address):
                yield self._at(
                    "PKG-023", f"{one.name} comes from {_host(address)}", line=one.line, evidence=[_plain(address)]
                )
            elif (
                not address
                and foreign
                and foreign[0].role == "extra"
                and not self._allowed(foreign[0].address)
                and not one.hashes
            ):
                yield self._at(
                    "PKG-023",
                    f"{one.name} may come from {_host(foreign[0].address)}",
                    line=one.line,
                    evidence=[_plain(foreign[0].address)],
                )

    def _allowed(self, address: str) -> bool:
        return any(_plain(address).startswith(allowed.rstrip("/")) for allowed in self._demands.indexes)

    def _young(self) -> Iterator[Finding]:
        for one in self._manifest.listed:
            if self._demands.is_young(one.released, self._today):
                yield self._at(
                    "PKG-016", f"{one.name} {one.version} was released on {one.released[:16].replace('T', ' ')}", line=one.line,
                    evidence=[f"released {one.released}, cooldown {self._demands.cooldown_days} days"],
                )  # fmt: skip


def _plain(address: str) -> str:
    """An address without the password that may stand in it."""
    return re.sub(r"//[^/@\s]*@", "//", address)


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc.rpartition("@")[2] or address[:60]
    except ValueError:
        return address[:60]


def drift(place: str, lock: Manifest, asked: Iterable[tuple[str, Listed]]) -> Iterator[Finding]:
    """What a manifest asks for and its lock does not hold. `asked` are (place, requirement) of the same ecosystem."""
    from weighbridge.dependencies.versions import satisfies  # noqa: PLC0415  # only where a lock stands beside its manifest

    held: dict[tuple[str, str], list[str]] = {}
    for one in lock.listed:
        held.setdefault((one.ecosystem, one.key), []).append(one.version)
    for source, one in asked:
        if one.build:
            continue
        versions = held.get((one.ecosystem, one.key))
        if versions is None:
            message = f"{source} asks for {one.name}, and the lock does not hold it"
        elif one.origin is Origin.INDEX and all(
            satisfies(one.ecosystem, version, one.wanted) is False for version in versions
        ):
            message = f"{source} asks for {one.name} {one.wanted}, and the lock holds {', '.join(versions)}"
        else:
            continue
        yield finding(
            "PKG-024",
            Location(path=(place,)),
            printable(message),
            evidence=[Evidence(text=printable(f"{one.line or '-'}: {one.name} {one.wanted}"))],
        )


def unattested(place: str, manifest: Manifest, demands: Demands, attested: Mapping[str, str]) -> Iterator[Finding]:
    """Packages that policy wants attested, and that no attestation is about, or one by somebody else.

    `attested` maps the SHA-256 of files to who signed for them.
    """
    for one in manifest.listed:
        if not is_among(one.key, demands.attested):
            continue
        by = [attested[digest] for digest in _sha256(one) if digest in attested]
        publisher = demands.publishers.get(one.key, demands.publishers.get(one.name, ""))
        if not by:
            message = f"{one.name} {one.version}: no attestation is about any of its files"
        elif publisher and not any(publisher in name for name in by):
            message = f"{one.name} {one.version}: attested by {by[0]}, and policy names {publisher}"
        else:
            continue
        yield finding(
            "PKG-017",
            Location(path=(place,), line=one.line or None),
            printable(message),
            evidence=[printable(f"{len(one.hashes)} digests, {len(attested)} attested files")],
        )


def _sha256(one: Listed) -> Iterator[str]:
    for digest in one.hashes:
        kind, _, value = digest.partition(":")
        if kind == "sha256":
            yield value
