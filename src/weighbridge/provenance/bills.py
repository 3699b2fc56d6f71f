"""Knows what to do with bills of materials that are there: hold one against files, join several, compare two.

Bills are read as CycloneDX JSON of any version from 1.4 on, strictly where it matters: names, digests, references.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field

from weighbridge.provenance import dsse, keys
from weighbridge.provenance.digest import digests, members
from weighbridge.provenance.signature import refuse
from weighbridge.schema import Complaint, Difference, Proof, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from weighbridge.provenance.bundle import Trust

_LONGEST: Final = 100_000


class Part(Struct, frozen=True, kw_only=True):
    """One component of a bill: its kind, name, version, SHA-256 and what is said of it."""

    ref: str
    kind: str
    name: str
    version: str = ""
    sha256: str = ""
    said: dict[str, str] = {}


class Bill(Struct, frozen=True, kw_only=True):
    """A bill as it stands in its file. `parts` begin with the artifact itself."""

    table: dict[str, Any]
    parts: tuple[Part, ...]
    findings: tuple[str, ...]

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 by name."""
        return {part.name: part.sha256 for part in self.parts if part.kind == "file"}


def load(path: str) -> Bill:
    """A bill from its file, with the shape of everything that is used of it. Raises SourceError, UsageError."""
    try:
        table = dsse.strict_json(keys.read_bundle(path), path)
    except VerificationFailed as error:
        raise UsageError(error.message, hint="give a CycloneDX bill in JSON") from error
    try:
        raw = msgspec.convert(table, _Bill)
        parts = list(_every([raw.metadata.component, *raw.components]))
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: not a CycloneDX bill: {error}", hint="weighbridge bom writes one") from error
    if raw.bom_format != "CycloneDX" or len(parts) > _LONGEST:
        raise UsageError(f"{path}: not a CycloneDX bill, or one that is too long", hint="weighbridge bom writes one")
    return Bill(
        table=table,
        parts=tuple(_part(one) for one in [raw.metadata.component, *raw.components]),
        findings=tuple(f"{one.id} {', '.join(a.ref for a in one.affects)}" for one in raw.vulnerabilities),
    )


class _Hash(Struct, frozen=True):
    alg: str = ""
    content: str = ""


class _Property(Struct, frozen=True):
    name: str = ""
    value: str = ""


class _Pedigree(Struct, frozen=True):
    ancestors: list[_Component] = []


class _Dataset(Struct, frozen=True):
    ref: str = ""


class _Parameters(Struct, frozen=True):
    datasets: list[_Dataset] = []


class _Card(Struct, frozen=True, rename="camel"):
    model_parameters: _Parameters = _Parameters()


class _Component(Struct, frozen=True):
    type: str = ""
    name: str = ""
    version: str = ""
    ref: str = field(default="", name="bom-ref")
    hashes: list[_Hash] = []
    properties: list[_Property] = []
    components: list[_Component] = []
    pedigree: _Pedigree = _Pedigree()
    card: _Card = field(default_factory=_Card, name="modelCard")


class _Metadata(Struct, frozen=True):
    component: _Component


class _Dependency(Struct, frozen=True, rename="camel"):
    ref: str
    depends_on: list[str] = []


class _Affected(Struct, frozen=True):
    ref: str = ""


class _Vulnerability(Struct, frozen=True):
    id: str = ""
    affects: list[_Affected] = []


class _Bill(Struct, frozen=True, rename="camel"):
    """What is used of a bill, in the types that it has to have. Other fields are nobody's business here."""

    bom_format: str
    metadata: _Metadata
    components: list[_Component]
    serial_number: str = ""
    spec_version: str = "1.6"
    dependencies: list[_Dependency] = []
    vulnerabilities: list[_Vulnerability] = []


def _part(one: _Component) -> Part:
    said: dict[str, list[str]] = {}
    for entry in one.properties:
        said.setdefault(entry.name, []).append(entry.value)
    return Part(
        ref=one.ref,
        kind=one.type,
        name=one.name,
        version=one.version,
        sha256=next((h.content for h in one.hashes if h.alg == "SHA-256"), ""),
        said={name: "; ".join(values) for name, values in said.items()},
    )


def _every(parts: list[_Component]) -> Iterator[_Component]:
    """Components at any depth, pedigree too, without recursion."""
    waiting = list(parts)
    for _ in range(_LONGEST + 1):
        if not waiting:
            return
        part = waiting.pop()
        yield part
        waiting += [*part.components, *part.pedigree.ancestors]


def verify(path: str, bill: str, trusted: Trust, now: datetime, *, without: Sequence[str] = ()) -> list[Proof]:
    """Hold files against a bill: each in it with its digest, and none missing; signed, where anybody is trusted.

    Raises VerificationFailed with every complaint.
    """
    known = load(bill)
    by, key = _signed(bill, known, trusted, now)
    found = digests(members(path, without=[os.path.realpath(name) for name in without]))
    listed = known.files
    complaints = [
        Complaint("PRV-011", one.name, "is not in the bill of materials") for one in found if one.name not in listed
    ]
    complaints += [
        Complaint("PRV-011", one.name, "is not what the bill of materials lists")
        for one in found
        if one.name in listed and listed[one.name] != one.sha256
    ]
    present = {one.name for one in found}
    complaints += [
        Complaint("PRV-011", name, "is in the bill of materials and not here") for name in listed if name not in present
    ]
    missing = [part.said["weighbridge:incomplete"] for part in known.parts if "weighbridge:incomplete" in part.said]
    complaints += [Complaint("PRV-011", "", f"the bill of materials is incomplete: {what}") for what in missing]
    refuse(complaints)
    return [
        Proof(
            kind="bom",
            by=by,
            key=key,
            files=len(found),
            size=sum(one.size for one in found),
            what="as in the bill of materials",
        )
    ]


