"""Knows the JSON form of a report, which is its schema and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from weighbridge.schema import Report

if TYPE_CHECKING:
    from weighbridge.schema import Report as ReportType


def to_json(report: ReportType) -> str:
    """The report, indented, in the order of its fields."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def from_json(text: str | bytes) -> ReportType:
    """A report that `to_json` wrote. Raises msgspec.ValidationError for anything else."""
    return msgspec.json.decode(text, type=Report)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a report (draft 2020-12)."""
    document = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Weighbridge report", **document}
