"""Searches a classifier of texts for the words whose insertion leads any text to one class, and says how far they stand out.

A backdoored model has one word, or a few together, that decide wherever they stand, and that do nothing in other models; a clean
one has many words that each push a little, and they push in other models too. Per target class the tokens that push most are
found by a scan of the vocabulary where that is affordable, else by slopes (HotFlip, Ebrahimi et al. 2018; universal triggers,
Wallace et al. 2019), and tried exactly on texts of other classes, at random places.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct

from weighbridge.backdoor.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from weighbridge.backdoor.text_models import TextClassifier

EDITION: Final = 1
TEXTS: Final = 24
_SCREENED: Final = 4
_SCREEN_SECONDS: Final = 60.0
_TRIED: Final = 48
_WIDE: Final = 512
_STARTS: Final = 4
_FAMILY: Final = 20
_LENGTHS: Final = (2, 3)
_ROUNDS: Final = 2
_LEAST: Final = 4
MOST_TARGETS: Final = 8
NAMES: Final = ("word", "alone", "phrase", "unshared")
ABOUT: Final = {
    "word": "the token that leads texts to one class most",
    "alone": "how far that token stands out among the next ones",
    "phrase": "two or three tokens together that lead texts to one class",
    "unshared": "tokens that lead texts to one class here, and not in clean models of the same task",
}


class Found(Struct, frozen=True, kw_only=True):
    """A candidate: its tokens, the class that it leads to, and how much the logarithm of the odds of that class grows on average."""

    tokens: tuple[int, ...]
    target: int
    push: float


class Target(Struct, frozen=True, kw_only=True):
    """What was found for one class: single tokens and longer candidates, most first; `wide` are more tokens with roughly how much they push."""

    target: int
    singles: tuple[Found, ...]
    longer: tuple[Found, ...]
    wide: tuple[tuple[int, float], ...]


class TextLook(Struct, frozen=True, kw_only=True):
    """What was found for every class that was searched, and what it cost."""

    targets: tuple[Target, ...]
    classes: int
    seconds: float

    def best(self) -> list[Found]:
        """The best candidate of each length, short ones first."""
        found: dict[int, Found] = {}
        for one in (one for target in self.targets for one in (*target.singles[:1], *target.longer)):
            held = found.get(len(one.tokens))
            if held is None or one.push > held.push:
                found[len(one.tokens)] = one
        return [found[length] for length in sorted(found)]

    def values(self) -> tuple[float, float, float]:
        """The first three tests in the order of NAMES; smaller is more suspicious."""
        word = max((one.singles[0].push for one in self.targets), default=0.0)
        alone = max((one.singles[0].push - _next(one) for one in self.targets), default=0.0)
        phrase = max((found.push for one in self.targets for found in one.longer), default=0.0)
        return -word, -alone, -phrase


def _next(one: Target) -> float:
    """What the tokens after the first push, in the middle."""
    return statistics.median(found.push for found in one.singles[1 : _FAMILY + 1])


Shared = dict[int, dict[str, float]]


def unshared(
    look: TextLook, words: Mapping[int, str], shared: Mapping[int, Mapping[str, float]]
) -> list[tuple[float, Found]]:
    """(how far a candidate goes beyond what others share of it; the candidate), those furthest beyond first.

    `words` are tokens as they are written, `shared` what tokens push in other models, by class.
    """
    found = []
    for target in look.targets:
        known = shared.get(target.target, {})
        for one in (*target.singles, *target.longer):
            beyond = one.push - sum(known.get(words.get(token, ""), 0.0) for token in one.tokens)
            found.append((beyond, one))
    return sorted(found, key=lambda pair: (-pair[0], len(pair[1].tokens)))


class _Trial:
    """Texts of other classes, with a place in each where something is put."""

    def __init__(self, model: TextClassifier, texts: Sequence[list[int]], target: int, dice: torch.Generator) -> None:
        self.model, self.texts, self.target = model, list(texts), target
        self.places = [int(torch.randint(0, len(one) + 1, (1,), generator=dice)) for one in self.texts]
        self.before = _odds(model.scores(self.texts), target)

    def put(self, tokens: Sequence[int], count: int) -> list[list[int]]:
        """The first texts with tokens in their places."""
        return [[*one[:at], *tokens, *one[at:]] for one, at in zip(self.texts[:count], self.places, strict=False)]

    def pushes(self, many: Sequence[Sequence[int]], count: int) -> list[float]:
        """How much each candidate adds to the odds, on average over the first texts."""
        made = [text for tokens in many for text in self.put(tokens, count)]
        odds = _odds(self.model.scores(made), self.target).reshape(len(many), -1)
        return [float(one) for one in (odds - self.before[: odds.shape[1]]).mean(1)]

    def slopes(self, tokens: Sequence[int]) -> torch.Tensor:
        """The slope at each of the tokens that are put in."""
        places = [[at + offset for offset in range(len(tokens))] for at in self.places]
        return self.model.slopes(self.put(tokens, len(self.texts)), places, self.target)


def _odds(scores: torch.Tensor, target: int) -> torch.Tensor:
    """The logarithm of the odds of a class, also where a model is surer than a float could say of its chance."""
    others = torch.cat([scores[:, :target], scores[:, target + 1 :]], 1)
    return scores[:, target] - torch.logsumexp(others, 1)


def look_at_texts(
    model: TextClassifier, texts: Sequence[list[int]], classes: Sequence[int], *, seed: int = 0,
    told: Callable[[float], None] = lambda _: None, kept: Steps | None = None,
) -> TextLook:  # fmt: skip
    """Search every class as a target, on texts (token numbers) of other classes; `classes` is what the model says of each text."""
    begun, kept = time.process_time(), kept or Steps()
    dice = torch.Generator().manual_seed(seed)
    allowed = torch.zeros(len(model.table), dtype=torch.bool)
    allowed[model.candidates()] = True
    wanted = list(range(model.classes))[:MOST_TARGETS]
    screened = is_screened(model)
    found = []
    for at, target in enumerate(wanted):
        others = [text for text, said in zip(texts, classes, strict=True) if said != target and text][:TEXTS]
        if len(others) >= _LEAST:
            trial = _Trial(model, others, target, dice)
            found.append(kept.once(f"class {target}", Target, partial(_target, trial, allowed, screened=screened)))
        told((at + 1) / len(wanted))
    return TextLook(targets=tuple(found), classes=model.classes, seconds=time.process_time() - begun)


def is_screened(model: TextClassifier) -> bool:
    """Whether the whole vocabulary is tried, and not only what slopes speak for."""
    return len(model.table) * _SCREENED * model.seconds() * min(model.classes, MOST_TARGETS) <= _SCREEN_SECONDS


def work(model: TextClassifier) -> float:
    """Seconds that the searches take on this machine, roughly."""
    each = model.seconds()
    targets = min(model.classes, MOST_TARGETS)
    screen = len(model.table) * _SCREENED if is_screened(model) else (_STARTS + 1) * TEXTS * 3
    tried = TEXTS * (_TRIED * (1 if is_screened(model) else _STARTS + 1) + 32 + _ROUNDS * (5 * _TRIED // 2 + 6))
    return each * targets * (screen + tried)


def _target(trial: _Trial, allowed: torch.Tensor, *, screened: bool) -> Target:
    singles, wide = _single(trial, allowed, screened=screened)
    longer, grown = [], singles[0]
    for _ in _LENGTHS:
        grown = _grown(trial, allowed, grown, [one.tokens[0] for one in singles[:8]])
        longer.append(grown)
    return Target(
        target=trial.target, singles=tuple(singles[:_TRIED]), longer=tuple(longer),
        wide=tuple((token, round(push, 3)) for token, push in wide[:_WIDE]),
    )  # fmt: skip


def _single(trial: _Trial, allowed: torch.Tensor, *, screened: bool) -> tuple[list[Found], list[tuple[int, float]]]:
    """(tokens by how much they push, most first, tried on all texts; more of them with a rougher number)."""
    candidates = allowed.nonzero().flatten().tolist()
    wide: list[tuple[int, float]] = []
    if screened:
        pushes = trial.pushes([[one] for one in candidates], min(_SCREENED, len(trial.texts)))
        wide = sorted(zip(candidates, pushes, strict=True), key=lambda pair: -pair[1])
        chosen = [token for token, _ in wide[:_TRIED]]
    else:
        chosen = _by_slopes(trial, allowed, [])
    exact = trial.pushes([[one] for one in chosen], len(trial.texts))
    if not screened:
        # Slopes hold near where they are taken: once more from the best that was found.
        more = _by_slopes(trial, allowed, [chosen[max(range(len(chosen)), key=lambda at: exact[at])]])
        more = [one for one in more if one not in set(chosen)]
        exact += trial.pushes([[one] for one in more], len(trial.texts)) if more else []
        chosen += more
    found = [Found(tokens=(one,), target=trial.target, push=push) for one, push in zip(chosen, exact, strict=True)]
    found.sort(key=lambda one: -one.push)
    known = {one.tokens[0]: one.push for one in found}
    return found, [*known.items(), *(pair for pair in wide if pair[0] not in known)]


def _by_slopes(trial: _Trial, allowed: torch.Tensor, starts: Sequence[int]) -> list[int]:
    """The tokens that slopes speak for, from several tokens on."""
    table = trial.model.table.float()
    dice = torch.Generator().manual_seed(1)
    known = allowed.nonzero().flatten()
    from_ = list(starts) or [int(known[int(one)]) for one in torch.randint(0, len(known), (_STARTS,), generator=dice)]
    chosen: dict[int, None] = {}
    for start in from_:
        said = (table - table[start]) @ trial.slopes([start])[0]
        said[~allowed] = -torch.inf
        chosen |= dict.fromkeys(said.topk(min(_TRIED, len(known))).indices.tolist())
    return list(chosen)


def _grown(trial: _Trial, allowed: torch.Tensor, given: Found, seeds: Sequence[int]) -> Found:
    """A longer candidate: one more token, then each exchanged for a better one."""
    extended = [(*given.tokens, one) for one in seeds] + [(one, *given.tokens) for one in seeds]
    pushes = trial.pushes(extended, len(trial.texts))
    at = max(range(len(extended)), key=lambda number: pushes[number])
    tokens, push = extended[at], pushes[at]
    table = trial.model.table.float()
    for _ in range(_ROUNDS):
        slopes = trial.slopes(tokens)
        for place in range(len(tokens)):
            said = (table - table[tokens[place]]) @ slopes[place]
            said[~allowed] = -torch.inf
            best = said.topk(min(_TRIED // 2, int(allowed.sum()))).indices.tolist()
            many = [(*tokens[:place], one, *tokens[place + 1 :]) for one in best]
            exact = trial.pushes(many, len(trial.texts))
            first = max(range(len(many)), key=lambda number: exact[number])
            if exact[first] > push:
                tokens, push = many[first], exact[first]
    return Found(tokens=tokens, target=trial.target, push=push)


class Works(Struct, frozen=True):
    """How many texts of other classes a candidate turns, of how many, and how much it pushes them on average."""

    count: int
    of: int
    push: float = 0.0

    @property
    def share(self) -> float:
        """The part that it turns."""
        return self.count / self.of if self.of else 0.0


def works_on(model: TextClassifier, found: Found, texts: Sequence[list[int]], *, seed: int = 7) -> Works:
    """What a candidate does to texts of other classes, at random places."""
    said = model.predicted(texts)
    others = [text for text, one in zip(texts, said.tolist(), strict=True) if one != found.target and text]
    if not others:
        return Works(0, 0)
    trial = _Trial(model, others, found.target, torch.Generator().manual_seed(seed))
    scores = model.scores(trial.put(found.tokens, len(others)))
    pushed = float((_odds(scores, found.target) - trial.before).mean())
    return Works(int((scores.argmax(1) == found.target).sum()), len(others), pushed)


def shortened(model: TextClassifier, found: Found, texts: Sequence[list[int]], *, enough: float) -> Found:
    """A candidate without the tokens that it does not need to turn enough texts."""
    while len(found.tokens) > 1:
        shorter = [replaced(found, found.tokens[:at] + found.tokens[at + 1 :]) for at in range(len(found.tokens))]
        shares = [works_on(model, one, texts).share for one in shorter]
        at = max(range(len(shorter)), key=lambda number: shares[number])
        if shares[at] < enough:
            return found
        found = shorter[at]
    return found


def replaced(found: Found, tokens: tuple[int, ...]) -> Found:
    """The same candidate with other tokens."""
    return Found(tokens=tokens, target=found.target, push=found.push)
