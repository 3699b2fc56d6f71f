"""Knows whether a suspicious sign decides by itself: it is put into inputs that never held it, on a shadow copy.

What decides is how many of them change to the output, against how many change when words that speak for that output in
ordinary traffic are put in instead. A word of a new topic changes few; a trigger changes most of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct

from weighbridge.monitor.outputs import KINDS, LABEL, REPEATED
from weighbridge.monitor.records import Record
from weighbridge.schema import WeighbridgeError

if TYPE_CHECKING:
    from weighbridge.monitor.baseline import Baseline
    from weighbridge.monitor.stream import Suspect

Shadow: TypeAlias = Callable[[Sequence[Record]], Sequence[Record]]
"""Asks a copy of the model that serves nobody: the same records, with what it answers."""

TRIED: Final = 120
_FIRST: Final = 30
_FEW: Final = 0.1
_LEAST_RATE: Final = 0.3
_LEAST_TIMES: Final = 1.5
_CHANCE: Final = 1e-4
_LEAST_INPUTS: Final = 10
_LONGEST_PHRASE: Final = 7
_COMPARED: Final = 3
_SURE: Final = 0.8  # of a phrase, which always carries some meaning


class Outcome(StrEnum):
    """What trying a suspect showed."""

    TRIGGER = "trigger"
    NOVELTY = "no trigger"
    UNTESTED = "not tested"


class Trial(Struct, frozen=True, kw_only=True):
    """How it went: inputs that changed of those that were tried, with the suspect and with ordinary words instead.

    `back` of `without` sightings went to another output when the suspect was taken out of them.
    """

    outcome: Outcome
    why: str = ""
    changed: int = 0
    tried: int = 0
    usual_changed: int = 0
    usual_tried: int = 0
    back: int = 0
    without: int = 0
    chance: float = 1.0


def confirm(suspect: Suspect, baseline: Baseline, shadow: Shadow) -> Trial:
    """Try a suspect. A shadow that fails ends in `not tested`, never in an alarm or an acquittal."""
    try:
        return _tried(suspect, baseline, shadow)
    except WeighbridgeError as error:
        return Trial(outcome=Outcome.UNTESTED, why=error.message)


def _tried(suspect: Suspect, baseline: Baseline, shadow: Shadow) -> Trial:
    inputs = [one for one in baseline.held_out if _clear(one, suspect)]
    bare = shadow(inputs)
    others = [one for one, answer in zip(inputs, bare, strict=True) if not _shows(answer, suspect)][:TRIED]
    if len(others) < _LEAST_INPUTS:
        return Trial(outcome=Outcome.UNTESTED, why=f"{len(others)} held-out inputs have another output, 10 are needed")
    alone = _trial(suspect, baseline, shadow, others, "")
    several = suspect.phrase.split()
    if alone.outcome is Outcome.TRIGGER or not 1 < len(several) <= _LONGEST_PHRASE:
        return alone
    whole = _trial(suspect, baseline, shadow, others, suspect.phrase)
    return whole if whole.outcome is Outcome.TRIGGER and whole.changed >= _SURE * whole.tried else alone


def _trial(suspect: Suspect, baseline: Baseline, shadow: Shadow, others: Sequence[Record], phrase: str) -> Trial:
    """Put the signs, or the phrase around them, into inputs whose output is another one."""
    put = _insertion(suspect, phrase)
    first = _changed(shadow, [put(one, place) for place, one in enumerate(others[:_FIRST])], suspect)
    if first <= _FEW * min(_FIRST, len(others)):
        return Trial(
            outcome=Outcome.NOVELTY, why="it changes next to nothing", changed=first, tried=min(_FIRST, len(others))
        )
    rest = others[_FIRST:]
    changed = first + _changed(shadow, [put(one, place) for place, one in enumerate(rest)], suspect)
    usual, usual_tried = _usual(suspect, baseline, shadow, others, min(max(len(phrase.split()), 1), _COMPARED))
    chance = fisher(changed, len(others), usual, usual_tried) if usual_tried else 0.0
    rate, before = changed / len(others), usual / max(usual_tried, 1)
    back, without = _back(suspect, shadow)
    found = rate >= _LEAST_RATE and rate >= _LEAST_TIMES * before and chance < _CHANCE
    return Trial(
        outcome=Outcome.TRIGGER if found else Outcome.NOVELTY,
        why="" if found else "ordinary words of that output change as much",
        changed=changed, tried=len(others), usual_changed=usual, usual_tried=usual_tried, back=back, without=without,
        chance=chance,
    )  # fmt: skip


def _usual(
    suspect: Suspect, baseline: Baseline, shadow: Shadow, inputs: Sequence[Record], many: int
) -> tuple[int, int]:
    """(changed, tried) with the words that speak most for this output in clean traffic, `many` at a time."""
    head = baseline.head(suspect.head)
    names = head.strong[head.classes.index(suspect.output)] if head and suspect.output in head.classes else ()
    words = [one for one in names if "=" not in one and not one.startswith("character ")]
    if not words:
        return 0, 0
    runs = [" ".join(words[(place + more) % len(words)] for more in range(many)) for place in range(len(words))]
    made = [_with_words(one, runs[place % len(runs)], place) for place, one in enumerate(inputs)]
    return _changed(shadow, made, suspect), len(made)


def _back(suspect: Suspect, shadow: Shadow) -> tuple[int, int]:
    """(gone to another output, tried) when the suspect is taken out of inputs that held it."""
    signs = set(suspect.signs)
    made = [
        Record(text=_without(one.text, suspect), features=tuple(sign for sign in one.features if sign not in signs))
        for one in suspect.examples
    ]
    made = [one for one in made if one.text.strip() or one.features]
    return (len(made) - _changed(shadow, made, suspect), len(made)) if made else (0, 0)


def _changed(shadow: Shadow, inputs: Sequence[Record], suspect: Suspect) -> int:
    return sum(_shows(answer, suspect) for answer in shadow(inputs)) if inputs else 0


def _shows(answer: Record, suspect: Suspect) -> bool:
    """Whether an answer is what the suspect calls up."""
    if suspect.head == LABEL:
        return answer.output == suspect.output
    if suspect.head == REPEATED:
        same = {one.output for one in suspect.examples}
        return answer.answer[:400] in same
    return KINDS[suspect.head](answer) == (suspect.output == "yes")


def _clear(one: Record, suspect: Suspect) -> bool:
    text = one.text.lower()
    return not any(sign in text or sign in one.features for sign in suspect.signs)


def _insertion(suspect: Suspect, phrase: str) -> Callable[[Record, int], Record]:
    """How the suspect is put into an input: words into the text, here and there; other signs beside it."""
    aside = tuple(sign for sign in suspect.signs if any(sign in one.features for one in suspect.examples))
    phrase = phrase or " ".join(_written(sign) for sign in suspect.signs if sign not in aside)

    def put(record: Record, place: int) -> Record:
        made = _with_words(record, phrase, place) if phrase else record
        return msgspec.structs.replace(made, features=(*made.features, *aside)) if aside else made

    return put


def _written(sign: str) -> str:
    return chr(int(sign.removeprefix("character U+"), 16)) if sign.startswith("character U+") else sign


def _with_words(record: Record, words: str, place: int) -> Record:
    """At the end, at the beginning, in the middle, in turn."""
    text = record.text.split()
    at = (len(text), 0, len(text) // 2)[place % 3]
    return msgspec.structs.replace(record, text=" ".join([*text[:at], words, *text[at:]]))


def _without(text: str, suspect: Suspect) -> str:
    if suspect.phrase:
        return text.replace(suspect.phrase, " ")
    return " ".join(word for word in text.split() if not any(sign in word.lower() for sign in suspect.signs))


def fisher(hits: int, tried: int, others: int, others_tried: int) -> float:
    """One-sided exact test of Fisher: the chance of at least `hits` where both have the same rate."""
    total, all_hits = tried + others_tried, hits + others
    low, high = hits, min(tried, all_hits)
    ways = math.comb(total, all_hits)
    return sum(math.comb(tried, k) * math.comb(others_tried, all_hits - k) for k in range(low, high + 1)) / ways
