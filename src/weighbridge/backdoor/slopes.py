"""Knows how slopes at the embeddings of a model of texts are taken: what its table gives is caught on its way."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


@contextmanager
def caught(embedding: nn.Module) -> Iterator[list[Tensor]]:
    """What an embedding gives from here to the end, the last one last, each as something that slopes can be taken at."""
    kept: list[Tensor] = []

    def catch(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
        output = output.detach().requires_grad_()
        kept.append(output)
        return output

    hook = embedding.register_forward_hook(catch)
    try:
        yield kept
    finally:
        hook.remove()
