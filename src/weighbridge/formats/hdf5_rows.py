"""Reads HDF5 files as rows or as labelled arrays: datasets of one length are columns, whatever group they stand in."""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.hdf5 import Hdf5Facts, read_hdf5
from weighbridge.formats.hdf5_data import Hdf5Array
from weighbridge.formats.rows import Batch, Rejected
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable, WeighbridgeError
from weighbridge.source.blob import FileBlob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.hdf5 import Dataset

ENDINGS: Final = (".h5", ".hdf5", ".he5")
ROWS, PICTURES = "rows", "pictures"
_BATCH: Final = 4096
_WIDEST: Final = 256  # numbers a row of one dataset that become columns
_WHOLE: Final = 8 << 30
_SHOWN: Final = 6
_RATIO: Final = 1000  # rows for each byte of the file: what was never written is filled with zeros
_WEIGHTS: Final = frozenset({"layer_names", "weight_names", "model_config", "keras_version"})


def is_hdf5(path: str) -> bool:
    """Whether a file is named like one."""
    return os.path.splitext(path.lower())[1] in ENDINGS


def held(path: str) -> str:
    """What a file holds: `rows`, `pictures`, or nothing of both, such as weights or what cannot be read."""
    try:
        blob = FileBlob(path)
        try:
            facts = read_hdf5(blob)
        finally:
            blob.close()
    except WeighbridgeError:  # what is broken is told where its bytes are inspected
        return ""
    if _is_weights(facts):
        return ""
    if _pictures(facts):
        return PICTURES
    return ROWS if _columns(facts)[0] else ""


def _is_weights(facts: Hdf5Facts) -> bool:
    return any(one.name in _WEIGHTS for one in facts.attributes) or any("/vars/" in one.path for one in facts.datasets)


def _pictures(facts: Hdf5Facts) -> list[Dataset]:
    """Datasets of at least three dimensions that a dataset of one label each belongs to."""
    ones = {one.shape[0] for one in facts.datasets if _is_vector(one)}
    return [one for one in facts.datasets if len(one.shape) in {3, 4} and one.numbers and one.shape[0] in ones]


def _is_vector(one: Dataset) -> bool:
    return len(one.shape) == 1 or (len(one.shape) == 2 and one.shape[1] == 1)


def _columns(facts: Hdf5Facts) -> tuple[list[Dataset], list[str]]:
    """(datasets that are columns: those of the length that most have, names of the others)."""
    flat = [
        one
        for one in facts.datasets
        if len(one.shape) in {1, 2} and one.shape[0] > 1 and (len(one.shape) == 1 or one.shape[1] <= _WIDEST)
    ]
    lengths = Counter(one.shape[0] for one in flat)
    usual = max(lengths, key=lambda length: (lengths[length], length), default=0)
    chosen = [one for one in flat if one.shape[0] == usual]
    chosen.sort(key=lambda one: one.path)
    return chosen, [one.path.lstrip("/") for one in facts.datasets if one not in chosen]


class Hdf5Rows:
    """A file as rows. See `RowsFile`."""

    def __init__(self, path: str) -> None:
        self.path, self.format = path, "hdf5"
        self.rejected, self.notes = Rejected(), list[str]()

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`. Lines count rows."""
        self.rejected = Rejected()
        blob = FileBlob(self.path)
        try:
            facts = read_hdf5(blob)
            chosen, others = _columns(facts)
            arrays: dict[str, Hdf5Array] = {}
            for one in chosen:
                try:
                    arrays[one.path.lstrip("/")] = Hdf5Array(blob, facts, one)
                except Unavailable as error:
                    others.append(f"{one.path.lstrip('/')} ({error.message.partition(': ')[2]})")
            if others or facts.unread:
                self.notes = [f"not read as columns: {', '.join([*others, *facts.unread][:_SHOWN])}"]
            if not arrays:
                raise MalformedInput(f"{self.path}: no dataset in it can be read as a column")
            many = len(next(iter(arrays.values())))
            if many > _RATIO * blob.size:
                raise LimitExceeded(f"{self.path}: {many} rows are claimed in {blob.size} bytes", limit="members")
            for first in range(0, many, _BATCH):
                last = min(many, first + _BATCH)
                yield Batch(_cells(arrays, first, last), list(range(first + 1, last + 1)))
        finally:
            blob.close()


def _cells(arrays: dict[str, Hdf5Array], first: int, last: int) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {}
    for name, array in arrays.items():
        found = array.rows(first, last)
        if isinstance(found, list) or found.ndim == 1:
            made[name] = found if isinstance(found, list) else found.tolist()
        elif found.shape[1] == 1:
            made[name] = found[:, 0].tolist()
        else:
            made |= {f"{name} {at}": found[:, at].tolist() for at in range(found.shape[1])}
    return made


def labelled_arrays(path: str) -> dict[str, Any]:
    """Every array of numbers in a file, by its name without its groups. Raises MalformedInput, LimitExceeded, SourceError."""
    blob = FileBlob(path)
    try:
        facts = read_hdf5(blob)
        arrays = [
            Hdf5Array(blob, facts, one) for one in facts.datasets if one.shape and (one.numbers or _is_vector(one))
        ]
        if sum(one.dataset.item * math.prod(one.dataset.shape) for one in arrays) > min(_WHOLE, _RATIO * blob.size):
            raise LimitExceeded(f"{path}: arrays of more bytes than are read", limit="size", hint="inspect it in parts")
        return {one.dataset.path.lstrip("/"): one.whole() for one in arrays}
    finally:
        blob.close()
