"""Knows whether a suspicious sign decides by itself: it is put into inputs that never held it, on a shadow copy.

What decides is how many of them change to the output, against how many change when words that speak for that output in
ordinary traffic are put in instead. A word of a new topic changes few; a trigger changes most of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct

from weighbridge.datasets.features import CHARACTER
from weighbridge.monitor.associations import ANSWER
from weighbridge.monitor.outputs import KINDS, LABEL, REPEATED
from weighbridge.monitor.phrases import places
from weighbridge.monitor.records import PATCH, Record
from weighbridge.schema import WeighbridgeError

if TYPE_CHECKING:
    from weighbridge.monitor.baseline import Baseline
    from weighbridge.monitor.stream import Suspect
    from weighbridge.monitor.vocabulary import Vocabulary

Shadow: TypeAlias = Callable[[Sequence[Record]], Sequence[Record]]
"""Asks a copy of the model that serves nobody: the same records, with what it answers."""

TRIED: Final = 80
_FIRST: Final = 20
_SAMPLED: Final = 15
_LEAST_RATE: Final = 0.3
_LEAST_ODDS: Final = 3.0  # of a change, times those with the best ordinary word
_CHANCE: Final = 1e-4
_LEAST_INPUTS: Final = 10
_MIXED: Final = 10
_TIMES: Final = 4
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

    `back` of `without` sightings went to another output when the suspect was taken out of them. `kept` of `mixed` sightings
    kept their output when half of their other words were exchanged for those of other inputs, and `usual_kept` of
    `usual_mixed` inputs that have this output without the suspect (after STRIP, Gao et al. 2019).
    """

    outcome: Outcome
    why: str = ""
    changed: int = 0
    tried: int = 0
    usual_changed: int = 0
    usual_tried: int = 0
    back: int = 0
    without: int = 0
    kept: int = 0
    mixed: int = 0
    usual_kept: int = 0
    usual_mixed: int = 0
    chance: float = 1.0


class Trials:
    """Tries suspects on one shadow copy, which is asked once what it makes of the held-out inputs as they are."""

    def __init__(self, baseline: Baseline, shadow: Shadow) -> None:
        self._baseline, self._shadow = baseline, shadow
        self._bare: list[Record] | None = None

    @cached_property
    def _words(self) -> Vocabulary:
        return self._baseline.vocabulary()

    def confirm(self, suspect: Suspect) -> Trial:
        """Try a suspect. A shadow that fails ends in `not tested`, never in an alarm or an acquittal."""
        try:
            return self._tried(suspect)
        except WeighbridgeError as error:
            return Trial(outcome=Outcome.UNTESTED, why=error.message)
        except Exception as error:  # noqa: BLE001  # the shadow is the user's: whatever it raises means that it was not asked
            why = f"the shadow copy fails: {type(error).__name__}: {error}"
            return Trial(outcome=Outcome.UNTESTED, why=why[:200])

    def _tried(self, suspect: Suspect) -> Trial:
        held = self._baseline.held_out
        if self._bare is None:
            self._bare = list(self._shadow(held))
        others = [
            one
            for one, answer in zip(held, self._bare, strict=True)
            if (answer.output or answer.answer) and not _shows(answer, suspect) and _clear(one, suspect)
        ]
        if len(others) < _LEAST_INPUTS:
            return Trial(
                outcome=Outcome.UNTESTED, why=f"{len(others)} held-out inputs have another output, 10 are needed"
            )
        others = self._surest_first(others, suspect)[:TRIED]
        found = self._put_into(others, suspect)
        return found if found.outcome is not Outcome.TRIGGER else self._mixed(found, suspect, others)

    def _surest_first(self, inputs: Sequence[Record], suspect: Suspect) -> list[Record]:
        """By the model's own confidence; where the log has none, by how clearly the words speak for the output."""
        if any(one.confidence >= 0 for one in inputs):
            return sorted(inputs, key=lambda one: -one.confidence)
        head = self._baseline.head(suspect.head)
        if head is None or not inputs:
            return list(inputs)
        expectation = head.expectation()
        numbers, owner = self._words.read(inputs)
        clear = expectation.probabilities(expectation.scores(numbers, owner, len(inputs))).max(axis=1)
        return [inputs[place] for place in (-clear).argsort(kind="stable").tolist()]

    def _put_into(self, others: Sequence[Record], suspect: Suspect) -> Trial:
        alone = _trial(suspect, self._baseline, self._shadow, others, "")
        several = suspect.phrase.split()
        if alone.outcome is Outcome.TRIGGER or not 1 < len(several) <= _LONGEST_PHRASE:
            return alone
        whole = _trial(suspect, self._baseline, self._shadow, others, suspect.phrase)
        return whole if whole.outcome is Outcome.TRIGGER and whole.changed >= _SURE * whole.tried else alone

    def _mixed(self, trial: Trial, suspect: Suspect, others: Sequence[Record]) -> Trial:
        """The trial with what mixing shows: evidence for people, which decides nothing."""
        assert self._bare is not None
        held = zip(self._baseline.held_out, self._bare, strict=True)
        ordinary = [one for one, answer in held if one.text and _shows(answer, suspect) and _clear(one, suspect)]
        sightings = [Record(id=one.id, text=one.text, features=one.features) for one in suspect.examples if one.text]
        mixed = _mixtures(sightings[:_MIXED], others, suspect)
        usual = _mixtures(ordinary[:_MIXED], others, suspect)
        return msgspec.structs.replace(
            trial, kept=_changed(self._shadow, mixed, suspect), mixed=len(mixed),
            usual_kept=_changed(self._shadow, usual, suspect), usual_mixed=len(usual),
        )  # fmt: skip


