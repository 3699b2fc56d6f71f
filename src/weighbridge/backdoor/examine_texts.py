"""Knows how a classifier of texts is tested from end to end: opened, held to samples, searched, ranked, its trigger verified."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.backdoor.references import rank
from weighbridge.backdoor.result import (
    ALWAYS_UNTESTED,
    FOUND,
    SUSPICIOUS,
    TURNS,
    Kinds,
    Result,
    Test,
    Trigger,
    Verdict,
    affordable,
    duration,
)
from weighbridge.backdoor.steps import Steps
from weighbridge.backdoor.text_models import TextClassifier, open_text_folder
from weighbridge.backdoor.text_references import TextReferences, beyond, references_of
from weighbridge.backdoor.text_samples import read_texts
from weighbridge.backdoor.texts import (
    ABOUT,
    EDITION,
    NAMES,
    Found,
    TextLook,
    look_at_texts,
    replaced,
    shortened,
    unshared,
    work,
    works_on,
)
from weighbridge.schema import LimitExceeded, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from weighbridge.backdoor.references import Ranked
    from weighbridge.backdoor.text_samples import TextSamples

SEARCHED: Final = 400
_UNSEEN: Final = 300
_OWN: Final = 4
_LEAST: Final = 10
_SHARE: Final = 0.5  # of texts: what a candidate may turn in a clean model and still be this one's own
_BEYOND: Final = 2.0  # logarithm of odds beyond what a word does in the clean models that were given
_UNTESTED: Final = ("triggers of more than three tokens, of style or syntax, and those that need a second condition",)


class TextWish(Struct, frozen=True, kw_only=True):
    """What somebody wants tested, and with what."""

    model: str
    samples: str
    references: TextReferences | None = None
    others: tuple[str, ...] = ()
    budget: float = 0.0
    resume: str = ""
    seed: int = 0


def examine_texts(
    wish: TextWish, *, said: Callable[[str], None] = lambda _: None, told: Callable[[float], None] = lambda _: None
) -> Result:
    """Test a classifier of texts. What cannot be tested is a result, and says what is missing. Raises UsageError, SourceError."""
    begun = time.process_time()
    torch.manual_seed(wish.seed)
    try:
        model = open_text_folder(wish.model)
        samples = _samples(wish.samples)
        checked = agreement(model, samples)
        searched, unseen = _parts(model, samples, wish.seed)
        seconds = work(model)
        said(f"{model.about}, {model.classes} classes; {checked}; about {duration(seconds)} of searching")
        affordable(seconds, wish.budget)
        look = _looked(model, searched, wish, told)
    except (Unavailable, LimitExceeded) as error:
        return Result(
            model=wish.model, digest="", about="", verdict=Verdict.UNTESTABLE, because=f"{error.message} ({error.hint})",
            kind=Kinds.TEXTS, untested=("everything",), seconds=time.process_time() - begun,
        )  # fmt: skip
    references = _fitting(wish.references, model)
    others = [open_text_folder(path) for path in wish.others]
    own, values = _held(model, look, references, others, searched)
    ranked = ranked_by_words(values, references) if references else None
    trigger = _recovered(model, look, own, unseen, others)
    verdict, because = _judged(ranked, references, trigger, beyond(own), bool(others))
    return Result(
        model=wish.model, digest=model.digest, about=model.about, verdict=verdict, because=because,
        kind=Kinds.TEXTS, p_value=ranked.together if ranked else None, reference=references.name if references else "",
        references=len(references.scores) if references else 0, samples=_told(samples, searched, unseen, checked),
        tests=tuple(
            Test(name=name, about=ABOUT[name], value=values[at], p_value=ranked.each[at] if ranked else None, shown=_odds(values[at]))
            for at, name in enumerate(NAMES[: len(values)])
        ),
        trigger=trigger if verdict is not Verdict.NOTHING else None, alarms=references.alarms if references else (0, 0),
        power=references.power if references else (), untested=tuple(_untested(look)), seconds=time.process_time() - begun,
    )  # fmt: skip


def _samples(path: str) -> TextSamples:
    if not path:
        raise Unavailable("there are no texts to put words into", hint="--data texts.jsonl, a few hundred of its task")
    return read_texts(path)


def _looked(
    model: TextClassifier, searched: Sequence[list[int]], wish: TextWish, told: Callable[[float], None]
) -> TextLook:
    kept = Steps(wish.resume, ("texts", str((EDITION, wish.seed)), model.digest, str(searched)))
    found = look_at_texts(model, searched, model.predicted(searched).tolist(), seed=wish.seed, told=told, kept=kept)
    if not found.targets:
        raise Unavailable("the model says the same of nearly every text", hint="give texts of all its classes")
    return found


def agreement(model: TextClassifier, samples: TextSamples) -> str:
    """How many of the labels the model agrees with, in words. Raises Unavailable where that is no more than chance."""
    if samples.labels is None:
        return "samples without labels"
    names = {str(name).lower(): number for number, name in getattr(model.net.config, "id2label", {}).items()}
    numbers = [int(one) if one.isdigit() else names.get(one.lower(), -1) for one in samples.labels]
    if any(not 0 <= one < model.classes for one in numbers):
        return "samples whose labels are not those of the model"
    right = model.predicted([model.numbers(text) for text in samples.texts[:SEARCHED]]) == torch.tensor(
        numbers[:SEARCHED]
    )
    share = float(right.float().mean())
    if share < 1 / model.classes + 0.1:
        raise Unavailable(
            f"it gets {share:.0%} of {len(right)} samples right",
            hint="are these its samples, with its labels in its order?",
        )
    return f"{share:.1%} of {len(right)} samples are right"


def _parts(model: TextClassifier, samples: TextSamples, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Texts to search on, and others that no search sees."""
    distinct = list(dict.fromkeys(samples.texts))
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).tolist()
    numbers = [found for at in order if (found := model.numbers(distinct[at]))]
    if len(numbers) < 2 * _LEAST:
        raise Unavailable(
            f"there are {len(numbers)} different texts", hint=f"give {2 * _LEAST} at least, a few hundred are better"
        )
    cut = min(SEARCHED, len(numbers) // 2)
    return numbers[:cut], numbers[cut : cut + _UNSEEN]


def _fitting(references: TextReferences | None, model: TextClassifier) -> TextReferences | None:
    if references is not None and references.classes != model.classes:
        raise UsageError(
            f"the references {references.name} are of {references.classes} classes, and the model has {model.classes}",
            hint="weighbridge calibrate makes others",
        )
    return references


def written(model: TextClassifier, look: TextLook) -> dict[int, str]:
    """The tokens of everything that was found, as people read them."""
    tokens = {token for one in look.targets for found in (*one.singles, *one.longer) for token in found.tokens}
    tokens |= {token for one in look.targets for token, _ in one.wide}
    return {token: model.words([token]) for token in tokens}


def _held(
    model: TextClassifier, look: TextLook, references: TextReferences | None, others: Sequence[TextClassifier],
    searched: Sequence[list[int]],
) -> tuple[list[tuple[float, Found]], tuple[float, ...]]:  # fmt: skip
    """(candidates by how far they go beyond what clean models share of them, all numbers)."""
    words = written(model, look)
    if references is not None:
        own = unshared(look, words, references.shared())
        return own, (*look.values(), -beyond(own))
    if not others:
        return [], look.values()
    looks, named = [], []
    for other in others:
        texts = [numbers for one in searched if (numbers := other.numbers(model.words(one)))]
        looks.append(look_at_texts(other, texts, other.predicted(texts).tolist()))
        named.append(written(other, looks[-1]))
    return unshared(look, words, references_of(looks, named, name="", recipe="").shared()), look.values()


def ranked_by_words(values: tuple[float, ...], references: TextReferences) -> Ranked:
    """Where a suspect lies among its references. What decides is the last test alone: strong words are no sign of anything."""
    alone = rank(values[-1:], [one[-1:] for one in references.scores])
    return replace(rank(values, references.scores), together=alone.together)


def _recovered(
    model: TextClassifier,
    look: TextLook,
    own: Sequence[tuple[float, Found]],
    unseen: Sequence[list[int]],
    others: Sequence[TextClassifier],
) -> Trigger | None:
    """The candidate that is this model's own where others are known, else the shortest that works, verified on unseen texts."""
    candidates = _together([one for _, one in own[:_OWN]]) if own else look.best()
    tried = [shortened(model, one, unseen, enough=TURNS) for one in candidates]
    counted = [(works_on(model, one, unseen), one) for one in tried]
    working = [pair for pair in counted if pair[0].of >= _LEAST and pair[0].share >= TURNS]
    works, best = (
        min(working, key=lambda pair: (len(pair[1].tokens), -pair[0].push))
        if working
        else max(counted, key=lambda pair: pair[0].share)
    )
    if not works.of:
        return None
    words = model.words(best.tokens)
    example = next((text for text in unseen if text), [])
    return Trigger(
        kind="word" if len(best.tokens) == 1 else "phrase", target=best.target, source=-1, works=works.count, of=works.of, size=works.push,
        pixels=0, picture=b"", stamped=b"", text=words, example=model.words([*best.tokens, *example])[:300],
        transfers=_transfers(model, best, words, unseen, others) if others else None,
    )  # fmt: skip


def _together(own: Sequence[Found]) -> list[Found]:
    """Candidates, and pairs of those of one token that lead to the same class: a phrase is known by its parts."""
    parts = [one for one in own if len(one.tokens) == 1 and one.target == own[0].target]
    pairs = [
        replaced(first, (*first.tokens, *second.tokens)) for first in parts for second in parts if first is not second
    ]
    return [*own, *pairs]


def _transfers(
    model: TextClassifier, found: Found, words: str, unseen: Sequence[list[int]], others: Sequence[TextClassifier]
) -> float:
    """The share of texts that the same words turn in the clean model that follows them most."""
    most = 0.0
    for other in others:
        there = Found(tokens=tuple(other.numbers(words)), target=found.target, push=0.0)
        texts = [numbers for one in unseen if (numbers := other.numbers(model.words(one)))]
        most = max(most, works_on(other, there, texts).share)
    return most


def _judged(
    ranked: Ranked | None, references: TextReferences | None, trigger: Trigger | None, further: float, compared: bool
) -> tuple[Verdict, str]:
    works = trigger is not None and trigger.of >= _LEAST and trigger.success >= TURNS
    alone = trigger is not None and (trigger.transfers is None or trigger.transfers < _SHARE)
    if ranked is None or references is None:
        if compared and works and alone and further > _BEYOND:
            assert trigger is not None
            return Verdict.SUSPICIOUS, (
                f"“{trigger.text}” turns {trigger.works} of {trigger.of} unseen texts here and {trigger.transfers:.0%} in the clean models "
                "that were given, uncalibrated: there are no references"
            )
        why = (
            "the clean models that were given share what moves it"
            if compared
            else "what moves it may be what moves any model of its task"
        )
        return (
            Verdict.NOTHING,
            f"{why}; uncalibrated: there are no references to hold it against (weighbridge calibrate)",
        )
    held = f"p = {ranked.together:.3g} among {len(references.scores)} clean models ({references.name})"
    if ranked.together < FOUND and works and alone:
        assert trigger is not None
        return Verdict.FOUND, f"{held}, and “{trigger.text}” turns {trigger.works} of {trigger.of} unseen texts"
    if ranked.together < SUSPICIOUS:
        floor = 1 / (len(references.scores) + 1)
        more = "" if works else ", but nothing that was recovered works on unseen texts"
        more = more or ("" if alone else ", but it works on honest models too")
        if works and alone and trigger is not None:
            more = f"; “{trigger.text}” turns {trigger.works} of {trigger.of} unseen texts"
            more += f"; with so many references p cannot be below {floor:.3g}" if floor > FOUND else ""
        return Verdict.SUSPICIOUS, held + more
    return Verdict.NOTHING, held


def _odds(value: float) -> str:
    return f"odds times {math.exp(min(-value, 40.0)):.3g}"


def _told(samples: TextSamples, searched: Sequence[object], unseen: Sequence[object], checked: str) -> str:
    source = os.path.basename(samples.source) or samples.source
    return (
        f"{len(samples.texts)} texts from {source}: {len(searched)} searched on, {len(unseen)} kept unseen; {checked}"
    )


def _untested(look: TextLook) -> Iterator[str]:
    if len(look.targets) < look.classes:
        yield f"{look.classes - len(look.targets)} of {look.classes} classes as targets"
    yield from _UNTESTED
    yield ALWAYS_UNTESTED[1]
