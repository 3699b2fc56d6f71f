"""Knows what changed between the tensors of two versions: which, by how much, in how many directions, in which rows.

Tensors are streamed from safetensors files in blocks of rows; memory stays at a few blocks. Numbers need numpy (the
extra `tensors`). The number of directions of a change is estimated from a random projection of it (Halko, Martinsson,
Tropp, arXiv 0909.4061).
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.safetensors import read_safetensors
from weighbridge.schema import MalformedInput, SourceError, Unavailable
from weighbridge.source import FileBlob, Kind, local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.safetensors import Tensor

_BLOCK: Final = 16 << 20
_DIRECTIONS: Final = 40
_MEASURED: Final = 12
_ROWS: Final = 100_000
_NOISE: Final = 2e-3
_EMBEDDING: Final = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|shared|embeddings?)\.weight\Z")
_HEAD: Final = re.compile(r"(?:^|\.)(?:lm_head|classifier|score|cls|head|qa_outputs|pooler)\b")
_WIDTHS: Final = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
_BITS_OF_QUANTISED: Final = 300


class Place(Struct, frozen=True):
    """Where a tensor lies."""

    path: str
    start: int
    tensor: Tensor


class Change(Struct, frozen=True, kw_only=True):
    """One tensor that is not the same. `relative` is the norm of the difference to that of the old tensor.

    `directions` is the estimated rank of the difference, 0 where it was not measured; `rows` counts rows that moved.
    """

    name: str
    shape: tuple[int, ...]
    relative: float
    directions: int = 0
    rows: int = 0
    levels: int = 0


class Comparison(Struct, frozen=True, kw_only=True):
    """Two sets of tensors. `kind` is what was probably done."""

    same: int
    changed: tuple[Change, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    reshaped: tuple[str, ...]
    kind: str = ""


def places(path: str) -> dict[str, Place]:
    """The tensors of a safetensors file, or of all of them in a folder. Raises SourceError, MalformedInput."""
    source = local(path)
    if isinstance(source, FileBlob):
        files = [path]
        source.close()
    else:
        files = [
            source.path_of(e)
            for e in source.entries()
            if e.kind is Kind.FILE and e.name.endswith(".safetensors") and "/" not in e.name
        ]
    if not files:
        raise SourceError(
            f"{path}: there are no safetensors files", hint="convert the weights first, or compare the files by digest"
        )
    found: dict[str, Place] = {}
    for file in files:
        blob = FileBlob(file)
        facts = read_safetensors(blob)
        for tensor in facts.tensors:
            if tensor.end > blob.size - facts.data or tensor.start < 0 or tensor.end < tensor.start:
                raise MalformedInput(f"{os.path.basename(file)}: {tensor.name} lies outside the file")
            found[tensor.name] = Place(file, facts.data + tensor.start, tensor)
        blob.close()
    return found


def compare(old: str, new: str) -> Comparison:
    """The tensors of two versions against each other. Raises SourceError, MalformedInput, Unavailable without numpy."""
    numpy = _numpy()
    before, after = places(old), places(new)
    both = sorted(before.keys() & after.keys())
    reshaped = [name for name in both if before[name].tensor.shape != after[name].tensor.shape]
    changed: list[Change] = []
    same = 0
    for name in both:
        if name in reshaped:
            continue
        change = _change(numpy, name, before[name], after[name], measure=len(changed) < _MEASURED)
        if change is None:
            same += 1
        else:
            changed.append(change)
    found = Comparison(
        same=same,
        changed=tuple(changed),
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        reshaped=tuple(reshaped),
    )
    return Comparison(
        same=found.same, changed=found.changed, added=found.added, removed=found.removed, reshaped=found.reshaped, kind=kind_of(found)
    )  # fmt: skip


def _numpy() -> Any:
    try:
        import numpy  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable(
            "comparing tensors needs the extra tensors", hint="pip install 'weighbridge[tensors]'"
        ) from error
    return numpy


def _blocks(numpy: Any, place: Place) -> Iterator[tuple[int, bytes]]:
    """(first row, raw bytes) of a tensor in blocks of whole rows."""
    tensor = place.tensor
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    width = (tensor.end - tensor.start) // max(1, rows)
    step = max(1, _BLOCK // max(1, width))
    with open(place.path, "rb", buffering=0) as file:
        file.seek(place.start)
        for first in range(0, rows, step):
            yield first, file.read(width * min(step, rows - first))
    del numpy


def _floats(numpy: Any, raw: bytes, dtype: str) -> Any:
    if dtype == "BF16":
        return (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return numpy.frombuffer(raw, {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]).astype("<f4")


def _change(numpy: Any, name: str, before: Place, after: Place, *, measure: bool) -> Change | None:
    """What changed in one tensor; None where every byte is the same."""
    shape = before.tensor.shape
    one, other = before.tensor.dtype, after.tensor.dtype
    matrix = len(shape) == 2 and min(shape) > 1
    if one not in _WIDTHS or other not in _WIDTHS:
        equal = one == other and all(
            a == b for (_, a), (_, b) in zip(_blocks(numpy, before), _blocks(numpy, after), strict=True)
        )
        return None if equal else Change(name=name, shape=shape, relative=math.nan)
    columns = shape[1] if matrix else 1
    directions = min(_DIRECTIONS, min(shape) if matrix else 0)
    projection = (
        numpy.random.default_rng(0).standard_normal((columns, directions), dtype="float32")
        if matrix and measure
        else None
    )
    difference = total = 0.0
    rows, parts, moved, levels = 0, [], False, set[float]()
    old_blocks, new_blocks = _rows(numpy, before, columns), _rows(numpy, after, columns)
    for left_raw, right_raw, left, right in (
        (a[0], b[0], a[1], b[1]) for a, b in zip(old_blocks, new_blocks, strict=True)
    ):
        if one == other and left_raw == right_raw:
            total += float(numpy.vdot(left, left))
            if projection is not None:
                parts.append(numpy.zeros((len(left), directions), "float32"))
            continue
        moved = True
        delta = right - left
        difference += float(numpy.vdot(delta, delta))
        total += float(numpy.vdot(left, left))
        if projection is not None:
            parts.append(delta @ projection)
            rows += int(numpy.count_nonzero(numpy.any(parts[-1] != 0, axis=1)))
        elif matrix:
            rows += int(numpy.count_nonzero(numpy.any(delta != 0, axis=1)))
        if not levels:
            levels = set(numpy.unique(numpy.abs(right[:1]))[:_BITS_OF_QUANTISED].tolist())
    if not moved or difference == 0:
        return None
    relative = math.sqrt(difference / total) if total else math.inf
    rank = _rank(numpy, numpy.concatenate(parts)[:_ROWS]) if parts else 0
    return Change(name=name, shape=shape, relative=relative, directions=rank, rows=rows, levels=len(levels))


def _rows(numpy: Any, place: Place, columns: int) -> Iterator[tuple[bytes, Any]]:
    for _, raw in _blocks(numpy, place):
        yield raw, _floats(numpy, raw, place.tensor.dtype).reshape(-1, columns)


def _rank(numpy: Any, projected: Any) -> int:
    """The number of directions in a projected difference that stand out of rounding."""
    values = numpy.linalg.svd(projected.T @ projected, compute_uv=False, hermitian=True)
    return int(
        numpy.count_nonzero(numpy.sqrt(numpy.maximum(values, 0)) > _NOISE * math.sqrt(max(float(values[0]), 1e-30)))
    )


def kind_of(found: Comparison) -> str:
    """What was probably done, from the pattern of changes."""
    changed, count = found.changed, found.same + len(found.changed)
    if not changed:
        return "nothing" if not (found.added or found.removed or found.reshaped) else "tensors added or removed"
    if not count or len(found.reshaped) > count or sum(c.relative > 0.7 for c in changed) > 0.5 * count:
        return "unrelated weights"
    names = [change.name for change in changed]
    if all(_EMBEDDING.search(name) for name in names):
        return "embedding edit"
    if all(_HEAD.search(name) for name in names):
        return "head only"
    matrices = [change for change in changed if len(change.shape) == 2 and min(change.shape) > 1]
    measured = [change for change in matrices if change.directions]
    low = [c for c in measured if c.directions <= min(_DIRECTIONS - 4, min(c.shape) // 2)]
    if measured and len(low) == len(measured) and len(matrices) == len(changed):
        return "rank-one edit" if len(changed) <= 3 and all(c.directions == 1 for c in measured) else "low-rank merge"
    if matrices and all(c.levels and c.levels <= _coarse(c) for c in matrices):
        return "quantised and back"
    if len(changed) < 0.5 * count:
        return "part of the layers"
    return "full fine-tune"


def _coarse(change: Change) -> int:
    """The most different magnitudes that a row of quantised weights shows: 129 for 8 bits, a half of a row at most."""
    return min(129, max(2, change.shape[1] // 2))
