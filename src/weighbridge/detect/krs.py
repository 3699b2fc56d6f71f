"""Knows Lambda layers in the configuration of Keras models (KRS-001)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.finding import finding
from weighbridge.formats.pickle import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import TextSubject
    from weighbridge.schema import Finding

_LAMBDA: Final = re.compile(rb'"class_name":\s*"(?:Lambda|__lambda__)"')
_FORMATS: Final = frozenset({"json", "hdf5"})


def detect_lambda(subject: TextSubject) -> Iterator[Finding]:
    """The configuration is plain JSON, in config.json or in an attribute of an HDF5 file."""
    if subject.format not in _FORMATS:
        return
    for base, data in subject.windows():
        match = _LAMBDA.search(data)
        if match:
            shown = printable(data[match.start() : match.start() + 160].decode("latin-1"))
            yield finding(
                "KRS-001",
                subject.location.at(base + match.start()),
                "a Lambda layer with stored code",
                evidence=[shown],
            )
            return
