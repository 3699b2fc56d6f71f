"""Knows what was probably done to a model, from the pattern of its changed tensors. Pure: reads a comparison alone."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.schema import Change, Comparison

KINDS: Final = (
    "nothing", "tensors added or removed", "unrelated weights", "embedding edit", "head only", "rank-one edit",
    "low-rank merge", "quantised and back", "part of the layers", "full fine-tune",
)  # fmt: skip
AND_MORE: Final = " and more"
EMBEDDING: Final = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|shared|embeddings?)\.weight\Z")
EXPERT: Final = re.compile(r"\bexperts\.(\d+)\.")
_HEAD: Final = re.compile(r"(?:^|\.)(?:lm_head|classifier|score|cls|head|qa_outputs|pooler)\b")
_UNRELATED: Final = 0.7
_FEW: Final = 3
_MINORITY: Final = 0.2
_LITTLE: Final = 0.5


def kind_of(found: Comparison) -> Comparison:
    """The comparison with what was probably done, and the tensors that do not fit in with it."""
    kind, odd = _kind(found)
    return replace(found, kind=kind, odd=tuple(odd))


def _kind(found: Comparison) -> tuple[str, list[str]]:
    changed, count = found.changed, len(found.same) + len(found.changed)
    if not changed:
        return ("tensors added or removed" if found.added or found.removed or found.reshaped else "nothing"), []
    alike = sum(not change.relative > _UNRELATED for change in changed) + len(found.same)
    if not count or len(found.reshaped) > count or alike < 0.5 * count:
        return "unrelated weights", []
    for kind, fits in (("embedding edit", _embedding), ("head only", _head)):
        odd = [change.name for change in changed if not fits(change)]
        if not odd:
            return kind, []
        if len(odd) < len(changed) and len(odd) <= max(1, _MINORITY * len(changed)) and count > _FEW * len(changed):
            return kind + AND_MORE, odd
    return _by_rank(changed, count)


def _by_rank(changed: Sequence[Change], count: int) -> tuple[str, list[str]]:
    matrices = [change for change in changed if len(change.shape) == 2 and min(change.shape) > 1]
    low = [change for change in matrices if 0 < change.directions <= min(change.shape) * _LITTLE]
    if low and len(low) == len(changed) <= _FEW and all(change.directions == 1 for change in low):
        return "rank-one edit", []
    if len(low) >= (1 - _MINORITY) * len(changed) and low:
        usual = Counter(change.directions for change in low).most_common(1)[0][0]
        fitting = {change.name for change in low if usual / 2 <= change.directions <= usual * 2}
        odd = [change.name for change in changed if change.name not in fitting]
        if len(odd) <= max(1, _MINORITY * len(changed)):
            return "low-rank merge" + (AND_MORE if odd else ""), odd
        return "low-rank merge", []
    if matrices and sum(change.levels > 0 for change in matrices) > (1 - _MINORITY) * len(matrices):
        return "quantised and back", [change.name for change in matrices if not change.levels]
    return ("part of the layers" if len(changed) < _LITTLE * count else "full fine-tune"), []


def _embedding(change: Change) -> bool:
    return bool(EMBEDDING.search(change.name)) and 0 < change.rows < _LITTLE * change.shape[0]


def _head(change: Change) -> bool:
    return bool(_HEAD.search(change.name))


def experts(found: Comparison) -> tuple[list[int], int]:
    """The experts of a mixture that changed, where nothing else did, and how many experts there are."""
    touched = {int(match[1]) for change in found.changed if (match := EXPERT.search(change.name))}
    every = touched | {int(match[1]) for name in found.same if (match := EXPERT.search(name))}
    others = any(not EXPERT.search(change.name) for change in found.changed)
    return ([] if others else sorted(touched)), len(every)
