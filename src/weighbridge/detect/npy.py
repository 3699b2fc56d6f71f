"""Knows what is wrong with NumPy files (NPY)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.finding import finding
from weighbridge.schema import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import NpySubject, TreeSubject
    from weighbridge.schema import Finding

_FIELDS: Final = 1000


def detect_npy(subject: NpySubject) -> Iterator[Finding]:
    """One array."""
    if subject.error is not None:
        yield finding("NPY-002", subject.location.at(subject.error.offset), subject.error.message)
    header = subject.header
    if header is None:
        return
    if header.objects:
        yield finding("NPY-001", subject.location.at(header.data), f"an array of Python objects, shape {header.shape}")
    have = subject.size - header.data
    if header.size > have or any(side < 0 for side in header.shape):
        message = f"shape {header.shape} needs {header.size} bytes and {have} are there"
        yield finding("NPY-003", subject.location.at(10), message, evidence=[f"descr {header.descr}"])
    elif 0 <= header.size < have:
        yield finding(
            "SCN-004",
            subject.location.at(header.data + header.size),
            f"{have - header.size} bytes behind the array",
            severity=Severity.MEDIUM,
        )
    if header.fields > _FIELDS:
        yield finding("NPY-005", subject.location.at(10), f"a dtype of {header.fields} fields")


def detect_npz(subject: TreeSubject) -> Iterator[Finding]:
    """An archive of arrays holds nothing but arrays."""
    if subject.role != "npz":
        return
    for entry in subject.entries:
        if not entry.name.endswith(".npy"):
            yield finding("NPY-004", subject.place(entry.name), "a member of an npz archive that is no array")
