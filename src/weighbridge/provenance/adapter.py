"""Knows how an adapter lies on a base: where each of its factors belongs, whether it fits, how much it would change.

Source: peft 0.17 key names (`base_model.model.NAME.lora_A.weight`), Hu and others, arXiv 2106.09685.
"""

from __future__ import annotations

import json
import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.provenance.places import Place, places
from weighbridge.schema import Change, Comparison, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_FACTOR: Final = re.compile(
    r"(?:base_model\.model\.)?(.+)\.lora_(?:(A)|(B)|embedding_(A)|embedding_(B))(?:\.\w+)?(?:\.weight)?\Z"
)
_CONFIG: Final = 1 << 20
_MOST: Final = 256 << 20
_EXACT: Final = 1e-6


def is_adapter(path: str) -> bool:
    """Whether a folder holds an adapter instead of a model."""
    return os.path.isfile(os.path.join(path, "adapter_config.json"))


def against(base: str, adapter: str) -> Comparison:
    """What an adapter would change of a base, tensor by tensor, as a low-rank difference.

    Factors that have no place in the base are `added`, those of another shape `reshaped`. Raises SourceError,
    MalformedInput, Unavailable without numpy.
    """
    from weighbridge.provenance.tensors import load, numpy_or_refuse  # noqa: PLC0415  # numpy takes a while

    numpy = numpy_or_refuse()
    own, theirs = places(adapter), places(base)
    scale = _scale(adapter)
    changed, added, reshaped = [], [], []
    pairs, others = _pairs(own)
    for target, (down, up) in sorted(pairs.items()):
        name = _place_of(target, theirs)
        if not name or down is None or up is None:
            added.append(target)
        elif (
            theirs[name].shape not in {(up.shape[0], down.shape[1]), (down.shape[1], up.shape[0])}
            or up.shape[1] != down.shape[0]
        ):
            reshaped.append(name)
        else:
            changed.append(
                _change(numpy, name, theirs[name], load(numpy, down), load(numpy, up), scale / max(1, down.shape[0]))
            )
    touched = {change.name for change in changed} | set(reshaped)
    return Comparison(
        old=base,
        new=adapter,
        same=tuple(sorted(name for name in theirs if name not in touched)),
        changed=tuple(changed),
        added=tuple(sorted([*added, *others])),
        reshaped=tuple(reshaped),
        kind="adapter of low rank",
    )


def _scale(adapter: str) -> float:
    """`lora_alpha`; it is divided by the rank of each pair, or its root for rsLoRA."""
    try:
        with open(os.path.join(adapter, "adapter_config.json"), "rb") as file:
            table = json.loads(file.read(_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise MalformedInput(f"adapter_config.json: {error}") from error
    alpha = table.get("lora_alpha") if isinstance(table, dict) else None
    return float(alpha) if isinstance(alpha, (int, float)) and math.isfinite(alpha) else 1.0


def _pairs(own: dict[str, Place]) -> tuple[dict[str, tuple[Place | None, Place | None]], list[str]]:
    """(A, B) by the module they belong to, and the tensors that are no factors."""
    down: dict[str, Place] = {}
    up: dict[str, Place] = {}
    others = []
    for name, place in own.items():
        match = _FACTOR.match(name)
        if match is None or len(place.shape) != 2 or place.strides:
            others.append(name)
        elif match[2] or match[4]:
            down[match[1]] = place
        else:
            up[match[1]] = place
    return {name: (down.get(name), up.get(name)) for name in down.keys() | up.keys()}, others


def _place_of(target: str, theirs: dict[str, Place]) -> str:
    """The tensor of the base that a module names; bases are saved with and without their outer name."""
    return next(_candidates(target, theirs), "")


def _candidates(target: str, theirs: dict[str, Place]) -> Iterator[str]:
    parts = target.split(".")
    for first in range(min(3, len(parts))):
        name = f"{'.'.join(parts[first:])}.weight"
        if name in theirs:
            yield name
    ending = f".{target}.weight"
    yield from (name for name in theirs if name.endswith(ending))


def _change(numpy: Any, name: str, place: Place, down: Any, up: Any, scale: float) -> Change:
    """The size of a product from the Gram matrices of its factors: the product itself is never made."""
    gram = (up.T @ up) @ (down @ down.T)
    norm = scale * math.sqrt(max(0.0, float(numpy.trace(gram))))
    values = numpy.sqrt(numpy.clip(numpy.linalg.eigvals(gram.astype("float64")).real, 0, None))
    values = numpy.sort(values)[::-1]
    energy = float((values**2).sum())
    from weighbridge.provenance.tensors import norm_of  # noqa: PLC0415  # numpy takes a while

    whole = norm_of(numpy, place)
    return Change(
        name=name,
        shape=place.shape,
        relative=norm / whole if whole else math.inf,
        directions=int(numpy.count_nonzero(values > _EXACT * max(float(values[0]), 1e-30))) if len(values) else 0,
        spectrum=tuple(round(float(v * v) / energy, 4) for v in values[:8]) if energy else (),
    )