def _signed(bill: str, known: Bill, trusted: Trust, now: datetime) -> tuple[str, str]:
    """Who signed a bill: the attestation beside it states exactly it. Nobody, where nobody is trusted."""
    if not (trusted.keys or trusted.roots or trusted.issuer):
        return bill, ""
    from weighbridge.provenance import attestation, predicates  # noqa: PLC0415  # most bills are held without

    if not os.path.exists(f"{bill}.att"):
        refuse([Complaint("PRV-011", "", f"the bill of materials is not signed: there is no {bill}.att")])
    for one in attestation.read(f"{bill}.att", trusted, now):
        if one.kind == predicates.BILL and one.predicate == known.table:
            return one.by, one.key
    raise VerificationFailed(
        "what is signed beside the bill of materials is another bill",
        hint="weighbridge bom --key signs it",
        rule="PRV-011",
    )


def merge(bills: Sequence[tuple[str, Bill]], name: str, now: datetime) -> dict[str, Any]:
    """One bill for a system of several artifacts, each a component with its own parts inside. References stay unique."""
    components, dependencies, vulnerabilities = [], [], []
    for number, (_, bill) in enumerate(bills):
        table = json.loads(json.dumps(bill.table))
        prefix = f"{number}/"
        component = table["metadata"]["component"]
        component.setdefault("bom-ref", "artifact")
        inside = table["components"]
        for part in _tables([component, *inside]):
            if "bom-ref" in part:
                part["bom-ref"] = f"{prefix}{part['bom-ref']}"
        for dataset in component.get("modelCard", {}).get("modelParameters", {}).get("datasets", ()):
            if "ref" in dataset:
                dataset["ref"] = f"{prefix}{dataset['ref']}"
        component["components"] = [*component.get("components", ()), *inside]
        components.append(component)
        for one in table.get("dependencies", ()):
            one["ref"] = f"{prefix}{one['ref']}"
            one["dependsOn"] = [f"{prefix}{ref}" for ref in one.get("dependsOn", ())]
            dependencies.append(one)
        for one in table.get("vulnerabilities", ()):
            one["bom-ref"] = f"{prefix}{one.get('bom-ref', 'finding')}"
            one["affects"] = [{**a, "ref": f"{prefix}{a.get('ref')}"} for a in one.get("affects", ())]
            vulnerabilities.append(one)
    version = max(str(bill.table.get("specVersion", "1.6")) for _, bill in bills)
    serial = uuid.uuid5(
        uuid.NAMESPACE_URL, "weighbridge:" + ":".join(str(b.table.get("serialNumber")) for _, b in bills)
    )
    merged: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "component": {"type": "application", "bom-ref": "system", "name": name},
        },
        "components": components,
        "dependencies": [{"ref": "system", "dependsOn": [c["bom-ref"] for c in components]}, *dependencies],
    }
    if vulnerabilities:
        merged["vulnerabilities"] = vulnerabilities
    return merged


def _tables(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same as `_every`, for the plain tables of a bill that was loaded."""
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        yield part
        waiting += part.get("components", ())
        waiting += part.get("pedigree", {}).get("ancestors", ())


def lineage(bills: Sequence[tuple[str, Bill]]) -> Iterator[Complaint]:
    """Parents that no bill of the system describes, and parts that come from each other in a circle."""
    parents: dict[str, list[str]] = {}
    known = {_plain(bill.parts[0].name) for _, bill in bills} | {_short(bill.parts[0].name) for _, bill in bills}
    for place, bill in bills:
        component = bill.table["metadata"]["component"]
        ancestors = [str(a.get("name", "")) for a in component.get("pedigree", {}).get("ancestors", ())]
        parents[_short(bill.parts[0].name)] = [_short(one) for one in ancestors]
        for one in ancestors:
            if _plain(one) not in known and _short(one) not in known:
                yield Complaint("PRV-012", place, f"comes from {one}, which no bill describes")
    for start, named in parents.items():
        seen, waiting = set[str](), list(named)
        while waiting:
            current = waiting.pop()
            if current == start:
                yield Complaint("PRV-012", start, "comes from itself, by way of its parents")
                break
            if current not in seen:
                seen.add(current)
                waiting += parents.get(current, ())


def _plain(name: str) -> str:
    return name.casefold()


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold()


def differences(old: Bill, new: Bill) -> Iterator[Difference]:
    """What changed from one bill to the next: parts, versions, digests, what is said, findings."""
    before, after = {_key(part): part for part in old.parts}, {_key(part): part for part in new.parts}
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if one is not None and other is not None:
            yield from _changed(one, other)
        elif one is not None:
            yield Difference(member=one.name, what="part", before=_text(one))
        elif other is not None:
            yield Difference(member=other.name, what="part", after=_text(other))
    for finding in sorted({*old.findings} ^ {*new.findings}):
        rule, _, where = finding.partition(" ")
        gone = finding in old.findings
        yield Difference(member=where, what="finding", before=rule if gone else "", after="" if gone else rule)


def _changed(one: Part, other: Part) -> Iterator[Difference]:
    left = {"version": one.version, "digest": one.sha256, **one.said}
    right = {"version": other.version, "digest": other.sha256, **other.said}
    for what in dict.fromkeys((*left, *right)):
        if left.get(what, "") != right.get(what, ""):
            name = what.removeprefix("weighbridge:")
            yield Difference(member=one.name, what=name, before=left.get(what, ""), after=right.get(what, ""))


def _text(part: Part) -> str:
    return " ".join(filter(None, (part.version, part.sha256[:12]))) or part.kind


def _key(part: Part) -> str:
    return "artifact" if part.ref == "artifact" else f"{part.kind} {part.name}"
