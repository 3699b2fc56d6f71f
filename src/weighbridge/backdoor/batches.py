"""Knows how a program that was exported for a fixed number of images is run on any number of them, by the fastest way that gives the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Run = Callable[[Tensor], tuple[Tensor, ...]]
    Way = Callable[[Run, int, Tensor], tuple[Tensor, ...]]

_NEAR: Final = 1e-4
_BREAKS: Final = (RuntimeError, TypeError, ValueError, LookupError, NotImplementedError)


class ProgramNet(nn.Module):
    """A program as a module: `_run` gives its outputs for as many images as it is meant for, `batch` (below 1: any number)."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        # A function of a module, not of this net: a copy of the net runs itself.
        self._way: Way | None = None

    def forward(self, x: Tensor) -> Any:
        """The output for a batch, or a tuple of all where there are several."""
        if self._way is None:
            self._way = way_of(self._run, self.batch, tuple(x.shape[1:]))
        found = self._way(self._run, self.batch, x)
        return found if len(found) > 1 else found[0]

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError


def way_of(run: Run, batch: int, shape: tuple[int, ...]) -> Way:
    """How `run`, which is meant for `batch` images of a shape (below 1: any number), is run on any number of them.

    A program that never uses the number is run as it is; one for single images is mapped over them (`torch.vmap`); another is given
    as many at a time as it wants, the last ones repeated.
    """
    if batch < 1:
        return _together
    x = torch.rand(batch + 1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = _parted(run, batch, x)
        ways: tuple[Way, ...] = (_together, _mapped) if batch == 1 else (_together,)
        return next((way for way in ways if _gives(way, run, x, wanted)), _parted)


def _together(run: Run, batch: int, x: Tensor) -> tuple[Tensor, ...]:
    del batch
    return run(x)


def _mapped(run: Run, batch: int, x: Tensor) -> tuple[Tensor, ...]:
    del batch
    found: tuple[Tensor, ...] = torch.vmap(lambda one: tuple(made[0] for made in run(one[None])))(x)
    return found


def _parted(run: Run, batch: int, x: Tensor) -> tuple[Tensor, ...]:
    made = []
    for part in torch.split(x, batch):
        missing = batch - len(part)
        filled = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        made.append([one[: len(part)] for one in run(filled)])
    return tuple(torch.cat(parts) for parts in zip(*made, strict=True))


def _gives(way: Way, run: Run, x: Tensor, wanted: tuple[Tensor, ...]) -> bool:
    try:
        found = way(run, 1, x)
    except _BREAKS:
        return False
    return len(found) == len(wanted) and all(
        one.shape == other.shape and torch.allclose(one.float(), other.float(), rtol=_NEAR, atol=_NEAR)
        for one, other in zip(found, wanted, strict=True)
    )
