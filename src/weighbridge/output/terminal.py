"""Knows how a report reads in a terminal: evidence first, worst first, one last line that says it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.output.compared import SHOWN, comparison_lines, proof_line
from weighbridge.output.words import summary
from weighbridge.schema import Outcome, Severity, Status
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Evidence, Finding, Location, Report

_COLOURS: Final = {
    Severity.CRITICAL: "1;31",
    Severity.HIGH: "31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.INFO: "2",
}
_OUTCOMES: Final = {Outcome.BLOCK: "1;31", Outcome.REVIEW: "1;33", Outcome.ADMIT: "1;32"}
_SAME_SHOWN: Final = 5
_SKIPPED_SHOWN: Final = 10
_REFERENCES: Final = (
    "AML.T0010.001",
    "AML.T0010.002",
    "AML.T0011.000",
    "AML.T0011.001",
    "AML.T0020",
    "AML.T0059",
    "AML.T0060",
    "AML.T0073",
    "AML.T0076",
    "AML.T0018",
    "AML.T0055",
    "LLM04:2026",
    "CWE-",
)


class Terminal:
    """Draws reports. `colour` is for terminals that want it; it is never the only sign of anything."""

    def __init__(self, *, colour: bool = False, verbose: bool = False) -> None:
        self._colour, self._verbose = colour, verbose

    def draw(self, report: Report, seconds: float | None = None) -> str:
        """The whole report as text."""
        lines = [
            *self._findings(report),
            *self._proofs(report),
            *self._comparison(report),
            *self._profiles(report),
            *self._coverage(report),
            *self._facts(report),
            *self._waived(report),
        ]
        outcome = self._paint(summary(report, seconds), _OUTCOMES[report.verdict.outcome])
        return "\n".join([*lines, *self._because(report), outcome]) + "\n"

    def _findings(self, report: Report) -> Iterator[str]:
        shown: dict[tuple[str, str], int] = {}
        hidden: dict[str, int] = {}
        for finding in report.findings:
            if finding.severity is Severity.INFO and not self._verbose:
                hidden["informational finding"] = hidden.get("informational finding", 0) + 1
                continue
            key = (finding.rule, finding.location.member)
            shown[key] = shown.get(key, 0) + 1
            if shown[key] > _SAME_SHOWN and not self._verbose:
                hidden["finding like those above"] = hidden.get("finding like those above", 0) + 1
                continue
            yield from self.finding(finding)
            yield ""
        for what, count in hidden.items():
            words = what if count == 1 else what.replace("finding", "findings", 1)
            yield f"{count} more {words} (--verbose shows them)"
        if hidden:
            yield ""

    def finding(self, finding: Finding) -> Iterator[str]:
        """One finding, a line at a time."""
        head = self._paint(f"{finding.severity.value}[{finding.rule}]", _COLOURS[finding.severity])
        yield f"{head}: {printable(finding.message)}"
        yield f"  --> {place(finding.location)}"
        width = max((len(str(e.offset)) for e in finding.evidence if e.offset is not None), default=0)
        for evidence in finding.evidence:
            yield self._evidence(evidence, width)
        if finding.why:
            yield f"  = why: {printable(finding.why)}"
        see = ", ".join(r for r in finding.references if r.startswith(_REFERENCES))
        yield f"  = fix: {finding.fix}"
        yield f"  = see: {see} · weighbridge rule {finding.rule}"

    def _evidence(self, evidence: Evidence, width: int) -> str:
        number = f"{evidence.offset:>{width}}: " if evidence.offset is not None else ""
        text = f"   {number}{printable(evidence.text)}"
        return self._paint(text, "1") if evidence.culprit else text

    def _proofs(self, report: Report) -> Iterator[str]:
        for proof in report.proofs:
            yield f"{self._paint('verified', '32')}: {proof_line(proof)}"
        if report.proofs:
            yield ""

    def _comparison(self, report: Report) -> Iterator[str]:
        if report.comparison is not None:
            yield f"compared with {printable(report.comparison.old)}"
            yield from comparison_lines(report.comparison, 10_000 if self._verbose else SHOWN)
            yield ""

    def _profiles(self, report: Report) -> Iterator[str]:
        if not report.profiles:
            return
        from weighbridge.output.profiles import profile_lines  # noqa: PLC0415  # most reports are about no data

        for profile in report.profiles:
            yield from profile_lines(profile)
            yield ""

    def _coverage(self, report: Report) -> Iterator[str]:
        missing = [entry for entry in report.coverage if entry.status is not Status.INSPECTED]
        for entry in missing[:_SKIPPED_SHOWN]:
            yield f"{self._paint('not inspected', '33')}: {printable(entry.member)} ({entry.status.value}: {printable(entry.detail) or entry.reason.value})"
        if len(missing) > _SKIPPED_SHOWN:
            yield f"not inspected: {plural(len(missing) - _SKIPPED_SHOWN, 'more member')} (--format json lists them)"
        if missing:
            yield ""
        if self._verbose:
            for entry in report.coverage:
                yield f"{printable(entry.member)}: {entry.format}, {entry.size} bytes = {entry.inspected} read + {entry.tensor} numbers + {entry.opaque} not understood"
            yield ""

    def _facts(self, report: Report) -> Iterator[str]:
        for fact in report.facts if self._verbose or len(report.facts) <= _SAME_SHOWN else ():
            yield f"{printable(' » '.join(fact.path))}: {fact.name} {printable(fact.value)}"
        if report.facts and (self._verbose or len(report.facts) <= _SAME_SHOWN):
            yield ""

    def _waived(self, report: Report) -> Iterator[str]:
        for waived in report.verdict.waived:
            yield f"waived: {waived.rule} in {printable(waived.member)} until {waived.expires} by {waived.owner}: {waived.reason}"

    def _because(self, report: Report) -> Iterator[str]:
        if report.verdict.outcome is not Outcome.ADMIT:
            yield f"{report.verdict.outcome.value} because {printable(report.verdict.because)}"

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def place(location: Location) -> str:
    """`model.pt » archive/data.pkl, opcode 12, byte 37`."""
    parts = [printable(location.member)]
    if location.opcode is not None:
        parts.append(f"opcode {location.opcode}")
    if location.offset is not None:
        parts.append(f"byte {location.offset}")
    if location.line is not None:
        parts.append(f"line {location.line}")
    return ", ".join(parts)
