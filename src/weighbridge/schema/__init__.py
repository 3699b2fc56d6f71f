"""Knows the frozen values that flow through every room; they are the published JSON Schema."""

from weighbridge.schema.comparison import Change, Comparison, Difference
from weighbridge.schema.coverage import Coverage, Reason, Status
from weighbridge.schema.data import Column, Picture, Profile
from weighbridge.schema.errors import (
    LimitExceeded,
    MalformedInput,
    SourceError,
    Unavailable,
    UsageError,
    VerificationFailed,
    WeighbridgeError,
)
from weighbridge.schema.finding import Evidence, Finding
from weighbridge.schema.limits import Limits
from weighbridge.schema.location import Location
from weighbridge.schema.provenance import Complaint, Proof
from weighbridge.schema.report import Artifact, Fact, Report
from weighbridge.schema.rule import Mode, Rule, Severity
from weighbridge.schema.verdict import Outcome, Verdict, Waived

__all__ = [
    "Artifact",
    "Change",
    "Column",
    "Comparison",
    "Complaint",
    "Coverage",
    "Difference",
    "Evidence",
    "Fact",
    "Finding",
    "LimitExceeded",
    "Limits",
    "Location",
    "MalformedInput",
    "Mode",
    "Outcome",
    "Picture",
    "Profile",
    "Proof",
    "Reason",
    "Report",
    "Rule",
    "Severity",
    "SourceError",
    "Status",
    "Unavailable",
    "UsageError",
    "Verdict",
    "VerificationFailed",
    "Waived",
    "WeighbridgeError",
]
