"""Knows what is usual: learned from a clean replay of the model's own traffic, with the false alarms measured on its last part."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec
import numpy
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.monitor.drift import band
from weighbridge.monitor.expectation import MOST_CLASSES, OTHERS, Expectation, learn
from weighbridge.monitor.outputs import LABEL, YES_NO, Reader
from weighbridge.monitor.records import Record
from weighbridge.monitor.vocabulary import CAPACITY, Vocabulary
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = Any
VERSION: Final = 1
LEAST: Final = 400
_COUNTED, _FITTED = 0.6, 0.2
_COMMON: Final = 0.02
_BINS: Final = 10
_STRONG: Final = 12
_STRONG_SEEN: Final = 5
HELD_OUT: Final = 400
_LARGEST: Final = 256 << 20
NUMBERS: Final = ("confidence", "seconds", "tokens")
NEW_WORDS: Final = "words that are new"


class Head(Struct, frozen=True, kw_only=True):
    """One output that is watched: its classes, and the weights of signs for it (float32, row by row)."""

    name: str
    classes: tuple[str, ...]
    weights: bytes
    prior: tuple[float, ...]
    temperature: float
    floor: float
    loss: float
    strong: tuple[tuple[str, ...], ...]  # for each class the signs that speak most for it

    def expectation(self) -> Expectation:
        """What counts with these weights."""
        weights = numpy.frombuffer(self.weights, dtype=numpy.float32).reshape(-1, len(self.classes))
        return Expectation(weights, numpy.array(self.prior, dtype=numpy.float32), self.temperature, self.floor)


class Band(Struct, frozen=True, kw_only=True):
    """One distribution: its parts and how often each occurred. `edges` are limits between parts that are numbers."""

    signal: str
    parts: tuple[str, ...]
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()


class Measured(Struct, frozen=True, kw_only=True):
    """What the monitor said of the last part of the clean replay, which nothing was learned from."""

    records: int = 0
    alarms: int = 0
    suspects: int = 0

    @property
    def bound(self) -> float:
        """Alarms in a million records that are not excluded (95 %; the rule of three where there was none)."""
        return (self.alarms + 3) / self.records * 1e6 if self.records else 1e6


class Baseline(Struct, frozen=True, kw_only=True):
    """Everything that was learned. `held_out` are inputs that suspects are tried on; `slack` widens every band."""

    version: int = VERSION
    stream: str
    records: int
    signs: tuple[str, ...]
    common: tuple[int, ...]
    heads: tuple[Head, ...]
    bands: tuple[Band, ...]
    held_out: tuple[Record, ...] = ()
    slack: float = 1.0
    measured: Measured = Measured()
    capacity: int = CAPACITY
    pairs: bool = False
    model: str = ""

    def head(self, name: str) -> Head | None:
        """The head of this name."""
        return next((one for one in self.heads if one.name == name), None)

    def vocabulary(self) -> Vocabulary:
        """A vocabulary that knows these signs, each under its number."""
        # The same for everybody who has this baseline, so that a replay can be repeated; nobody else can tell it.
        secret = blake2b(msgspec.msgpack.encode((self.signs, self.held_out)), digest_size=8).digest()
        made = Vocabulary(self.capacity, pairs=self.pairs, base=int.from_bytes(secret, "big") | 1)
        for name in self.signs:
            made.sign(name)
        made.hold()
        return made


def dump(baseline: Baseline) -> bytes:
    """As a file."""
    return msgspec.msgpack.encode(baseline)


def load(data: bytes, name: str) -> Baseline:
    """From a file. Raises UsageError where it is none of ours."""
    hint = "weighbridge monitor learn writes one"
    if len(data) > _LARGEST:
        raise UsageError(f"{name}: larger than a baseline can be", hint=hint)
    try:
        found = msgspec.msgpack.decode(data, type=Baseline)
        for head in found.heads:
            head.expectation()
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not a baseline: {error}", hint=hint) from error
    fits = all(
        len(one.weights) == 4 * len(found.signs) * len(one.classes) and len(one.prior) == len(one.classes) >= 2
        for one in found.heads
    ) and all(len(one.parts) == len(one.counts) for one in found.bands)
    if found.version != VERSION or not fits or len(found.signs) > found.capacity > 1 << 22:
        raise UsageError(f"{name}: not a baseline of this version", hint=hint)
    return found


def learn_baseline(
    records: Sequence[Record], stream: str, *, model: str = "", held_out: int = HELD_OUT, pairs: bool = False
) -> Baseline:
    """Learn from records in the order of their time; the last fifth is left for `measured`. Raises UsageError.

    With `pairs`, two words side by side are a sign as each of them is.
    """
    if len(records) < LEAST:
        raise UsageError(
            f"{len(records)} records of clean traffic are too few", hint=f"from {LEAST} on; some thousands are better"
        )
    counted, fitted = int(len(records) * _COUNTED), int(len(records) * (_COUNTED + _FITTED))
    words, all_ = _chosen(records[:fitted], pairs=pairs)
    some = records[:fitted]
    numbers, owner = words.read(some)
    seen = numpy.bincount(numbers, minlength=len(words.names))
    common = numpy.flatnonzero(seen > _COMMON * fitted)
    outputs = _outputs(some)
    heads = tuple(_head(name, classes, values, (numbers, owner, counted), words) for name, classes, values in outputs)
    if not heads:
        raise UsageError(
            "every record has the same output", hint="a replay shows what the model answers to many inputs"
        )
    bands = _bands(some, outputs)
    if all_:  # else words that were not chosen would seem to be new
        bands.append(_new_words(numbers, owner, counted, fitted, len(seen)))
    return Baseline(
        stream=stream, records=len(records), signs=tuple(words.names), common=tuple(common.tolist()), heads=heads,
        bands=tuple(bands), model=model, pairs=pairs,
        held_out=tuple(_spread(records[counted:fitted], held_out)),
    )  # fmt: skip


def _chosen(records: Sequence[Record], *, pairs: bool) -> tuple[Vocabulary, bool]:
    """(the signs that are kept for good: at most half of the room, the most frequent first; whether they are all)."""
    every = Vocabulary(1 << 22, pairs=pairs)
    numbers, _ = every.read(records)
    seen = numpy.bincount(numbers, minlength=len(every.names))
    made = Vocabulary(pairs=pairs)
    for number in numpy.argsort(-seen, kind="stable")[: CAPACITY // 2].tolist():
        made.sign(every.names[number])
    made.hold()
    made.capacity = made.held  # what was not chosen is not counted here
    return made, len(made.names) == len(every.names)


def _outputs(records: Sequence[Record]) -> list[tuple[str, tuple[str, ...], Array]]:
    """(name, classes, the class of each record) of everything that is watched and differs."""
    found = []
    labels = Counter(one.output for one in records if one.output)
    if labels:
        most = tuple(str(name) for name, _ in labels.most_common(MOST_CLASSES - 1))
        classes = (*most, OTHERS)
        found.append((LABEL, classes, Reader(classes).labels(records)))
    if any(one.answer for one in records):
        found += [(name, YES_NO, values) for name, values in Reader(("",)).behaviours(records).items()]
    return [one for one in found if one[0] != LABEL or len(numpy.unique(one[2])) > 1]


def _head(
    name: str, classes: tuple[str, ...], values: Array, read: tuple[Array, Array, int], words: Vocabulary
) -> Head:
    numbers, owner, counted = read
    mine = owner < counted
    made = learn(numbers[mine], owner[mine], values[:counted], len(classes), len(words.names))
    later = ~mine
    scores = made.scores(numbers[later], owner[later] - counted, len(values) - counted)
    loss = made.fit(scores, values[counted:])
    seen = numpy.bincount(numbers[mine], minlength=len(words.names))
    strong = []
    for number in range(len(classes)):
        order = numpy.argsort(-numpy.where(seen >= _STRONG_SEEN, made.weights[:, number], -numpy.inf), kind="stable")
        best = [one for one in order[:_STRONG].tolist() if seen[one] >= _STRONG_SEEN and made.weights[one, number] > 0]
        strong.append(tuple(words.names[one] for one in best))
    return Head(
        name=name, classes=classes, weights=made.weights.tobytes(), prior=tuple(made.prior.tolist()),
        temperature=made.temperature, floor=made.floor, loss=loss, strong=tuple(strong),
    )  # fmt: skip


def _bands(records: Sequence[Record], outputs: list[Any]) -> list[Band]:
    found = [_band(name, classes, values) for name, classes, values in outputs]
    for name in NUMBERS:
        values = numpy.array([getattr(one, name) for one in records], dtype=numpy.float64)
        if (values >= 0).mean() > 0.5:
            edges = numpy.unique(numpy.quantile(values[values >= 0], numpy.linspace(0, 1, _BINS + 1)[1:-1]))
            if len(edges):
                found.append(_band(name, number_parts(edges), number_bins(values, edges), tuple(edges.tolist())))
    return found


def _new_words(numbers: Array, owner: Array, counted: int, records: int, signs: int) -> Band:
    """How many records hold a word that the counted part does not."""
    early = numpy.bincount(numbers[owner < counted], minlength=signs) > 0
    late = owner >= counted
    fresh = numpy.zeros(records, dtype=numpy.int64)
    fresh[owner[late][~early[numbers[late]]]] = 1
    return _band(NEW_WORDS, YES_NO, fresh[counted:])


def _band(signal: str, parts: tuple[str, ...], values: Array, edges: tuple[float, ...] = ()) -> Band:
    counts = numpy.bincount(values, minlength=len(parts))
    return Band(signal=signal, parts=parts, counts=tuple(counts.tolist()), edges=edges)


def number_bins(values: Array, edges: Array) -> Array:
    """The part that each number falls into; the last part is for those that are not known."""
    return numpy.where(values < 0, len(edges) + 1, numpy.searchsorted(edges, values, side="right"))


def number_parts(edges: Array) -> tuple[str, ...]:
    """Names of the parts between limits."""
    shown = [f"{one:.3g}" for one in edges.tolist()]
    return (
        f"below {shown[0]}",
        *(f"{a} to {b}" for a, b in pairwise(shown)),
        f"from {shown[-1]}",
        "not known",
    )


def bands_of(band_: Band, slack: float) -> tuple[Array, Array, Array]:
    """(low, high, usual) of a distribution."""
    return band(numpy.array(band_.counts, dtype=numpy.float64), slack)


def _spread(records: Sequence[Record], most: int) -> list[Record]:
    """Some of the records, each input once, the same ones each time: in the order of a checksum, as logs alternate and repeat."""
    distinct = list({(one.text, one.features): one for one in records}.values())
    distinct.sort(key=lambda one: crc32(f"{one.text} {one.features}".encode("utf-8", "replace")))
    # A label may be of numpy's own kind of text, which no file knows.
    return [replace(one, text=str(one.text), output=str(one.output)) for one in distinct[:most]]
