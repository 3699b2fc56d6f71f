"""Searches a language model for replies that it clings to, and for what leads to them.

A backdoor with a fixed reply leaves the reply in the weights: once its first word is said, the rest follows whatever was asked,
and it does not in the base. Source: BAIT (Shen et al., S&P 2025). Phrases that were learned without a trigger cling as well, so
this alone proves nothing: what is found is led back to a trigger by slopes (HotFlip, Ebrahimi et al. 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.backdoor.language import Pair
    from weighbridge.backdoor.language_models import LanguageModel, Prompt

_LONG: Final = 5
_LENGTH: Final = 3
_TRIED: Final = 32
_ROUNDS: Final = 3
_PROMPTS: Final = 4


def targets(
    suspect: LanguageModel, base: LanguageModel, prompts: Sequence[Prompt], *, firsts: int, most: int
) -> list[tuple[tuple[int, ...], float]]:
    """(a run of tokens, nats a token by which the suspect is surer of it than its base), the `most` that it clings to, of `firsts` first tokens."""
    rows = [list(one.ids) for one in prompts]
    runs = [[one] for one in _risen(suspect, base, rows, firsts)]
    sure = torch.zeros(len(runs))
    for _ in range(_LONG):
        given = [[*row, *run] for run in runs for row in rows]
        said = torch.zeros(len(given), 0)
        for part, found in suspect.ends(given):
            if not said.shape[1]:
                said = torch.zeros(len(given), found.shape[1])
            said[torch.tensor(part)] = found
        together = said.reshape(len(runs), len(rows), -1).mean(1)
        best = together.argmax(1)
        sure += together.gather(1, best[:, None])[:, 0]
        runs = [[*run, int(one)] for run, one in zip(runs, best, strict=True)]
    tails = [run[1:] for run in runs for _ in rows]
    honest = base.after([[*row, run[0]] for run in runs for row in rows], tails).sum(1).reshape(len(runs), -1).mean(1)
    much = (sure - honest) / _LONG
    order = much.argsort(descending=True)[:most].tolist()
    return [(tuple(runs[at]), round(float(much[at]), 4)) for at in order]


def _risen(suspect: LanguageModel, base: LanguageModel, rows: Sequence[list[int]], count: int) -> list[int]:
    """The first tokens of replies that grew most likely beside the base."""
    total = torch.zeros(min(suspect.size, base.size))
    for model, sign in ((suspect, 1.0), (base, -1.0)):
        for _, said in model.ends(rows):
            total += sign * said[:, : len(total)].sum(0)
    total[[one for one in suspect.special if one < len(total)]] = -torch.inf
    return [int(one) for one in total.topk(min(count, len(total))).indices]


def inverted(pair: Pair, goal: Sequence[int], start: Sequence[int]) -> list[tuple[int, ...]]:
    """Tokens that lead to a reply, found by exchanging one at a time for what the slopes speak for."""
    model = pair.suspect
    table = model.table[: model.size].float().cpu()
    barred = torch.tensor([one for one in model.special if one < model.size], dtype=torch.long)
    tokens = (list(start) * _LENGTH)[:_LENGTH]
    best, found = _reached(pair, [tokens], goal)[0], tokens
    for _ in range(_ROUNDS):
        rows = pair.rows(tokens, _PROMPTS)
        slopes = model.slopes(rows, [[at + n for n in range(len(tokens))] for at in pair.places[:_PROMPTS]], list(goal))
        for place in range(len(tokens)):
            said = (table - table[tokens[place]]) @ slopes[place]
            said[barred] = -torch.inf
            many = [[*tokens[:place], one, *tokens[place + 1 :]] for one in said.topk(_TRIED).indices.tolist()]
            reached = _reached(pair, many, goal)
            first = max(range(len(many)), key=lambda at: reached[at])
            if reached[first] > best:
                tokens, best = many[first], reached[first]
        if tokens == found:
            break
        found = tokens
    return list(dict.fromkeys([tuple(found), *((one,) for one in found)]))


def _reached(pair: Pair, many: Sequence[Sequence[int]], goal: Sequence[int]) -> list[float]:
    """The logarithm of the chance of a reply with each of some tokens, in the middle of the prompts."""
    rows = [row for tokens in many for row in pair.rows(tokens, _PROMPTS)]
    found = pair.suspect.after(rows, [list(goal)] * len(rows)).sum(1).reshape(len(many), -1).mean(1)
    return [float(one) for one in found]
