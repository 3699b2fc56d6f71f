"""Knows how the tensors of a safetensors file are read to be tested, by our own reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from weighbridge.formats.safetensors import read_safetensors
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from weighbridge.source import Blob

_KINDS: Final = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I64": torch.int64,
}
_MOST: Final = 4 << 30

Tensors = dict[str, Tensor]


def read_tensors(blob: Blob) -> Tensors:
    """Every tensor of a file by its name. Raises Unavailable where it is not what the format wants, too large, or of a type without gradients."""
    facts = read_safetensors(blob)
    total = sum(one.end - one.start for one in facts.tensors)
    if facts.problems or total > _MOST:
        why = facts.problems[0].detail if facts.problems else f"{total} bytes of weights"
        raise Unavailable(f"the file is not what the format wants: {why}", hint="weighbridge scan says more")
    found = {}
    for one in facts.tensors:
        kind = _KINDS.get(one.dtype)
        if kind is None:
            raise Unavailable(
                f"weights of the type {one.dtype} have no gradients", hint="test it before it is quantised"
            )
        data = bytearray(blob.read(facts.data + one.start, one.end - one.start))
        found[one.name] = (
            torch.frombuffer(data, dtype=kind).reshape(one.shape) if data else torch.zeros(one.shape, dtype=kind)
        )
    return found
