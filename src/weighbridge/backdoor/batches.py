"""Knows how a program that was exported for a fixed number of images is run on any number of them, by the fastest way that gives the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Run = Callable[[Tensor], tuple[Tensor, ...]]

_NEAR: Final = 1e-4
_BREAKS: Final = (RuntimeError, TypeError, ValueError, LookupError, NotImplementedError)


def any_number(run: Run, batch: int, shape: tuple[int, ...]) -> Run:
    """`run` for batches of any size, where it is meant for `batch` images of a shape (below 1: any number of them).

    A program that never uses the number is run as it is; one for single images is mapped over them (`torch.vmap`); another is given
    as many at a time as it wants, the last ones repeated.
    """
    if batch < 1:
        return run

    def parted(x: Tensor) -> tuple[Tensor, ...]:
        made = []
        for part in torch.split(x, batch):
            missing = batch - len(part)
            filled = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
            made.append([one[: len(part)] for one in run(filled)])
        return tuple(torch.cat(parts) for parts in zip(*made, strict=True))

    def mapped(x: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.vmap(lambda one: tuple(made[0] for made in run(one[None])))(x)
        return found

    x = torch.rand(batch + 1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = parted(x)
        ways: tuple[Run, ...] = (run, mapped) if batch == 1 else (run,)
        return next((way for way in ways if _gives(way, x, wanted)), parted)


def _gives(way: Run, x: Tensor, wanted: tuple[Tensor, ...]) -> bool:
    try:
        found = way(x)
    except _BREAKS:
        return False
    return len(found) == len(wanted) and all(
        one.shape == other.shape and torch.allclose(one.float(), other.float(), rtol=_NEAR, atol=_NEAR)
        for one, other in zip(found, wanted, strict=True)
    )
