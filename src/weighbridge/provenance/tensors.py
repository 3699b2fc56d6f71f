"""Knows what changed between the tensors of two versions: which, by how much, in how many directions, in which rows.

Tensors are streamed from the disk in blocks, several at a time; memory stays at a few blocks. Numbers need numpy (the
extra `tensors`). Directions are estimated from rows of the difference by a random projection with one step of
refinement (Halko, Martinsson, Tropp, arXiv 0909.4061).
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Final

from weighbridge.provenance.places import places
from weighbridge.schema import Change, Comparison, SourceError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.places import Place

DIRECTIONS: Final = 40
_BLOCK: Final = 1 << 20
_STRIDED: Final = 256 << 20
_SAMPLE_ROWS: Final = 256
_SAMPLE_VALUES: Final = 2 << 20
_SHOWN_ROWS: Final = 16
_SHOWN_SHARES: Final = 8
_GAP: Final = 3.0
_EXPLAINED: Final = 0.9
_WORKERS: Final = 4
_GRID_ROWS: Final = 8
_GRID_GROUPS: Final = 64
_OFF_GRID: Final = 0.15
_RAW: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "u1",
}  # fmt: skip
_NUMBERS: Final = frozenset({"F64", "F32", "F16", "BF16"})


def compare(old: str, new: str, *, workers: int = 0) -> Comparison:
    """The tensors of two versions against each other; what was done is not judged here. Raises SourceError, MalformedInput, Unavailable without numpy."""
    numpy = numpy_or_refuse()
    before, after = aligned(places(old), places(new))
    both = sorted(before.keys() & after.keys())
    reshaped = [name for name in both if before[name].shape != after[name].shape]
    jobs = [(name, before[name], after[name]) for name in both if before[name].shape == after[name].shape]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # only comparing needs threads

    with ThreadPoolExecutor(workers or min(_WORKERS, os.cpu_count() or 1)) as pool:
        changes = list(pool.map(lambda job: _Tensors(numpy, *job[1:]).change(job[0]), jobs))
    changed = tuple(change for change in changes if change is not None)
    return Comparison(
        old=old,
        new=new,
        same=tuple(job[0] for job, change in zip(jobs, changes, strict=True) if change is None),
        changed=changed,
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        reshaped=tuple(reshaped),
    )


def aligned(before: dict[str, Place], after: dict[str, Place]) -> tuple[dict[str, Place], dict[str, Place]]:
    """Both sides under common names: a wrapper such as `state_dict.` or `model.` on one side is left out."""
    if before.keys() & after.keys():
        return before, after
    best = (0, before, after)
    for left in _unwrapped(before):
        for right in _unwrapped(after):
            best = max(best, (len(left.keys() & right.keys()), left, right), key=lambda one: one[0])
    return best[1], best[2]


def _unwrapped(found: dict[str, Place]) -> Iterator[dict[str, Place]]:
    """The tensors as they are named, and those below each first part of a name."""
    yield found
    for first in sorted({name.partition(".")[0] for name in found if "." in name}):
        yield {name[len(first) + 1 :]: place for name, place in found.items() if name.startswith(f"{first}.")}


def numpy_or_refuse() -> Any:
    """The numpy module. Raises Unavailable where the extra is not installed."""
    try:
        import numpy  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable(
            "comparing tensors needs the extra tensors",
            hint="pip install 'weighbridge[tensors]', or compare the rest with --no-tensors",
        ) from error
    return numpy


def load(numpy: Any, place: Place) -> Any:
    """A whole small tensor as 32-bit numbers. Raises SourceError for large ones and other types."""
    if place.size > _STRIDED or place.dtype not in _NUMBERS:
        raise SourceError(f"{place.path}: a factor of {place.size >> 20} MiB and type {place.dtype} is not compared")
    with open(place.path, "rb", buffering=0) as file:
        parts = list(_Reader(numpy, place, 1).blocks(file.fileno(), 1))
    return _floats(numpy, parts[0], place.dtype).reshape(place.shape) if parts else numpy.zeros(place.shape, "<f4")


def norm_of(numpy: Any, place: Place) -> float:
    """The Frobenius norm of a tensor, streamed; NaN for other types than numbers."""
    if place.dtype not in _NUMBERS:
        return math.nan
    rows = place.shape[0] if place.shape else 1
    step = max(1, _BLOCK // max(1, place.size // max(1, rows)))
    with open(place.path, "rb", buffering=0) as file:
        blocks = (_floats(numpy, raw, place.dtype) for raw in _Reader(numpy, place, rows).blocks(file.fileno(), step))
        return math.sqrt(sum(float(numpy.vdot(block, block)) for block in blocks))


class _Reader:
    """One tensor in blocks of rows, each as raw numbers in a buffer that the next block uses again."""

    def __init__(self, numpy: Any, place: Place, rows: int) -> None:
        self._numpy, self._place, self._rows = numpy, place, rows
        self._type = numpy.dtype(_RAW.get(place.dtype, "u1"))
        self._width = place.size // rows if rows else 0
        self._buffer = bytearray()
        self._whole: Any = None

    def blocks(self, descriptor: int, step: int) -> Iterator[Any]:
        """Arrays of `step` rows at most. Raises SourceError where the file ends too early."""
        if self._place.strides:
            whole = self._strided(descriptor)
            yield from (whole[first : first + step] for first in range(0, self._rows, step))
            return
        self._buffer = self._buffer or bytearray(step * self._width)
        at, end = self._place.start, self._place.start + self._rows * self._width
        while at < end:
            count = min(len(self._buffer), end - at)
            view = memoryview(self._buffer)[:count]
            if os.preadv(descriptor, [view], at) != count:
                raise SourceError(f"{self._place.path}: the file became shorter while it was read")
            yield self._numpy.frombuffer(view, self._type).reshape(count // self._width, -1)
            at += count

    def _strided(self, descriptor: int) -> Any:
        """A tensor that its file holds in another order, as rows. Kept: it is asked for twice at most."""
        if self._whole is None:
            place = self._place
            if place.size > _STRIDED:
                raise SourceError(f"{place.path}: a transposed tensor of {place.size >> 20} MiB is not compared")
            raw = self._numpy.frombuffer(os.pread(descriptor, place.size, place.start), self._type)
            strides = [step * self._type.itemsize for step in place.strides]
            laid = self._numpy.lib.stride_tricks.as_strided(raw, place.shape, strides, writeable=False)
            self._whole = self._numpy.ascontiguousarray(laid).reshape(self._rows, -1)
        return self._whole


class _Tensors:
    """One tensor in two versions: reads both until they differ, and measures the difference if they do."""

    def __init__(self, numpy: Any, before: Place, after: Place) -> None:
        self._numpy, self._before, self._after = numpy, before, after
        shape = before.shape
        self._matrix = len(shape) == 2 and min(shape) > 1
        count = math.prod(shape)
        # Anything but a matrix has no rows of its own; it is cut wherever it fits.
        self._rows = shape[0] if self._matrix else max(1, count // (_BLOCK // 8)) if count % (_BLOCK // 8) == 0 else 1
        self._columns = count // self._rows if self._rows else 0

    def change(self, name: str) -> Change | None:
        """What changed; None where every value is the same."""
        before, after = self._before, self._after
        if not self._columns:
            return None
        with open(before.path, "rb", buffering=0) as old, open(after.path, "rb", buffering=0) as new:
            left, right = old.fileno(), new.fileno()
            if before.dtype == after.dtype and self._equal(left, right):
                return None
            if before.dtype not in _NUMBERS or after.dtype not in _NUMBERS:
                return Change(name=name, shape=before.shape, relative=math.nan)
            return self._measured(name, left, right)

    def _step(self, width: int) -> int:
        return max(1, _BLOCK // max(1, self._columns * width))

    def _pairs(self, left: int, right: int) -> Iterator[tuple[Any, Any]]:
        step = self._step(max(4, self._numpy.dtype(_RAW.get(self._before.dtype, "u1")).itemsize))
        one = _Reader(self._numpy, self._before, self._rows).blocks(left, step)
        other = _Reader(self._numpy, self._after, self._rows).blocks(right, step)
        return zip(one, other, strict=True)

    def _equal(self, left: int, right: int) -> bool:
        if self._before.size != self._after.size and not (self._before.strides or self._after.strides):
            return False
        return all(self._numpy.array_equal(a.view(_bits(a)), b.view(_bits(b))) for a, b in self._pairs(left, right))

    def _measured(self, name: str, left: int, right: int) -> Change | None:
        numpy = self._numpy
        difference = total = 0.0
        rows, broken, first, levels = 0, 0, 0, 0
        moved: list[int] = []
        delta: Any = None
        sample = _Sample(numpy, self._columns if self._matrix else 0)
        for raw_old, raw_new in self._pairs(left, right):
            old, new = _floats(numpy, raw_old, self._before.dtype), _floats(numpy, raw_new, self._after.dtype)
            total += float(numpy.vdot(old, old))
            if first == 0:
                levels = 0 if grid(numpy, old) else grid(numpy, new)
            if delta is None or delta.shape != old.shape:
                delta = numpy.empty(old.shape, "<f4")
            numpy.subtract(new, old, out=delta)
            norms = numpy.einsum("ij,ij->i", delta, delta)
            change = float(norms.sum(dtype="float64"))
            if not math.isfinite(change):
                broken += int(numpy.count_nonzero(~numpy.isfinite(new) & numpy.isfinite(old)))
                norms = numpy.nan_to_num(norms, nan=1.0, posinf=1.0)
                change = 0.0
            difference += change
            there = numpy.flatnonzero(norms)
            rows += len(there)
            if len(moved) < _SHOWN_ROWS:
                moved += (there[:_SHOWN_ROWS] + first).tolist()
            sample.add(delta, there)
            first += len(old)
        if not rows:
            return None
        directions, spectrum = (0, ()) if broken else sample.directions()
        return Change(
            name=name,
            shape=self._before.shape,
            relative=math.sqrt(difference / total) if total else math.inf,
            directions=directions,
            spectrum=spectrum,
            rows=rows if self._matrix else 0,
            moved=tuple(moved[:_SHOWN_ROWS]) if self._matrix and rows < self._rows else (),
            levels=levels,
            broken=broken,
        )


def _bits(array: Any) -> str:
    """The widest integer that the rows of an array are made of, so that equality is that of the bytes."""
    return f"u{array.itemsize}"


def _floats(numpy: Any, raw: Any, dtype: str) -> Any:
    if dtype == "F32":
        return raw
    if dtype == "BF16":
        wide = raw.astype("<u4")
        numpy.left_shift(wide, 16, out=wide)
        return wide.view("<f4")
    return raw.astype("<f4")


class _Sample:
    """Rows of a difference, as many as tell its directions."""

    def __init__(self, numpy: Any, columns: int) -> None:
        self._numpy = numpy
        self._room = min(_SAMPLE_ROWS, max(2 * DIRECTIONS, _SAMPLE_VALUES // columns)) if columns else 0
        self._parts: list[Any] = []

    def add(self, delta: Any, there: Any) -> None:
        """Keep the rows that moved, while there is room."""
        if self._room and len(there):
            kept = delta[there[: self._room]] if len(there) < len(delta) else delta[: self._room].copy()
            self._parts.append(kept)
            self._room -= len(kept)

    def directions(self) -> tuple[int, tuple[float, ...]]:
        """How many directions hold the difference, 0 where it has no few of them, and their share in it."""
        if not self._parts:
            return 0, ()
        numpy = self._numpy
        rows = numpy.concatenate(self._parts)
        energy = float(numpy.einsum("ij,ij->", rows, rows, dtype="float64"))
        count = min(DIRECTIONS, *rows.shape)
        projection = numpy.random.default_rng(0).standard_normal((rows.shape[1], count), dtype="float32")
        basis, _ = numpy.linalg.qr(rows @ projection)
        inner = (basis.T @ rows).astype("float64")
        values = numpy.linalg.eigvalsh(inner @ inner.T)[::-1].clip(0)
        if energy <= 0:
            return 0, ()
        shares = values / energy
        spectrum = tuple(round(float(share), 4) for share in shares[:_SHOWN_SHARES])
        return _few(shares.tolist(), min(rows.shape)), spectrum


def _few(shares: list[float], most: int) -> int:
    """The number of directions after which the spectrum falls off a cliff and little is left; 0 where there is none."""
    reached = 0.0
    for number, share in enumerate(shares, 1):
        reached += share
        following = shares[number] if number < len(shares) else 0.0
        if reached >= _EXPLAINED and (share > _GAP**2 * following):
            return number if number < most else 0
    return 0


def grid(numpy: Any, block: Any) -> int:
    """How many levels the values of a block lie on, as quantisation leaves them; 0 where they lie on no grid.

    Looks for at most 17 values in groups of 32 (four bits by any code book), and for multiples of a 127th of the
    largest value in groups of 32, 64, 128 or a row (eight bits).
    """
    rows, columns = block[:_GRID_ROWS], block.shape[1]
    if columns < 32 or not numpy.isfinite(rows).all() or not rows.any():
        return 0
    groups = rows[:, : columns // 32 * 32].reshape(-1, 32)[:_GRID_GROUPS]
    distinct = sorted(len(set(group)) for group in groups.tolist())
    if distinct[len(distinct) // 2] <= 17:
        return 16
    for size in (32, 64, 128, columns):
        if columns % size:
            continue
        parts = rows.reshape(-1, size)[:_GRID_GROUPS].astype("float64")
        scale = numpy.abs(parts).max(axis=1, keepdims=True) / 127
        steps = parts / numpy.where(scale, scale, 1)
        # 0.25 where the values lie anywhere; above 0 because 16-bit types round the grid itself.
        if float(numpy.abs(steps - numpy.round(steps)).mean()) < _OFF_GRID:
            return 255
    return 0
