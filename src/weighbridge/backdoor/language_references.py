"""Knows clean fine-tunes and adapters of one base by what they score, so that a suspect can be held against them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from weighbridge.backdoor.language import EDITION
from weighbridge.backdoor.references import decoded, enough
from weighbridge.backdoor.result import Power  # noqa: TC001  # decoding reads the annotation
from weighbridge.schema import UsageError

KIND: Final = "language"


class LanguageReferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores of clean models that were made from one base, in the order of the tests' names."""

    name: str
    recipe: str
    names: tuple[str, ...]
    edition: int
    scores: tuple[tuple[float, ...], ...]
    kind: str = KIND
    power: tuple[Power, ...] = ()
    alarms: tuple[int, int] = (0, 0)


def read_language_references(path: str) -> LanguageReferences:
    """References that `weighbridge calibrate` wrote from language models. Raises SourceError, UsageError."""
    found = decoded(path, LanguageReferences, KIND)
    if found.edition != EDITION:
        raise UsageError(f"{path} was made by another edition of the searches", hint="run weighbridge calibrate again")
    enough(path, found.scores, len(found.names))
    return found
