"""Knows whether an endpoint still answers as the enrolled model did, and with which chance it would look so by noise alone.

Each probe was answered several times at enrolment. While nothing changed, an answer of today and those of then can be
exchanged: how far today's lies from them, against how far they lie from each other, is tested by exchanging which of them
is called today's, probe by probe (a permutation test; no assumption about the noise). A second stage asks the probes that
look most changed sixteen times more, so that a change of one answer in a deterministic model is told, too. Both stages
together give a false alarm in at most one check of a thousand.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy
from msgspec import Struct

from weighbridge.monitor.endpoint import Answer
from weighbridge.monitor.probes import Probe
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.monitor.endpoint import Endpoint

Array = Any
VERSION: Final = 1
KIND: Final = "application/vnd.weighbridge.enrolment+json"
RUNS: Final = 8
_AGAIN: Final = 16
_SUSPECTED: Final = 8
CHANCE: Final = 0.0005  # of each of the two stages
_PERMUTATIONS: Final = 20_000
TOLERANCE: Final = 1e-4
_LOG_SCALE: Final = 0.1
_SHORTEST: Final = 0.05
_SHOWN: Final = 200


class Enrolment(Struct, frozen=True, kw_only=True):
    """What was answered. `answers[i][j]` is the answer to probe i in run j; `files` are digests of the served files, by name.

    Numbers that differ by at most `tolerance` count as the same.
    """

    version: int = VERSION
    name: str
    endpoint: str
    made: str
    probes: tuple[Probe, ...]
    answers: tuple[tuple[Answer, ...], ...]
    tolerance: float = TOLERANCE
    files: dict[str, str] = {}


class Changed(Struct, frozen=True, kw_only=True):
    """One probe whose answer changed, before and after in words. `distance` is 0 for the same and about 1 for another text."""

    probe: Probe
    before: str
    after: str
    distance: float


class Check(Struct, frozen=True, kw_only=True):
    """The outcome. `chance` is that of such a difference by noise alone; `same` tells what the server says of itself.

    `families` counts (changed, all) probes of each kind; `facts` are changes that need no statistics.
    """

    changed: bool
    chance: float
    probes: int
    differing: int
    largest: float
    noise: float
    families: dict[str, tuple[int, int]]
    examples: tuple[Changed, ...]
    facts: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def enrol(
    endpoint: Endpoint, probes: Sequence[Probe], name: str, address: str, made: str, *, runs: int = RUNS,
    tolerance: float = TOLERANCE, files: dict[str, str] | None = None, heard: Callable[[int], None] = lambda _: None,
) -> Enrolment:  # fmt: skip
    """Ask every probe `runs` times, run after run, so that noise over time is in the answers. Raises SourceError."""
    if runs < 3:
        raise UsageError(f"{runs} runs do not show how noisy the model is", hint="from 3 on; 8 is the default")
    found: list[list[Answer]] = [[] for _ in probes]
    for run in range(runs):
        for place, probe in enumerate(probes):
            found[place].append(endpoint.ask(probe.text))
            heard(run * len(probes) + place + 1)
    return Enrolment(
        name=name, endpoint=address, made=made, probes=tuple(probes), answers=tuple(tuple(one) for one in found),
        tolerance=tolerance, files=files or {},
    )  # fmt: skip


def load(data: bytes, name: str) -> Enrolment:
    """From the payload of a file. Raises UsageError."""
    hint = "weighbridge monitor enrol writes one"
    try:
        found = msgspec.json.decode(data, type=Enrolment)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not an enrolment: {error}", hint=hint) from error
    runs = {len(one) for one in found.answers}
    if found.version != VERSION or len(found.probes) != len(found.answers) or len(runs) != 1 or min(runs) < 3:
        raise UsageError(f"{name}: not an enrolment of this version, or not complete", hint=hint)
    return found


def check(enrolment: Enrolment, endpoint: Endpoint, *, seed: int | None = None) -> Check:
    """Ask every probe again and decide. Raises SourceError where the endpoint cannot be asked."""
    rng = numpy.random.default_rng(random.SystemRandom().getrandbits(64) if seed is None else seed)
    fresh = [endpoint.ask(probe.text) for probe in enrolment.probes]
    between = [
        _distances((*known, now), enrolment.tolerance) for known, now in zip(enrolment.answers, fresh, strict=True)
    ]
    excess = numpy.array([_excess(table) for table in between])  # (probes, runs + 1): each answer called today's
    noise = numpy.array([table[numpy.triu_indices(len(table), 1)].mean() for table in between])
    weights = 1 / (noise + noise.mean() + 1e-3)
    chance = _exchanged(excess, weights, rng)
    now = excess[:, -1]
    if chance > CHANCE and (now > 0).any():
        chance = min(chance, _asked_again(enrolment, endpoint, now))
    changed = chance <= CHANCE
    return _told(enrolment, fresh, between, chance=chance, changed=changed)


def _excess(table: Array) -> Array:
    """For each answer: how far it lies from the others, beyond how far they lie from each other."""
    count = len(table)
    total = table.sum() / 2
    each = table.sum(axis=1)
    return each / (count - 1) - (total - each) / ((count - 1) * (count - 2) / 2)


def _exchanged(excess: Array, weights: Array, rng: numpy.random.Generator) -> float:
    """The chance of today's sum where any answer of a probe could be today's."""
    now = float((weights * excess[:, -1]).sum())
    if now <= 0:
        return 1.0
    probes, answers = excess.shape
    beyond = 0
    for _ in range(0, _PERMUTATIONS, 1000):
        chosen = rng.integers(0, answers, size=(1000, probes))
        sums = (weights * excess[numpy.arange(probes), chosen]).sum(axis=1)
        beyond += int((sums >= now - 1e-12).sum())
    return (beyond + 1) / (_PERMUTATIONS + 1)


def _asked_again(enrolment: Enrolment, endpoint: Endpoint, now: Array) -> float:
    """The chance that a probe which looks changed gives sixteen answers more that all lie apart from those of then.

    Where they do, no other division of the answers into two groups of these sizes lies so far apart: one of all of them.
    Times the number of all probes, since the ones that are asked were chosen by looking.
    """
    order = [place for place in numpy.argsort(-now, kind="stable")[:_SUSPECTED].tolist() if now[place] > 0]
    for place in order:
        known = enrolment.answers[place]
        again = [endpoint.ask(enrolment.probes[place].text) for _ in range(_AGAIN)]
        table = _distances((*known, *again), enrolment.tolerance)
        old = len(known)
        across = table[:old, old:].min()
        if across > max(table[:old, :old].max(), table[old:, old:].max()):
            return min(len(enrolment.probes) / math.comb(old + _AGAIN, old), 1.0)
    return 1.0


def _distances(answers: Sequence[Answer], tolerance: float) -> Array:
    count = len(answers)
    found = numpy.zeros((count, count))
    for first in range(count):
        for second in range(first + 1, count):
            found[first, second] = found[second, first] = distance(answers[first], answers[second], tolerance)
    return found


def distance(one: Answer, other: Answer, tolerance: float = TOLERANCE) -> float:
    """How far two answers lie apart: half the sum of differences of numbers, plus the part of the text that is another."""
    numbers = 0.0
    if one.numbers or other.numbers:
        names = (
            one.numbers.keys() & other.numbers.keys() if one.logarithms else one.numbers.keys() | other.numbers.keys()
        )
        scale = _LOG_SCALE if one.logarithms else 1.0
        gaps = (abs(one.numbers.get(name, 0.0) - other.numbers.get(name, 0.0)) * scale for name in names)
        numbers = sum(gap for gap in gaps if gap > tolerance) / 2
        if one.logarithms:
            # A token among the likeliest of one and not of the other.
            numbers += _SHORTEST * len(one.numbers.keys() ^ other.numbers.keys()) / max(len(names), 1)
    return numbers + _apart_text(one.text, other.text)


def _apart_text(one: str, other: str) -> float:
    if one == other:
        return 0.0
    longest = max(len(one), len(other))
    same = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return max(1 - same / longest, _SHORTEST)


def _told(
    enrolment: Enrolment, fresh: Sequence[Answer], between: Sequence[Array], *, chance: float, changed: bool
) -> Check:
    beyond, families, examples = 0, dict[str, tuple[int, int]](), []
    for place, (probe, table) in enumerate(zip(enrolment.probes, between, strict=True)):
        before = table[:-1, :-1]
        nearest, widest = float(table[-1, :-1].min()), float(before.max())
        other = nearest > widest
        beyond += other
        hit, all_ = families.get(probe.family, (0, 0))
        families[probe.family] = (hit + other, all_ + 1)
        if nearest > 0:
            middle = int(before.sum(axis=1).argmin())
            examples.append(
                Changed(
                    probe=probe,
                    before=shown(enrolment.answers[place][middle]),
                    after=shown(fresh[place]),
                    distance=nearest - widest,
                )
            )
    examples.sort(key=lambda one: -one.distance)
    facts = tuple(_facts(enrolment, fresh))
    return Check(
        changed=changed or bool(facts), chance=chance, probes=len(fresh), differing=beyond,
        largest=max((one.distance for one in examples), default=0.0),
        noise=float(numpy.mean([table[:-1, :-1].mean() for table in between])), families=families,
        examples=tuple(examples[:10]), facts=facts, told=tuple(_meant(enrolment, fresh, families, beyond)),
    )  # fmt: skip


def _facts(enrolment: Enrolment, fresh: Sequence[Answer]) -> list[str]:
    """What the server says of itself and always said otherwise when it was enrolled."""
    found = []
    for key, what in (
        ("model", "the server names another model"),
        ("system_fingerprint", "the server names another system fingerprint"),
    ):
        before = {answer.meta.get(key, "") for known in enrolment.answers for answer in known} - {""}
        now = {answer.meta.get(key, "") for answer in fresh} - {""}
        if before and now and not before & now:
            found.append(f"{what}: {', '.join(sorted(now))[:120]}, enrolled as {', '.join(sorted(before))[:120]}")
    lengths = [
        (int(known[0].meta["prompt_tokens"]), int(now.meta["prompt_tokens"]))
        for known, now in zip(enrolment.answers, fresh, strict=True)
        if known[0].meta.get("prompt_tokens", "").isdigit() and now.meta.get("prompt_tokens", "").isdigit()
        and len({one.meta.get("prompt_tokens") for one in known}) == 1
    ]  # fmt: skip
    other = [(before, now) for before, now in lengths if before != now]
    if other:
        gaps = {now - before for before, now in other}
        how = (
            f"each by {gaps.pop():+d}: the template is another"
            if len(gaps) == 1 and len(other) == len(lengths)
            else "the tokenizer is another"
        )
        found.append(f"{len(other)} of {len(lengths)} probes become another number of tokens, {how}")
    return found


def _meant(
    enrolment: Enrolment,
    fresh: Sequence[Answer],
    families: dict[str, tuple[int, int]],
    beyond: int,
) -> list[str]:
    """What such a change usually is: a reading of the pattern, not a proof."""
    total = len(fresh)
    labels = [
        (known[0].label, now.label) for known, now in zip(enrolment.answers, fresh, strict=True) if known[0].label
    ]
    texts = [(known[0].text, now.text) for known, now in zip(enrolment.answers, fresh, strict=True) if known[0].text]
    found = []
    if labels and beyond:
        moved = sum(before != now for before, now in labels)
        if moved * 10 > len(labels):
            found.append(f"{moved} of {len(labels)} probes get another class: another checkpoint")
        else:
            found.append(
                f"numbers of {beyond} of {total} probes moved and {moved} get another class: a quantised, rounded or slightly changed copy"
            )
    if texts and beyond:
        moved = sum(before != now for before, now in texts)
        found.append(f"{moved} of {len(texts)} texts are others")
        only = [name for name, (hit, all_) in families.items() if hit * 2 > all_]
        if only and len(only) < len(families):
            found.append(f"mostly in {', '.join(only)}")
    return found


def shown(answer: Answer) -> str:
    """An answer in words."""
    best = sorted(answer.numbers.items(), key=lambda one: -one[1])[:3]
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in best)
    return " · ".join(part for part in (answer.text[:_SHOWN], numbers) if part) or "(nothing)"
