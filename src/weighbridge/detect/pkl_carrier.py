"""Knows what a pickle means for the file that carries it: legacy torch checkpoints and joblib dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.detect.pkl import charges
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import PickleSubject
    from weighbridge.formats.pickle import PickleFile
    from weighbridge.schema import Finding


def detect_legacy(subject: PickleSubject) -> Iterator[Finding]:
    """Checkpoints from before torch 1.6."""
    if subject.pickles.legacy_torch:
        yield finding("TCH-003", subject.location.at(0), "a checkpoint in the layout from before torch 1.6")
        yield from _legacy_worst(subject, subject.pickles)


def _legacy_worst(subject: PickleSubject, pickles: PickleFile) -> Iterator[Finding]:
    for trace in pickles.streams:
        critical = [charge for charge in charges(trace, subject.knowledge) if charge.severity is Severity.CRITICAL]
        if critical:
            yield finding(
                "TCH-001", subject.location.at(trace.start), f"torch.load of this file: {critical[0].message}"
            )
            return


def detect_joblib(subject: PickleSubject) -> Iterator[Finding]:
    """What joblib.load of this file does, and objects in its arrays."""
    if not any(trace.raw for trace in subject.pickles.streams) and subject.carrier != "joblib":
        return
    for trace in subject.pickles.streams:
        adverse = charges(trace, subject.knowledge)
        if any(charge.severity is Severity.CRITICAL for charge in adverse):
            yield finding("JBL-001", subject.location, f"joblib.load of this file: {adverse[0].message}")
        for raw in trace.raw:
            inner = charges(raw.pickle, subject.knowledge) if raw.pickle is not None else ()
            if inner:
                yield finding("JBL-002", subject.location.at(raw.offset), f"an array of objects: {inner[0].message}")
