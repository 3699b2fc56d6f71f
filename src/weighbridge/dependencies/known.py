"""Knows how what is known against versions becomes findings, and which upgrade would end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.dependencies.frameworks import weaknesses
from weighbridge.dependencies.versions import key
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, MalformedInput, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.dependencies.advisories import Advisories, Known
    from weighbridge.formats.manifests import Listed
    from weighbridge.schema import Finding

_LIKELY = 0.1


class Upgrade(Struct, frozen=True, order=True):
    """The smallest release of a package without what is known against it. `safe` is empty where there is none."""

    place: str
    ecosystem: str
    name: str
    version: str
    safe: str


def against(place: str, one: Listed, base: Advisories | None) -> tuple[list[Finding], list[str], str]:
    """(findings, ids that could not be compared, the smallest safe release) for one package in an exact version."""
    at = Location(path=(place,), line=one.line or None)
    found: list[Finding] = []
    open_: list[str] = []
    fixes: list[str] = []
    told: set[str] = set()
    if base is not None:
        known, open_ = base.against(one.advised, one.key, one.version)
        for each in known:
            told |= set(each.ids)
            found.append(_known(at, one, each))
            fixes.append(each.fixed)
    for weak in weaknesses(one):
        if weak.cve not in told:
            found.append(
                finding(
                    "PKG-002", at, f"{one.name} {one.version}: {weak.what}", evidence=[Evidence(text=f"{weak.cve}, fixed in {weak.fixed}")], fix=f"raise {one.name} to {weak.fixed}",
                )
            )  # fmt: skip
        fixes.append(weak.fixed)
    return found, open_, _highest(one.advised, fixes)


def _highest(ecosystem: str, fixes: list[str]) -> str:
    if not fixes or not all(fixes):
        return ""
    try:
        return max(fixes, key=lambda one: key(ecosystem, one))
    except MalformedInput:
        return ""


def _known(at: Location, one: Listed, known: Known) -> Finding:
    named = f"{one.name} {one.version}".strip()
    evidence = [Evidence(text=printable(f"{', '.join(known.ids[:6])}: {known.summary or 'no summary'}"), culprit=True)]
    if known.exploited:
        evidence.append(Evidence(text=f"used in attacks since {printable(known.exploited)} (CISA KEV)"))
    if known.likely:
        evidence.append(Evidence(text=f"probability of an attack within 30 days: {known.likely:.1%} (EPSS)"))
    if known.malicious:
        return finding("PKG-001", at, printable(f"{named} is known to be malicious"), evidence=evidence)
    ends = f"fixed in {known.fixed}" if known.fixed else "no release without it is known"
    evidence.append(Evidence(text=printable(f"installed or pinned: {one.version}; {ends}")))
    severity = Severity(known.severity) if known.severity else Severity.HIGH
    if known.exploited:
        severity = Severity.CRITICAL
    elif known.likely >= _LIKELY and severity.rank > Severity.HIGH.rank:
        severity = Severity.HIGH
    fix = (
        f"raise {one.name} to {known.fixed}"
        if known.fixed
        else "take another package, or read the advisory for what keeps it out of reach"
    )
    return finding(
        "PKG-002",
        at,
        printable(f"{named}: {known.summary or known.ids[0]}"),
        evidence=evidence,
        severity=severity,
        fix=printable(fix),
    )


def joined(place: str, one: Listed, formats: dict[str, str]) -> Iterator[Finding]:
    """Weak readers beside what they would read. `formats` maps formats that are in the tree to a file of it."""
    told: set[str] = set()
    for weak in weaknesses(one):
        beside = next((formats[kind] for kind in weak.needs if kind in formats), "")
        if not weak.rule or weak.rule in told or (weak.needs and not beside):
            continue
        told.add(weak.rule)
        read = f", and {beside} is there to be read" if beside else ""
        yield finding(
            weak.rule, Location(path=(place,), line=one.line or None), printable(f"{one.name} {one.version}: {weak.what}{read}"),
            evidence=[Evidence(text=f"{weak.cve}, fixed in {weak.fixed}")], fix=f"raise {one.name} to {weak.fixed}",
        )  # fmt: skip


def upgrades(rows: Iterable[Upgrade]) -> list[Upgrade]:
    """Each package of each file once, with the highest of its safe releases."""
    found: dict[tuple[str, str, str], Upgrade] = {}
    for one in rows:
        before = found.get((one.place, one.ecosystem, one.name))
        if before is None or (one.safe and _highest(one.ecosystem, [one.safe, before.safe or one.safe]) == one.safe):
            found[one.place, one.ecosystem, one.name] = one
    return sorted(found.values())
