"""Knows on how many threads searches run: one for small nets, so that sums come in one order and nothing waits for threads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


_LARGE: Final = 20_000_000  # weights: from here on a second core is worth more than it costs


@contextmanager
def fitting_threads(weights: int) -> Iterator[int]:
    """One thread for a small net, all for a large one, until the end; gives how many there were."""
    if weights >= _LARGE:
        yield torch.get_num_threads()
        return
    with one_thread() as before:
        yield before


@contextmanager
def one_thread() -> Iterator[int]:
    """One thread until the end; gives how many there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
