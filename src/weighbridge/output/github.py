"""Knows the workflow commands with which GitHub Actions annotates files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.output.terminal import place
from weighbridge.output.words import summary
from weighbridge.schema import Report, Severity, Status

if TYPE_CHECKING:
    from weighbridge.schema import Finding


def to_github(report: Report) -> str:
    """One command for each finding and each member that was not inspected, then the summary as a notice."""
    lines = [_finding(finding) for finding in report.findings]
    missing = (entry for entry in report.coverage if entry.status is not Status.INSPECTED)
    lines += [
        f"::warning file={_property(e.path[0])},title=not inspected::{_data(f'{e.member}: {e.detail or e.reason.value}')}"
        for e in missing
    ]
    return "\n".join([*lines, f"::notice title=weighbridge::{_data(summary(report))}"]) + "\n"


def _finding(finding: Finding) -> str:
    level = (
        "error"
        if finding.severity.rank <= Severity.HIGH.rank
        else "warning"
        if finding.severity is Severity.MEDIUM
        else "notice"
    )
    evidence = "\n".join(line.text for line in finding.evidence)
    text = f"{place(finding.location)}: {finding.message}\n{evidence}\nfix: {finding.fix}"
    title = f"{finding.rule} {finding.severity.value}"
    where = finding.location
    line = f",line={where.line}" if where.line is not None and len(where.path) == 1 else ""
    return f"::{level} file={_property(where.path[0].removeprefix('./'))}{line},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
