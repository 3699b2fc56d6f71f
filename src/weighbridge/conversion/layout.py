"""Knows the order of tensors in a safetensors file, which names share bytes, and the header that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.safetensors import BITS, PARSED_LIMIT, write_header
from weighbridge.schema import LimitExceeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.conversion.weights import Weight

_EXPANSION: Final = 4
_FLOOR: Final = 1 << 30
_RESERVED: Final = "__metadata__"


class Layout(Struct, frozen=True, kw_only=True):
    """A file to be written: its header, the tensors in the order of their bytes, and names of the same tensor."""

    header: bytes
    weights: tuple[Weight, ...]
    aliases: dict[str, str]
    size: int


def lay_out(weights: Iterable[Weight], source_size: int) -> Layout:
    """The layout for some tensors of a file of `source_size` bytes.

    A tensor that occurs under several names is written once; the other names stand in the metadata, each with the name
    that was kept, as Hugging Face's converter writes them. Raises LimitExceeded where views blow the output up.
    """
    kept, aliases = _kept(weights)
    # Aligned types first, so that every tensor begins at a multiple of its width.
    ranks: dict[int, int] = {}
    for one in kept:
        ranks.setdefault(id(one.blob), len(ranks))
    kept.sort(key=lambda one: (-BITS[one.dtype], ranks[id(one.blob)], one.start))
    total = sum(one.size for one in kept)
    most = max(_FLOOR, _EXPANSION * source_size)
    if total > most:
        raise LimitExceeded(
            f"the tensors come to {total} bytes out of a file of {source_size}", limit="output",
            hint="expanded views multiply the bytes; the bound is four times the file, and at least 1 GiB",
        )  # fmt: skip
    header = write_header(((one.name, one.dtype, one.shape) for one in kept), {"format": "pt", **aliases})
    if len(header) - 8 > PARSED_LIMIT:
        raise LimitExceeded(f"the names of the tensors take {len(header)} bytes", limit="header")
    return Layout(header=header, weights=tuple(kept), aliases=aliases, size=total)


def _kept(weights: Iterable[Weight]) -> tuple[list[Weight], dict[str, str]]:
    first: dict[tuple[object, ...], str] = {}
    kept, aliases = [], {}
    for one in weights:
        if one.name == _RESERVED:
            raise UsageError(f"a tensor is named {_RESERVED}, which safetensors keeps for itself")
        same = (id(one.blob), one.start, one.dtype, one.shape, one.strides)
        if one.size and same in first:
            aliases[one.name] = first[same]
        else:
            first[same] = one.name
            kept.append(one)
    return kept, aliases
