"""Knows the packages of a project whose names could be taken for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.dependencies.wanted import is_among
from weighbridge.formats.manifests import Origin
from weighbridge.names.packages import popular
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.formats.manifests import Listed
    from weighbridge.schema import Finding


_STEPS: Final = frozenset({"one letter", "two letters", "two letters swapped", "a plural"})


def lookalikes(place: str, one: Listed, own: Sequence[str]) -> Iterator[Finding]:
    """What speaks against the name of one package. Names that fit a pattern of `own` belong to the organisation."""
    if one.ecosystem not in {"pypi", "npm"} or one.origin is not Origin.INDEX or is_among(one.key, own):
        return
    table = popular(one.ecosystem)
    like = table.like(one.key)
    if like is None:
        return
    slop = like.kind.startswith("the name of an import")
    message = (
        f"{one.name}: {like.kind} away from {like.known}"
        if like.kind in _STEPS
        else f"{one.name}: {like.kind} ({like.known})"
    )
    severity = Severity.HIGH if like.sure else Severity.MEDIUM
    yield finding(
        "PKG-007" if slop else "PKG-006",
        Location(path=(place,), line=one.line or None),
        printable(message),
        severity=severity,
        evidence=[
            Evidence(
                text=f"{printable(one.name)} is not among the {one.ecosystem} packages that were most used on {table.of}; {like.known} is"
            )
        ],
    )