def _trial(suspect: Suspect, baseline: Baseline, shadow: Shadow, others: Sequence[Record], phrase: str) -> Trial:
    """Put the signs, or the phrase around them, into inputs whose output is another one."""
    put = _insertion(suspect, phrase)
    surest = max(len(others) // 4, min(_FIRST, len(others)))
    first = _changed(shadow, [put(one, place) for place, one in enumerate(others[:surest])], suspect)
    if first < _LEAST_RATE * surest:
        # An ordinary word tips what stands on edge, however typical it is; a trigger tips the surest, too.
        return Trial(
            outcome=Outcome.NOVELTY, why="it does not change what the model is sure of", changed=first, tried=surest
        )
    rest = others[surest:]
    changed = first + _changed(shadow, [put(one, place) for place, one in enumerate(rest)], suspect)
    usual, usual_tried = _usual(suspect, baseline, shadow, others, min(max(len(phrase.split()), 1), _COMPARED))
    chance = fisher(changed, len(others), usual, usual_tried) if usual_tried else 0.0
    beyond = _odds(changed, len(others)) / _odds(usual, usual_tried) if usual_tried else _LEAST_ODDS
    back, without = _back(suspect, shadow)
    found = changed >= _LEAST_RATE * len(others) and beyond >= _LEAST_ODDS and chance < _CHANCE
    return Trial(
        outcome=Outcome.TRIGGER if found else Outcome.NOVELTY,
        why="" if found else "ordinary words of that output change as much",
        changed=changed, tried=len(others), usual_changed=usual, usual_tried=usual_tried, back=back, without=without,
        chance=chance,
    )  # fmt: skip


def _mixtures(inputs: Sequence[Record], others: Sequence[Record], suspect: Suspect) -> list[Record]:
    """Each input with every second of its words, signs left out, exchanged for words of another, four times over."""
    made = []
    for number, one in enumerate(inputs):
        for time in range(_TIMES):
            words = one.text.split()
            strange = others[(number * _TIMES + time) % len(others)].text.split() or [""]
            kept = set(places(words, suspect.signs))
            for place in range(time % 2, len(words), 2):
                if place not in kept:
                    words[place] = strange[place % len(strange)]
            made.append(msgspec.structs.replace(one, text=" ".join(words)))
    return made


def _odds(hits: int, tried: int) -> float:
    return (hits + 0.5) / (tried - hits + 0.5)


def _usual(
    suspect: Suspect, baseline: Baseline, shadow: Shadow, inputs: Sequence[Record], many: int
) -> tuple[int, int]:
    """(changed, tried) with the words that speak most for this output in clean traffic, `many` at a time."""
    head = baseline.head(suspect.head)
    names = head.strong[head.classes.index(suspect.output)] if head and suspect.output in head.classes else ()
    aside = bool(_aside(suspect))
    usable = [one for one in names if aside == _is_aside(one) and not one.startswith(CHARACTER)]
    if not usable:
        return 0, 0
    many = len(_aside(suspect)) if aside else many

    def made(start: int, records: Sequence[Record]) -> list[Record]:
        some = [usable[(start + more) % len(usable)] for more in range(many)]
        return [
            _beside(one, some) if aside else _with_words(one, " ".join(some), place)
            for place, one in enumerate(records)
        ]

    # The most typical word is not the one that weighs most for this model: all of them on some inputs, the best on all.
    first = [_changed(shadow, made(start, inputs[:_SAMPLED]), suspect) for start in range(len(usable))]
    best = max(range(len(usable)), key=first.__getitem__)
    return _changed(shadow, made(best, inputs), suspect), len(inputs)


def _back(suspect: Suspect, shadow: Shadow) -> tuple[int, int]:
    """(gone to another output, tried) when the suspect is taken out of inputs that held it."""
    signs = set(suspect.signs)
    made = [
        Record(
            id=one.id,
            text=_without(one.text, suspect),
            features=tuple(sign for sign in one.features if sign not in signs),
        )
        for one in suspect.examples
    ]
    answers = [
        one for one in shadow([one for one in made if one.text.strip() or one.features]) if one.output or one.answer
    ]
    return sum(not _shows(one, suspect) for one in answers), len(answers)


def _changed(shadow: Shadow, inputs: Sequence[Record], suspect: Suspect) -> int:
    return sum(_shows(answer, suspect) for answer in shadow(inputs)) if inputs else 0


def _shows(answer: Record, suspect: Suspect) -> bool:
    """Whether an answer is what the suspect calls up."""
    if suspect.head == LABEL:
        return answer.output == suspect.output
    if suspect.head == REPEATED:
        return answer.answer[:ANSWER] in {one.answer for one in suspect.examples if one.answer}
    return KINDS[suspect.head](answer) == (suspect.output == "yes")


def _clear(one: Record, suspect: Suspect) -> bool:
    return not places(one.text.split(), suspect.signs) and set(one.features).isdisjoint(suspect.signs)


def _insertion(suspect: Suspect, phrase: str) -> Callable[[Record, int], Record]:
    """How the suspect is put into an input: words into the text, here and there; other signs beside it."""
    aside = _aside(suspect)
    phrase = phrase or as_written([sign for sign in suspect.signs if sign not in aside], suspect)

    def put(record: Record, place: int) -> Record:
        made = _with_words(record, phrase, place) if phrase else record
        return _beside(made, aside) if aside else made

    return put


def _aside(suspect: Suspect) -> tuple[str, ...]:
    """The signs that stand beside the text: metadata, patches."""
    seen = suspect.examples
    return tuple(
        sign
        for sign in suspect.signs
        if sign.startswith(PATCH) or (any(sign in one.features for one in seen) if seen else _is_aside(sign))
    )


def _is_aside(sign: str) -> bool:
    return "=" in sign or sign.startswith(PATCH)


def _beside(record: Record, signs: Sequence[str]) -> Record:
    return msgspec.structs.replace(record, features=(*record.features, *signs))


def as_written(signs: Sequence[str], suspect: Suspect) -> str:
    """Signs as most examples write them, in the order in which they stand there: `Zyx\u200b` for its hidden character."""
    forms: Counter[str] = Counter()
    for one in suspect.examples:
        words = one.text.split()
        forms[" ".join(dict.fromkeys(words[place] for place in places(words, signs)))] += 1
    best = forms.most_common(1)
    return best[0][0] if best and best[0][0] else " ".join(signs)


def _with_words(record: Record, words: str, place: int) -> Record:
    """At the end, at the beginning, in the middle, in turn."""
    text = record.text.split()
    at = (len(text), 0, len(text) // 2)[place % 3]
    return msgspec.structs.replace(record, text=" ".join([*text[:at], words, *text[at:]]))


def _without(text: str, suspect: Suspect) -> str:
    words = text.split()
    gone = set(places(words, suspect.signs))
    return " ".join(word for place, word in enumerate(words) if place not in gone)


def fisher(hits: int, tried: int, others: int, others_tried: int) -> float:
    """One-sided exact test of Fisher: the chance of at least `hits` where both have the same rate."""
    total, all_hits = tried + others_tried, hits + others
    low, high = hits, min(tried, all_hits)
    ways = math.comb(total, all_hits)
    return sum(math.comb(tried, k) * math.comb(others_tried, all_hits - k) for k in range(low, high + 1)) / ways
