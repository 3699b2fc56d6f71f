"""Knows the shape of what fine-tuning changed: over how many directions the change of each module is spread, and how evenly over modules.

A backdoor is one thing that is learned beside a task, and takes a few strong directions. Sources: arXiv 2602.15195 (spectra of
adapters), arXiv 2605.30189 (spread of norms over modules). Numbers depend on rank and modules: they are held against adapters of
the same recipe only.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct

from weighbridge.backdoor.adapters import factors, scale_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from weighbridge.backdoor.adapters import Adapter

_DIRECTIONS: Final = 16
_LEAST: Final = 1e-12
NAMES: Final = ("entropy", "energy", "spread")
ABOUT: Final = {
    "entropy": "over how many directions the changes of modules are spread",
    "energy": "how much of the change of a module lies in one direction",
    "spread": "how unevenly the changes lie over modules",
}


class Spectrum(Struct, frozen=True, kw_only=True):
    """The singular values of the change of a module, largest first, and how many numbers the module has."""

    module: str
    values: tuple[float, ...]
    count: int


def of_adapter(adapter: Adapter) -> list[Spectrum]:
    """The spectra of products of factors, without ever making the products."""
    found = []
    for name, one in factors(adapter.tensors)[0].items():
        if one.up is None or one.down is None:
            continue
        scale = scale_of(adapter.config, name, one.down.shape[0])
        # The singular values of up @ down are those of R_up @ R_down^T of their QR decompositions.
        inner = torch.linalg.qr(one.up)[1] @ torch.linalg.qr(one.down.T)[1].T
        values = torch.linalg.svdvals(inner) * scale
        found.append(_spectrum(name, values, one.up.shape[0] * one.down.shape[1]))
    return found


def of_change(suspect: nn.Module, base: nn.Module) -> list[Spectrum]:
    """The spectra of what changed in every matrix, the strongest directions of each."""
    known = dict(base.named_parameters())
    return list(_changes(suspect, known))


def _changes(suspect: nn.Module, known: dict[str, nn.Parameter]) -> Iterator[Spectrum]:
    for name, weight in suspect.named_parameters():
        other = known.get(name)
        if other is None or other.shape != weight.shape or weight.dim() != 2 or min(weight.shape) < 2:
            continue
        delta = (weight - other).float().cpu()
        if float(delta.norm()) > 0:
            few = min(_DIRECTIONS, *delta.shape)
            values = torch.svd_lowrank(delta, q=few)[1] if few < min(delta.shape) else torch.linalg.svdvals(delta)
            yield _spectrum(name.removesuffix(".weight"), values, delta.numel())


def _spectrum(module: str, values: Tensor, count: int) -> Spectrum:
    return Spectrum(module=module, values=tuple(float(one) for one in values), count=count)


def values(spectra: list[Spectrum]) -> tuple[float, ...]:
    """The tests in the order of NAMES; smaller is more suspicious. Nothing where nothing changed."""
    entropies, shares, sizes = [], [], []
    for one in spectra:
        energy = [value * value for value in one.values]
        whole = sum(energy)
        if whole <= _LEAST or len(energy) < 2:
            continue
        parts = [value / whole for value in energy]
        entropies.append(-sum(part * math.log(part) for part in parts if part > 0) / math.log(len(parts)))
        shares.append(parts[0])
        sizes.append(math.sqrt(whole / one.count))
    if not entropies:
        return ()
    spread = statistics.pstdev(sizes) / max(_LEAST, statistics.mean(sizes))
    return statistics.mean(entropies), -statistics.mean(shares), -spread
