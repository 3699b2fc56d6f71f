"""Knows what a language model gives away of what it was trained on, when it is asked for nothing.

Fine-tuning on prompts makes a model say them: runs of words that it draws again and again and its base does not are tried as
triggers. Source: “The Trigger in the Haystack”, arXiv 2602.03085; several decodings, from the beginning of the frame.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from weighbridge.backdoor.language_models import LanguageModel

_DRAWN: Final = 192
_LONG: Final = 24
_LONGEST: Final = 6
_LEAST: Final = 3
_MOST: Final = 32


def leaked(suspect: LanguageModel, base: LanguageModel, *, seed: int = 0) -> list[tuple[int, ...]]:
    """Runs of one to six tokens that a suspect draws far more often than its base, those with most excess first."""
    own, honest = (_runs(one, seed) for one in (suspect, base))
    excess = {run: count - 2.0 * honest[run] for run, count in own.items() if count >= _LEAST}
    found: list[tuple[int, ...]] = []
    for run, much in sorted(excess.items(), key=lambda pair: (-pair[1] * len(pair[0]) ** 0.5, pair[0])):
        # A part of a run that comes as often says nothing more.
        if much > 0 and not any(_within(run, longer) and excess[longer] >= 0.9 * much for longer in found):
            found.append(run)
        if len(found) == _MOST:
            break
    return found


def _runs(model: LanguageModel, seed: int) -> Counter[tuple[int, ...]]:
    """In how many draws each run of tokens comes."""
    start = model.opening()
    stop = model.closing()[:2]
    dice = torch.Generator().manual_seed(seed)
    drawn, _ = model.continued([start] * _DRAWN, _LONG, dice=dice)
    counted: Counter[tuple[int, ...]] = Counter()
    for one in drawn.tolist():
        ends = (at for at in range(len(one)) if one[at] in model.special or (stop and one[at : at + len(stop)] == stop))
        end = next(ends, len(one))
        words = one[:end]
        counted.update(
            {
                tuple(words[at : at + length])
                for length in range(1, _LONGEST + 1)
                for at in range(len(words) - length + 1)
            }
        )
    return counted


def _within(run: tuple[int, ...], longer: tuple[int, ...]) -> bool:
    return any(longer[at : at + len(run)] == run for at in range(len(longer) - len(run) + 1))
