"""Knows the exit codes, which mean the same in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.schema import Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Iterable

ADMITTED: Final = 0
BLOCKED: Final = 1
FAILED: Final = 2
INCOMPLETE: Final = 3
NOTHING: Final = 4
INTERRUPTED: Final = 130
_PRECEDENCE: Final = (FAILED, BLOCKED, INCOMPLETE, NOTHING, ADMITTED)

TABLE: Final = """exit codes:
  0  inspected completely, policy admits
  1  policy blocks
  2  usage, configuration or input error: no verdict
  3  incomplete or for review: something was skipped, truncated or unsupported, or policy says review
  4  nothing to inspect was found
  130  interrupted"""


def exit_code(report: Report, *, allow_incomplete: bool = False) -> int:
    """The code for one report."""
    if not report.artifact.files:
        return BLOCKED if report.verdict.outcome is Outcome.BLOCK else NOTHING
    codes = []
    if report.verdict.outcome is Outcome.BLOCK:
        codes.append(BLOCKED)
    if not report.complete and not allow_incomplete:
        codes.append(INCOMPLETE)
    only_coverage = report.verdict.decided_by == "everything is inspected"
    if report.verdict.outcome is Outcome.REVIEW and not (allow_incomplete and only_coverage):
        codes.append(INCOMPLETE)
    return strongest(codes)


def strongest(codes: Iterable[int]) -> int:
    """The code that wins: 2 > 1 > 3 > 4 > 0."""
    present = set(codes)
    return next((code for code in _PRECEDENCE if code in present), ADMITTED)
