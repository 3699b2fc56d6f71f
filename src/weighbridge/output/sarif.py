"""Knows SARIF 2.1.0 (OASIS), the form that code hosts and editors read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from weighbridge.rules import find_rule
from weighbridge.schema import Finding, Report, Rule, Severity, Status

if TYPE_CHECKING:
    from weighbridge.schema import Coverage

_LEVELS: Final = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.INFO: "note",
}  # fmt: skip
_SCORES: Final = {
    Severity.CRITICAL: "9.8", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0", Severity.INFO: "0.0",
}  # fmt: skip
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(report: Report) -> str:
    """One run: the rules that were found, a result for each finding, a notification for what was not inspected."""
    used = sorted({finding.rule for finding in report.findings})
    position = {rule: number for number, rule in enumerate(used)}
    name, _, version = report.tool.partition(" ")
    driver = {
        "name": "Weighbridge" if name else "weighbridge",
        "version": version,
        "rules": [_rule(find_rule(rule)) for rule in used],
    }
    missing = [entry for entry in report.coverage if entry.status is not Status.INSPECTED]
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": [_notification(entry) for entry in missing]}
        ],
        "results": [_result(finding, position) for finding in report.findings],
        "properties": {
            "verdict": report.verdict.outcome.value,
            "decidedBy": report.verdict.decided_by,
            "complete": report.complete,
        },
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name.title().replace(" ", "").replace(",", ""),
        "shortDescription": {"text": rule.name},
        "fullDescription": {"text": f"{rule.what}. {rule.why}."},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["security", *rule.references], "security-severity": _SCORES[rule.severity]},
    }


def _result(finding: Finding, position: dict[str, int]) -> dict[str, Any]:
    where = finding.location
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(where.path[0])}}
    if where.offset is not None and len(where.path) == 1:
        physical["region"] = {"byteOffset": where.offset, "byteLength": 1}
    elif where.line is not None and len(where.path) == 1:
        physical["region"] = {"startLine": where.line}
    logical = {"fullyQualifiedName": where.member, "kind": "member"}
    evidence = "\n".join(
        f"{line.offset}: {line.text}" if line.offset is not None else line.text for line in finding.evidence
    )
    return {
        "ruleId": finding.rule,
        "ruleIndex": position[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}\n{evidence}".strip()},
        "locations": [{"physicalLocation": physical, "logicalLocations": [logical]}],
        "partialFingerprints": {
            "weighbridge/v1": f"{finding.rule}:{where.member}:{where.offset or 0}:{finding.message}"[:256]
        },
        "properties": {"severity": finding.severity.value, "why": finding.why, "fix": finding.fix},
    }


def _notification(entry: Coverage) -> dict[str, Any]:
    return {
        "level": "warning",
        "message": {"text": f"{entry.member}: {entry.status.value}, {entry.detail or entry.reason.value}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(entry.path[0])}}}],
    }


def _uri(path: str) -> str:
    return quote(path.replace("\\", "/").removeprefix("./"), safe="/.-_~!$&'()*+,;=@")
