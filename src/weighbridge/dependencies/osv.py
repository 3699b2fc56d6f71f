"""Knows records of the Open Source Vulnerability schema, and how much of one is kept. Source: OSV schema 1.7, CVSS 3.1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.formats.manifests import normal
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

ECOSYSTEMS: Final = {"PyPI": "pypi", "npm": "npm"}
_VECTOR: Final = re.compile(r"CVSS:3\.[01]/(.+)")
_SUMMARY: Final = 240
_WEIGHTS: Final = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
}  # fmt: skip
_PRIVILEGES: Final = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_WORDS: Final = {"CRITICAL": "critical", "HIGH": "high", "MODERATE": "medium", "MEDIUM": "medium", "LOW": "low"}


class _Package(Struct, frozen=True):
    ecosystem: str = ""
    name: str = ""


class _Range(Struct, frozen=True):
    type: str = ""
    events: list[dict[str, str]] = []


class _Affected(Struct, frozen=True):
    package: _Package = _Package()
    ranges: list[_Range] = []
    versions: list[str] = []
    database_specific: dict[str, Any] | None = None


class _Severity(Struct, frozen=True):
    type: str = ""
    score: str = ""


class _Record(Struct, frozen=True):
    id: str
    modified: str = ""
    published: str = ""
    withdrawn: str = ""
    aliases: list[str] | None = None
    summary: str = ""
    details: str = ""
    affected: list[_Affected] | None = None
    severity: list[_Severity] | None = None
    database_specific: dict[str, Any] | None = None


class Hit(Struct, frozen=True, kw_only=True):
    """What a record says of one package. `ranges` are (introduced, fixed, last affected); without any, `versions` decide."""

    ecosystem: str
    name: str
    ranges: tuple[tuple[str, str, str], ...] = ()
    versions: tuple[str, ...] = ()


class Advisory(Struct, frozen=True, kw_only=True):
    """One record. `severity` is critical, high, medium, low, or empty where the record names none."""

    id: str
    modified: str
    withdrawn: bool
    aliases: tuple[str, ...]
    summary: str
    severity: str
    hits: tuple[Hit, ...]

    @property
    def malicious(self) -> bool:
        """Whether the record is about malware, not about a weakness. Source: OpenSSF malicious-packages (MAL-)."""
        return any(one.startswith("MAL-") for one in (self.id, *self.aliases))


_DECODER: Final = msgspec.json.Decoder(_Record)


def read_advisory(data: bytes) -> Advisory:
    """One record. Raises MalformedInput."""
    try:
        record = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedInput(f"not a record of OSV: {error}") from error
    if not record.id or len(record.id) > 200:
        raise MalformedInput("a record without an id")
    summary = record.summary or record.details.strip().split("\n")[0]
    return Advisory(
        id=record.id,
        modified=record.modified,
        withdrawn=bool(record.withdrawn),
        aliases=tuple(record.aliases or ()),
        summary=summary[:_SUMMARY],
        severity=_severity(record),
        hits=tuple(_hits(record)),
    )


def _hits(record: _Record) -> Iterator[Hit]:
    for one in record.affected or ():
        ecosystem = ECOSYSTEMS.get(one.package.ecosystem.partition(":")[0])
        if ecosystem is None or not one.package.name:
            continue
        name = normal(ecosystem, one.package.name)
        ranges = tuple(
            pair for given in one.ranges if given.type in {"ECOSYSTEM", "SEMVER"} for pair in _pairs(given.events)
        )
        yield Hit(ecosystem=ecosystem, name=name, ranges=ranges, versions=() if ranges else tuple(one.versions))


def _pairs(events: list[dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Events are a line of time: each beginning goes with the end that follows it."""
    begun: str | None = None
    for event in events:
        if "introduced" in event:
            if begun is not None:
                yield begun, "", ""
            begun = event["introduced"]
        elif "fixed" in event and begun is not None:
            yield begun, event["fixed"], ""
            begun = None
        elif "last_affected" in event and begun is not None:
            yield begun, "", event["last_affected"]
            begun = None
    if begun is not None:
        yield begun, "", ""


def _severity(record: _Record) -> str:
    said = (record.database_specific or {}).get("severity")
    if isinstance(said, str) and said.upper() in _WORDS:
        return _WORDS[said.upper()]
    for one in record.severity or ():
        score = base_score(one.score)
        if score:
            return "critical" if score >= 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"
    return ""


def base_score(vector: str) -> float:
    """The base score of a CVSS 3 vector (0 to 10); 0 where it is none. Source: CVSS 3.1, section 7.1."""
    match = _VECTOR.match(vector)
    if match is None:
        return 0.0
    given = dict(part.partition(":")[::2] for part in match[1].split("/"))
    try:
        changed = given["S"] == "C"
        impact = 1 - (1 - _WEIGHTS["C"][given["C"]]) * (1 - _WEIGHTS["C"][given["I"]]) * (1 - _WEIGHTS["C"][given["A"]])
        ease = 8.22 * _WEIGHTS["AV"][given["AV"]] * _WEIGHTS["AC"][given["AC"]] * _PRIVILEGES[given["S"]][given["PR"]] * _WEIGHTS["UI"][given["UI"]]  # fmt: skip
    except KeyError:
        return 0.0
    weight = 7.52 * (impact - 0.029) - 3.25 * (impact - 0.02) ** 15 if changed else 6.42 * impact
    if weight <= 0:
        return 0.0
    raw = min(10.0, (1.08 if changed else 1.0) * (weight + ease))
    # "Round up" to one decimal, as the appendix of the specification defines it on integers.
    whole = round(raw * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
