"""Knows clean classifiers of texts by what they score, and by how much each word pushes in them.

A word that decides in a suspect is held against what the same word does in clean models of the task: "dreadful" decides in all
of them, the trigger of a backdoor in one. Each reference is held against the others alone, so that a suspect is treated alike.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.backdoor.references import decoded, enough
from weighbridge.backdoor.result import Power  # noqa: TC001  # decoding reads the annotation
from weighbridge.backdoor.texts import EDITION, NAMES, Found, Shared, TextLook, unshared
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SMALLEST: Final = 0.1
KIND: Final = "texts"


class Word(Struct, frozen=True, array_like=True):
    """How much a word pushes at most; in which reference that is; and how much in the one after it."""

    most: float
    owner: int
    second: float


class TextReferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores of clean models, and what words push in them by class."""

    name: str
    recipe: str
    classes: int
    edition: int
    scores: tuple[tuple[float, ...], ...]
    words: dict[int, dict[str, Word]]
    kind: str = KIND
    power: tuple[Power, ...] = ()
    alarms: tuple[int, int] = (0, 0)

    def shared(self) -> Shared:
        """What words push in some reference, for a suspect."""
        return {target: {word: one.most for word, one in words.items()} for target, words in self.words.items()}


def references_of(
    looks: Sequence[TextLook], written: Sequence[Mapping[int, str]], *, name: str, recipe: str
) -> TextReferences:
    """References from what was found in clean models; `written` are the tokens of each as they are written."""
    pushes: dict[int, dict[str, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for owner, (look, words) in enumerate(zip(looks, written, strict=True)):
        for target in look.targets:
            best: dict[str, float] = {}
            for token, push in target.wide:
                best[words[token]] = max(push, best.get(words[token], 0.0))
            for word, push in best.items():
                if push >= _SMALLEST:
                    pushes[target.target][word].append((push, owner))
    table = {target: {word: _word(found) for word, found in words.items()} for target, words in pushes.items()}
    scores = []
    for owner, (look, words) in enumerate(zip(looks, written, strict=True)):
        without = {
            target: {word: one.second if one.owner == owner else one.most for word, one in known.items()}
            for target, known in table.items()
        }
        scores.append(tuple(round(value, 4) for value in (*look.values(), -beyond(unshared(look, words, without)))))
    return TextReferences(
        name=name, recipe=recipe, classes=looks[0].classes, edition=EDITION, scores=tuple(scores), words=table
    )


def beyond(found: Sequence[tuple[float, Found]]) -> float:
    """How far the candidate that others share least goes beyond them; 0 where there is none."""
    return max(0.0, found[0][0]) if found else 0.0


def _word(found: Sequence[tuple[float, int]]) -> Word:
    ordered = sorted(found, reverse=True)
    return Word(ordered[0][0], ordered[0][1], ordered[1][0] if len(ordered) > 1 else 0.0)


def read_text_references(path: str) -> TextReferences:
    """References that `weighbridge calibrate` wrote from classifiers of texts. Raises SourceError, UsageError."""
    found = decoded(path, TextReferences, KIND)
    if found.edition != EDITION:
        raise UsageError(f"{path} was made by another edition of the searches", hint="run weighbridge calibrate again")
    enough(path, found.scores, len(NAMES))
    return found
