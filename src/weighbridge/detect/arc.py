"""Knows which oddities of a container are attacks (ARC), and what a folder's files say about each other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable
from weighbridge.source import Kind, Oddity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import TreeSubject
    from weighbridge.schema import Finding
    from weighbridge.source import Anomaly

_RULES: Final[dict[Oddity, str]] = {
    Oddity.TRAVERSAL: "ARC-001",
    Oddity.LINK_ESCAPE: "ARC-002",
    Oddity.DUPLICATE: "ARC-005",
    Oddity.COLLISION: "SCN-014",
    Oddity.HEADERS_DIFFER: "ARC-004",
    Oddity.CHECKSUM: "ARC-004",
    Oddity.OVERLAP: "ARC-006",
    Oddity.HIDDEN: "ARC-006",
    Oddity.PREFIX: "ARC-007",
    Oddity.SECOND_DIRECTORY: "ARC-007",
    Oddity.TRAILING: "SCN-004",
    Oddity.FALSE_FLAG: "ARC-009",
    Oddity.METHOD: "ARC-012",
    Oddity.ENCRYPTED: "SCN-006",
    Oddity.MODE: "ARC-010",
    Oddity.TOO_MANY: "ARC-011",
    Oddity.CUT: "SCN-002",
}
_SHOWN: Final = 20
_DEEP_PATH: Final = 64


def detect_tree(subject: TreeSubject) -> Iterator[Finding]:
    """One finding for each oddity, the first twenty of a kind in full."""
    seen: Counter[Oddity] = Counter()
    for anomaly in subject.anomalies:
        seen[anomaly.oddity] += 1
        if seen[anomaly.oddity] <= _SHOWN:
            yield _oddity(subject, anomaly)
    for entry in subject.entries:
        if entry.kind is Kind.SPECIAL and subject.format == "folder" and entry.target == "device, pipe or socket":
            yield finding("SCN-010", subject.place(entry.name), f"{entry.target} among the files")
        if entry.name.count("/") > _DEEP_PATH:
            yield finding("ARC-011", subject.place(entry.name[:200]), f"a path of {entry.name.count('/')} folders")
    if subject.role == "torch-tar":
        yield finding("TCH-003", subject.location, "a checkpoint in the tar layout of the first torch versions")
    yield from _bomb(subject)


def _oddity(subject: TreeSubject, anomaly: Anomaly) -> Finding:
    folder = subject.format == "folder"
    rule = "SCN-010" if folder and anomaly.oddity in {Oddity.LINK_ESCAPE, Oddity.MODE} else _RULES[anomaly.oddity]
    where = subject.place(anomaly.name) if anomaly.name else subject.location
    severity = None
    if anomaly.oddity is Oddity.HIDDEN and "entries" not in anomaly.detail:
        severity = Severity.MEDIUM
    if anomaly.oddity is Oddity.CUT and subject.role != "torch":
        severity = Severity.MEDIUM
    return finding(
        rule, where.at(anomaly.offset), f"{anomaly.oddity.value}: {printable(anomaly.detail)}", severity=severity
    )


def _bomb(subject: TreeSubject) -> Iterator[Finding]:
    claimed = sum(entry.size for entry in subject.entries)
    if subject.format in {"zip", "7z"} and claimed > 1 << 44:
        yield finding("SCN-012", subject.location, f"the directory claims {claimed} bytes in all")
