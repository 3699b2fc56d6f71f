"""Knows what is known of an artifact, each fact with where it comes from, and which facts contradict each other.

*observed* was read from bytes, *declared* stands in a card or configuration, *attested* was signed by somebody trusted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.digest import FileDigest
    from weighbridge.schema import Finding, Waived

# A derivative may not be freer than its base: licences that bind derivatives, and those that go on under them.
_BINDING: Final = {
    "gpl-3.0": {"gpl-3.0", "agpl-3.0"}, "agpl-3.0": {"agpl-3.0"}, "cc-by-sa-4.0": {"cc-by-sa-4.0", "gpl-3.0"},
    "cc-by-nc-4.0": {"cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"}, "cc-by-nc-sa-4.0": {"cc-by-nc-sa-4.0"},
    "openrail": {"openrail", "bigscience-openrail-m"}, "llama2": {"llama2"}, "llama3": {"llama3"}, "llama3.1": {"llama3.1"},
    "llama3.2": {"llama3.2"}, "llama3.3": {"llama3.3"}, "gemma": {"gemma"}, "cc-by-nc-nd-4.0": set(), "cc-by-nd-4.0": set(),
}  # fmt: skip


class Claim(Struct, frozen=True):
    """One fact about an artifact: its name, its value, its evidence (observed, declared, attested), where it was read."""

    name: str
    value: str
    evidence: str
    place: str


class Base(Struct, frozen=True, kw_only=True):
    """A model that the artifact comes from. `sha256` is over its files where they were at hand."""

    name: str
    evidence: str
    relation: str = "derived"
    revision: str = ""
    sha256: str = ""


class Package(Struct, frozen=True, kw_only=True):
    """A package that the artifact declares to need. `version` is empty unless it is pinned."""

    name: str
    purl: str
    place: str
    version: str = ""


class Description(Struct, frozen=True, kw_only=True):
    """What is known of an artifact: files, formats and roles by name, claims, bases, packages, findings, waivers."""

    name: str
    files: tuple[FileDigest, ...]
    formats: dict[str, str]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]
    tool: str
    roles: dict[str, str] = {}
    bases: tuple[Base, ...] = ()
    packages: tuple[Package, ...] = ()
    waived: tuple[Waived, ...] = ()
    incomplete: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """SHA-256 over the list of digests and names of the files."""
        return root_of(self.files)

    def first(self, name: str, evidence: str = "") -> str:
        """The value of the first claim of this name; empty where there is none."""
        return next((c.value for c in self.claims if c.name == name and evidence in {"", c.evidence}), "")

    def every(self, name: str) -> tuple[str, ...]:
        """All values of this name, each once."""
        return tuple(dict.fromkeys(claim.value for claim in self.claims if claim.name == name))


class Contradiction(Struct, frozen=True):
    """Two claims that cannot both hold; `weak` where honest authors get them wrong as well."""

    rule: str
    what: str
    declared: Claim
    observed: Claim
    weak: bool = False

    @property
    def sentence(self) -> str:
        """Both claims and their places in one line."""
        one, other = self.declared, self.observed
        return f"{self.what}: {one.value} ({one.place}), {other.value} ({other.place})"


def root_of(files: tuple[FileDigest, ...]) -> str:
    """SHA-256 over the list of digests and names."""
    return hashlib.sha256("".join(f"{one.sha256}  {one.name}\n" for one in files).encode()).hexdigest()


def contradictions(description: Description) -> Iterator[Contradiction]:
    """Where what is declared does not fit what was observed, or does not fit itself."""
    by_name: dict[str, list[Claim]] = {}
    for claim in description.claims:
        by_name.setdefault(claim.name, []).append(claim)
    for name, claims in sorted(by_name.items()):
        declared = [claim for claim in claims if claim.evidence == "declared"]
        observed = [claim for claim in claims if claim.evidence == "observed"]
        if name == "weights format":
            yield from _formats(declared, observed)
        elif name in {"dtype", "vocabulary"} and declared and observed:
            values = {other.value for other in observed}
            if len(values) == 1 and declared[0].value not in values:
                what = f"the {name} in the configuration is not that of the weights"
                yield Contradiction("PRV-013", what, declared[0], observed[0], weak=True)
        elif name == "base model":
            yield from _two(claims, "PRV-013", "two files name different base models", weak=True)
        elif name == "base fits" and observed and observed[0].value == "no":
            claim = next(iter(by_name.get("base model", declared)), observed[0])
            yield Contradiction("ADP-002", "the tensors do not fit the declared base", claim, observed[0])
        elif name == "licence":
            if declared:
                yield from _two(declared, "PRV-015", "two files name different licences")
            yield from _licences(declared, by_name.get("licence of the base", []))


def _formats(declared: list[Claim], observed: list[Claim]) -> Iterator[Contradiction]:
    for claim in declared:
        if observed and claim.value not in {other.value for other in observed}:
            yield Contradiction("PRV-013", "the card says one format, and the files are another", claim, observed[0])


def _two(claims: list[Claim], rule: str, what: str, *, weak: bool = False) -> Iterator[Contradiction]:
    """Two places that have nothing in common. One place may well name several."""
    by_place: dict[str, list[Claim]] = {}
    for claim in claims:
        by_place.setdefault(claim.place, []).append(claim)
    first, *others = by_place.values()
    known = {_plain(claim.value) for claim in first}
    for other in others:
        if known.isdisjoint(_plain(claim.value) for claim in other):
            yield Contradiction(rule, what, first[0], other[0], weak=weak)
            return


def _plain(name: str) -> str:
    return name.rstrip("/").casefold()


def _licences(own: list[Claim], bases: list[Claim]) -> Iterator[Contradiction]:
    for base in bases:
        allowed = _BINDING.get(base.value.lower())
        if allowed is not None and own and own[0].value.lower() not in allowed:
            yield Contradiction(
                "PRV-015", "the licence of the base does not allow that of the derivative", own[0], base
            )


def complaints(description: Description) -> list[Complaint]:
    """Contradictions in findings' terms, at the file that declares."""
    return [
        Complaint(one.rule, _file_of(one.declared.place, description), one.sentence, one.weak)
        for one in contradictions(description)
    ]


def _file_of(place: str, description: Description) -> str:
    first = place.partition(",")[0]
    return first if any(one.name == first for one in description.files) else ""
