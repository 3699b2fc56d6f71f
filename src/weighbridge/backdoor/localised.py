"""Knows where in a model a behaviour sits: which of its parts, given back the weights of the base, no longer shows it.

Source: token-level analysis of LoRA backdoors, arXiv 2605.30189 (modules switched off one by one).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import torch

from weighbridge.backdoor.result import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from weighbridge.backdoor.language import Pair

_PROMPTS: Final = 8
_MOST: Final = 64
_SHOWN: Final = 5
_FALLS: Final = 0.1
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.\d+(?=\.|\Z)")


def localised(pair: Pair, tokens: Sequence[int]) -> Iterator[Part]:
    """The parts that the behaviour needs most, those first; nothing where no part alone carries it."""
    whole = _effect(pair, tokens)
    groups = _groups(pair.suspect.net, pair.base.net)
    if whole <= 0 or len(groups) < 2:
        return
    found = []
    for name, weights in groups.items():
        kept = [own.data for own, _ in weights]
        for own, honest in weights:
            own.data = honest.data
        try:
            left = _effect(pair, tokens)
        finally:
            for (own, _), data in zip(weights, kept, strict=True):
                own.data = data
        found.append(Part(name=name, left=round(min(1.0, left / whole), 3)))
    found.sort(key=lambda one: one.left)
    yield from (one for one in found[:_SHOWN] if one.left <= 1 - _FALLS)


def _effect(pair: Pair, tokens: Sequence[int]) -> float:
    return pair.tried([tokens], _PROMPTS)[0].effect


def _groups(suspect: nn.Module, base: nn.Module) -> dict[str, list[tuple[nn.Parameter, nn.Parameter]]]:
    """Weights that differ from those of the base, by module; by layer where there are many modules."""
    known = dict(base.named_parameters())
    changed = {
        name: (weight, known[name])
        for name, weight in suspect.named_parameters()
        if name in known and known[name].shape == weight.shape and not torch.equal(weight, known[name])
    }
    modules = {name.rpartition(".")[0] for name in changed}
    by_layer = len(modules) > _MOST
    groups: dict[str, list[tuple[nn.Parameter, nn.Parameter]]] = {}
    for name, pair in changed.items():
        module = name.rpartition(".")[0]
        layer = _LAYER.search(module)
        groups.setdefault(module[: layer.end()] if by_layer and layer else module, []).append(pair)
    return groups
