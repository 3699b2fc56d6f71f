"""Knows how a description is written as CycloneDX 1.6 or 1.7, every field with where it comes from.

Source: the JSON schemas of CycloneDX (machine-learning-model, modelCard, pedigree, vulnerabilities, VEX states).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from weighbridge.provenance.description import contradictions
from weighbridge.rules import find_rule
from weighbridge.schema import Mode

if TYPE_CHECKING:
    from datetime import datetime

    from weighbridge.provenance.description import Base, Description, Package
    from weighbridge.provenance.digest import FileDigest
    from weighbridge.schema import Finding

VERSIONS: Final = ("1.6", "1.7")
_SPDX: Final = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "gpl-3.0": "GPL-3.0-only", "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc0-1.0": "CC0-1.0", "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only", "mpl-2.0": "MPL-2.0", "bsd-2-clause": "BSD-2-Clause", "artistic-2.0": "Artistic-2.0",
}  # fmt: skip


def cyclonedx(description: Description, now: datetime, version: str = "1.6") -> dict[str, Any]:
    """The bill. The same artifact and findings give the same serial number."""
    root = description.root
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"weighbridge:{root}:{len(description.findings)}:{version}")
    files = [_file(one, description) for one in description.files]
    datasets = [_dataset(name) for name in description.every("dataset")]
    packages = [_package(one) for one in description.packages]
    parts = [*files, *datasets, *packages]
    bill: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
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
            "component": _model(description, root),
        },
        "components": parts,
        "dependencies": [{"ref": "artifact", "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    vulnerabilities = [
        _vulnerability(number, finding, description)
        for number, finding in enumerate(description.findings)
        if finding.severity.rank < 4
    ]
    if vulnerabilities:
        bill["vulnerabilities"] = vulnerabilities
    return bill


def _model(description: Description, root: str) -> dict[str, Any]:
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
            *({"name": "weighbridge:contradiction", "value": one.sentence} for one in contradictions(description)),
            *({"name": "weighbridge:incomplete", "value": what} for what in description.incomplete),
        ],
    }
    if parameters:
        model["modelCard"] = {"modelParameters": parameters}
    if licences := description.every("licence"):
        model["licenses"] = [{"license": {"id": _SPDX[one]} if one in _SPDX else {"name": one}} for one in licences]
    if description.bases:
        model["pedigree"] = {"ancestors": [_base(one) for one in description.bases]}
    return model


def _file(one: FileDigest, description: Description) -> dict[str, Any]:
    found, role = description.formats.get(one.name, ""), description.roles.get(one.name, "")
    return {
        "type": "file",
        "bom-ref": f"file:{one.name}",
        "name": one.name,
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
        "properties": [
            {"name": "weighbridge:observed:size", "value": str(one.size)},
            *([{"name": "weighbridge:observed:format", "value": found}] if found else []),
            *([{"name": "weighbridge:observed:role", "value": role}] if role else []),
        ],
    }


def _base(one: Base) -> dict[str, Any]:
    base: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": f"base:{one.name}", "name": one.name}
    owner, slash, model = one.name.partition("/")
    if slash and "/" not in model and not one.name.startswith((".", "/")):
        base["purl"] = f"pkg:huggingface/{owner}/{model}{f'@{one.revision}' if one.revision else ''}"
    if one.revision:
        base["version"] = one.revision
    if one.sha256:
        base["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
    base["properties"] = [
        {"name": "weighbridge:relation", "value": one.relation},
        {"name": "weighbridge:evidence", "value": one.evidence},
    ]
    return base


def _dataset(name: str) -> dict[str, Any]:
    return {"type": "data", "bom-ref": f"dataset:{name}", "name": name, "data": [{"type": "dataset", "name": name}]}


def _package(one: Package) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"package:{one.purl}",
        "name": one.name,
        **({"version": one.version} if one.version else {}),
        "purl": one.purl,
        "properties": [{"name": "weighbridge:declared:place", "value": one.place}],
    }


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
        "ratings": [{"source": {"name": "Weighbridge"}, "severity": finding.severity.value, "method": "other"}],
        "description": finding.message,
        "recommendation": finding.fix,
        "affects": [{"ref": f"file:{name}" if name else "artifact"}],
        "analysis": _analysis(finding, description),
    }
    if cwes:
        found["cwes"] = cwes
    return found


def _analysis(finding: Finding, description: Description) -> dict[str, Any]:
    """The VEX state: waived by somebody, shown by deterministic evidence, or for a person to look at."""
    waived = next(
        (w for w in description.waived if w.rule == finding.rule and w.member == finding.location.member), None
    )
    if waived is not None:
        detail = f"{waived.reason} ({waived.owner}, until {waived.expires})"
        return {"state": "not_affected", "justification": "protected_by_mitigating_control", "detail": detail}
    if find_rule(finding.rule).mode is Mode.DETERMINISTIC and finding.severity.rank < 2:
        return {"state": "exploitable", "detail": finding.why}
    return {"state": "in_triage"}
