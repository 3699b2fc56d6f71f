"""Knows how an artifact is written down as a bill of materials: CycloneDX 1.6, every field with where it comes from.

*observed* was read from bytes, *declared* stands in a card or configuration. Contradictions between them are kept with
the bill. Source: CycloneDX 1.6 JSON schema (machine-learning-model, modelCard, pedigree, vulnerabilities).
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from weighbridge.provenance.digest import FileDigest
    from weighbridge.schema import Finding

_SEVERITIES: Final = {"critical": "critical", "high": "high", "medium": "medium", "low": "low", "info": "info"}
_SPDX: Final = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "gpl-3.0": "GPL-3.0-only", "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc0-1.0": "CC0-1.0", "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only", "mpl-2.0": "MPL-2.0", "bsd-2-clause": "BSD-2-Clause", "artistic-2.0": "Artistic-2.0",
}  # fmt: skip


class Claim(Struct, frozen=True):
    """One fact about an artifact: its name, its value, whether it is observed or declared, and where it was read."""

    name: str
    value: str
    evidence: str
    place: str


class Description(Struct, frozen=True, kw_only=True):
    """What is known of an artifact: its files, their formats, claims, findings."""

    name: str
    files: tuple[FileDigest, ...]
    formats: dict[str, str]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]
    tool: str

    def first(self, name: str, evidence: str = "") -> str:
        """The value of the first claim of this name; empty where there is none."""
        return next((c.value for c in self.claims if c.name == name and evidence in {"", c.evidence}), "")

    def every(self, name: str) -> tuple[str, ...]:
        """All values of this name, each once."""
        return tuple(dict.fromkeys(claim.value for claim in self.claims if claim.name == name))


class Contradiction(Struct, frozen=True):
    """Two claims that cannot both hold."""

    what: str
    declared: Claim
    observed: Claim


def contradictions(description: Description) -> Iterator[Contradiction]:
    """Where what is declared does not fit what was observed."""
    by_name: dict[str, list[Claim]] = {}
    for claim in description.claims:
        by_name.setdefault(claim.name, []).append(claim)
    for name, claims in sorted(by_name.items()):
        declared = [claim for claim in claims if claim.evidence == "declared"]
        observed = [claim for claim in claims if claim.evidence == "observed"]
        if name == "weights format":
            for claim in declared:
                if observed and claim.value not in {other.value for other in observed}:
                    yield Contradiction("the card says one format, and the files are another", claim, observed[0])
        elif name in {"dtype", "vocabulary"} and declared and observed:
            values = {other.value for other in observed}
            if len(values) == 1 and declared[0].value not in values:
                yield Contradiction(
                    f"the {name} in the configuration is not that of the weights", declared[0], observed[0]
                )
        elif name == "base model" and len({claim.value for claim in declared}) > 1:
            other = next(claim for claim in declared if claim.value != declared[0].value)
            yield Contradiction("two files name different base models", declared[0], other)
        elif name == "licence" and len({claim.value for claim in declared}) > 1:
            other = next(claim for claim in declared if claim.value != declared[0].value)
            yield Contradiction("two files name different licences", declared[0], other)


def cyclonedx(description: Description, now: datetime) -> dict[str, Any]:
    """The bill as CycloneDX 1.6. The same artifact and findings give the same serial number."""
    root = hashlib.sha256("".join(f"{one.sha256}  {one.name}\n" for one in description.files).encode()).hexdigest()
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"weighbridge:{root}:{len(description.findings)}")
    files = [_file(one, description) for one in description.files]
    bases = [_base(name) for name in description.every("base model")]
    datasets = [_dataset(name) for name in description.every("dataset")]
    model = _model(description, root, bases)
    bill: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "lifecycles": [{"phase": "post-build"}],
            "tools": {
                "components": [
                    {"type": "application", "name": "weighbridge", "version": description.tool.rpartition(" ")[2]}
                ]
            },
            "component": model,
        },
        "components": [*files, *datasets],
        "dependencies": [{"ref": "artifact", "dependsOn": [part["bom-ref"] for part in (*files, *datasets)]}],
    }
    vulnerabilities = [
        _vulnerability(number, finding, description)
        for number, finding in enumerate(description.findings)
        if finding.severity.rank < 4
    ]
    if vulnerabilities:
        bill["vulnerabilities"] = vulnerabilities
    return bill


def _model(description: Description, root: str, bases: list[dict[str, Any]]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for field, name in (("task", "task"), ("architectureFamily", "family"), ("modelArchitecture", "architecture")):
        if value := description.first(name):
            parameters[field] = value
    if names := description.every("dataset"):
        parameters["datasets"] = [{"ref": f"dataset:{name}"} for name in names]
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "artifact",
        "name": description.name,
        "hashes": [{"alg": "SHA-256", "content": root}],
        "properties": [
            *(
                {"name": f"weighbridge:{claim.evidence}:{claim.name}", "value": f"{claim.value} ({claim.place})"}
                for claim in description.claims
            ),
            *(
                {
                    "name": "weighbridge:contradiction",
                    "value": f"{c.what}: {c.declared.value} ({c.declared.place}), {c.observed.value} ({c.observed.place})",
                }
                for c in contradictions(description)
            ),
        ],
    }
    if parameters:
        model["modelCard"] = {"modelParameters": parameters}
    if licences := description.every("licence"):
        model["licenses"] = [{"license": {"id": _SPDX[one]} if one in _SPDX else {"name": one}} for one in licences]
    if bases:
        model["pedigree"] = {"ancestors": bases}
    return model


def _file(one: FileDigest, description: Description) -> dict[str, Any]:
    found = description.formats.get(one.name, "")
    return {
        "type": "file",
        "bom-ref": f"file:{one.name}",
        "name": one.name,
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
        "properties": [
            {"name": "weighbridge:observed:size", "value": str(one.size)},
            *([{"name": "weighbridge:observed:format", "value": found}] if found else []),
        ],
    }


def _base(name: str) -> dict[str, Any]:
    base: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": f"base:{name}", "name": name}
    owner, slash, model = name.partition("/")
    if slash and "/" not in model and not name.startswith((".", "/")):
        base["purl"] = f"pkg:huggingface/{owner}/{model}"
    return base


def _dataset(name: str) -> dict[str, Any]:
    return {"type": "data", "bom-ref": f"dataset:{name}", "name": name, "data": [{"type": "dataset", "name": name}]}


def _vulnerability(number: int, finding: Finding, description: Description) -> dict[str, Any]:
    names = {one.name for one in description.files}
    place = finding.location.path[0]
    name = next(
        (known for known in sorted(names, key=len, reverse=True) if place == known or place.endswith(f"/{known}")), ""
    )
    cwes = [int(reference[4:]) for reference in finding.references if reference.startswith("CWE-")]
    found: dict[str, Any] = {
        "bom-ref": f"finding:{number}",
        "id": finding.rule,
        "source": {"name": "Weighbridge"},
        "ratings": [
            {"source": {"name": "Weighbridge"}, "severity": _SEVERITIES[finding.severity.value], "method": "other"}
        ],
        "description": finding.message,
        "recommendation": finding.fix,
        "affects": [{"ref": f"file:{name}" if name else "artifact"}],
        "analysis": {"state": "in_triage"},
    }
    if cwes:
        found["cwes"] = cwes
    return found
