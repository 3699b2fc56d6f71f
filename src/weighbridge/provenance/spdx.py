"""Knows how a description is written as SPDX 3.0.1 (JSON-LD) with the Software, AI and Dataset profiles.

Source: SPDX 3.0.1 model and context (spdx.github.io/spdx-spec/v3.0.1).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from weighbridge.provenance.description import contradictions

if TYPE_CHECKING:
    from datetime import datetime

    from weighbridge.provenance.description import Base, Description
    from weighbridge.provenance.digest import FileDigest

_CONTEXT: Final = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_CREATION: Final = "_:creation"


def spdx(description: Description, now: datetime) -> dict[str, Any]:
    """The bill as a graph. The same artifact gives the same identifiers."""
    space = f"urn:spdx:{uuid.uuid5(uuid.NAMESPACE_URL, f'weighbridge:spdx:{description.root}')}"
    agent, tool, model = f"{space}#agent", f"{space}#tool", f"{space}#model"
    created = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    graph: list[dict[str, Any]] = [
        {
            "type": "CreationInfo",
            "@id": _CREATION,
            "specVersion": "3.0.1",
            "created": created,
            "createdBy": [agent],
            "createdUsing": [tool],
        },
        _element("SoftwareAgent", agent, "weighbridge"),
        _element("Tool", tool, description.tool),
        _model(description, model),
    ]
    files = [_file(one, f"{space}#file-{number}") for number, one in enumerate(description.files)]
    bases = [_base(one, f"{space}#base-{number}") for number, one in enumerate(description.bases)]
    datasets = [
        _dataset(name, f"{space}#dataset-{number}", created) for number, name in enumerate(description.every("dataset"))
    ]
    packages = [
        {
            **_element("software_Package", f"{space}#package-{number}", one.name),
            "software_packageUrl": one.purl,
            **({"software_packageVersion": one.version} if one.version else {}),
        }
        for number, one in enumerate(description.packages)
    ]
    parts = [*files, *bases, *datasets, *packages]
    graph += parts
    for kind, group in (
        ("contains", files),
        ("descendantOf", bases),
        ("trainedOn", datasets),
        ("dependsOn", packages),
    ):
        if group:
            graph.append(_relationship(f"{space}#{kind}", model, kind, [one["spdxId"] for one in group]))
    graph += _licences(description, space, model)
    graph += _notes(description, space, model)
    elements = [one["spdxId"] for one in graph if "spdxId" in one]
    graph += [
        {
            **_element("software_Sbom", f"{space}#bill", f"Bill of materials of {description.name}"),
            "software_sbomType": ["analyzed"],
            "rootElement": [model],
            "element": elements,
        },
        {
            **_element("SpdxDocument", f"{space}#document", description.name),
            "profileConformance": ["core", "software", "ai", "dataset", "simpleLicensing"],
            "rootElement": [f"{space}#bill"],
            "element": [*elements, f"{space}#bill"],
        },
    ]
    return {"@context": _CONTEXT, "@graph": graph}


def _element(kind: str, identifier: str, name: str) -> dict[str, Any]:
    return {"type": kind, "spdxId": identifier, "creationInfo": _CREATION, "name": name}


def _hash(sha256: str) -> list[dict[str, str]]:
    return [{"type": "Hash", "algorithm": "sha256", "hashValue": sha256}]


def _model(description: Description, identifier: str) -> dict[str, Any]:
    model: dict[str, Any] = {
        **_element("ai_AIPackage", identifier, description.name),
        "software_primaryPurpose": "model",
        "verifiedUsing": _hash(description.root),
    }
    kinds = [value for name in ("family", "architecture") if (value := description.first(name))]
    if kinds:
        model["ai_typeOfModel"] = kinds
    if task := description.first("task"):
        model["ai_domain"] = [task]
    hyperparameters = [
        {"type": "DictionaryEntry", "key": f"{claim.name} ({claim.evidence}, {claim.place})", "value": claim.value}
        for claim in description.claims
        if claim.name in {"parameters", "dtype"}
    ]
    if hyperparameters:
        model["ai_hyperparameter"] = hyperparameters
    return model


def _file(one: FileDigest, identifier: str) -> dict[str, Any]:
    return {**_element("software_File", identifier, one.name), "verifiedUsing": _hash(one.sha256)}


def _base(one: Base, identifier: str) -> dict[str, Any]:
    base = {**_element("ai_AIPackage", identifier, one.name), "comment": f"{one.relation}, {one.evidence}"}
    if one.revision:
        base["software_packageVersion"] = one.revision
    if one.sha256:
        base["verifiedUsing"] = _hash(one.sha256)
    return base


def _dataset(name: str, identifier: str, created: str) -> dict[str, Any]:
    del created
    return {
        **_element("dataset_DatasetPackage", identifier, name),
        "dataset_datasetType": ["noAssertion"],
        "comment": "declared",
    }


def _relationship(identifier: str, start: str, kind: str, ends: list[str]) -> dict[str, Any]:
    return {
        "type": "Relationship",
        "spdxId": identifier,
        "creationInfo": _CREATION,
        "from": start,
        "relationshipType": kind,
        "to": ends,
    }


def _licences(description: Description, space: str, model: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, licence in enumerate(description.every("licence")):
        identifier = f"{space}#licence-{number}"
        found.append(
            {
                "type": "simplelicensing_SimpleLicensingText",
                "spdxId": identifier,
                "creationInfo": _CREATION,
                "name": licence,
                "simplelicensing_licenseText": licence,
            }
        )
        found.append(_relationship(f"{space}#licensed-{number}", model, "hasDeclaredLicense", [identifier]))
    return found


def _notes(description: Description, space: str, model: str) -> list[dict[str, Any]]:
    """Contradictions and findings as annotations: the model of 3.0.1 has no other place that tools read."""
    sentences = [
        *(f"contradiction: {one.sentence}" for one in contradictions(description)),
        *(f"{one.severity.value} {one.rule}: {one.message}" for one in description.findings if one.severity.rank < 4),
    ]
    return [
        {
            "type": "Annotation",
            "spdxId": f"{space}#note-{number}",
            "creationInfo": _CREATION,
            "annotationType": "review",
            "subject": model,
            "statement": text,
        }
        for number, text in enumerate(sentences)
    ]
