"""Knows how a stream outlives its process, and how the streams of several replicas become one: their counts are added."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy
from msgspec import Struct

from weighbridge.monitor import baseline as baselines
from weighbridge.monitor.stream import Counts, Stream
from weighbridge.schema import SourceError, UsageError
from weighbridge.schema.alert import Alert
from weighbridge.source.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.monitor.baseline import Baseline

Array = Any
VERSION: Final = 1
_LARGEST: Final = 512 << 20


class Table(Struct, frozen=True, kw_only=True):
    """One head: rows of signs that were seen, as numbers little-endian (sightings, hits: int32; surprise: float32)."""

    head: str
    signs: tuple[str, ...]
    sightings: bytes
    hits: bytes
    surprise: bytes
    told: tuple[tuple[str, int, float], ...]
    lately: tuple[float, ...]


class Level(Struct, frozen=True, kw_only=True):
    """One distribution: how often each part came, and the bets that run."""

    signal: str
    counts: tuple[int, ...]
    level: bytes


class Kept(Struct, frozen=True, kw_only=True):
    """A stream as it was; `baseline` is the digest of what it was measured against."""

    version: int = VERSION
    baseline: str
    counts: Counts
    arrivals: int
    tables: tuple[Table, ...]
    levels: tuple[Level, ...]
    alerts: tuple[Alert, ...] = ()
    at: float = 0.0


def mark_of(baseline: Baseline) -> str:
    """The digest that ties a state to its baseline."""
    return hashlib.sha256(baselines.dump(baseline)).hexdigest()


def dump(stream: Stream, alerts: Iterable[Alert] = (), at: float = 0.0) -> bytes:
    """As a file."""
    tables = []
    for head in stream.heads.values():
        ties = head.ties
        seen = numpy.flatnonzero(ties.sightings[: len(stream.words.names)])
        names = stream.words.names
        tables.append(
            Table(
                head=head.name, signs=tuple(names[number] for number in seen.tolist()),
                sightings=ties.sightings[seen].astype("<i4").tobytes(), hits=ties.hits[seen].astype("<i4").tobytes(),
                surprise=ties.surprise[seen].astype("<f4").tobytes(),
                told=tuple((names[sign], output, value) for (sign, output), value in head.told.items()),
                lately=tuple(head.lately.tolist()),
            )
        )  # fmt: skip
    levels = tuple(
        Level(signal=one.signal, counts=tuple(one.counts.tolist()), level=one.level.astype("<f8").tobytes())
        for one in stream.shares.values()
    )
    return msgspec.msgpack.encode(
        Kept(
            baseline=mark_of(stream.baseline), counts=stream.counts, arrivals=stream.words.arrivals, tables=tuple(tables),
            levels=levels, alerts=tuple(alerts), at=at,
        )
    )  # fmt: skip


def load(data: bytes, baseline: Baseline, name: str) -> Kept:
    """From a file. Raises UsageError where it is none, or belongs to another baseline."""
    hint = "move it away: the stream begins anew, and what was told is told again"
    try:
        kept = msgspec.msgpack.decode(data, type=Kept)
        for table in kept.tables:
            _rows(table, len(_head(baseline, table.head).classes))
    except (msgspec.DecodeError, ValueError, KeyError, RecursionError) as error:
        raise UsageError(f"{name}: not the state of a stream: {error}", hint=hint) from error
    if kept.version != VERSION or kept.baseline != mark_of(baseline):
        raise UsageError(f"{name}: the state of a stream with another baseline", hint=hint)
    return kept


def take(stream: Stream, kept: Kept) -> None:
    """Add what was kept to a stream: its own past, or what a replica has seen."""
    stream.counts.records += kept.counts.records
    stream.counts.repeated += kept.counts.repeated
    stream.counts.duplicates += kept.counts.duplicates
    stream.counts.late += kept.counts.late
    stream.counts.jumps += kept.counts.jumps
    stream.counts.first = min(one for one in (stream.counts.first or kept.counts.first, kept.counts.first))
    stream.counts.last = max(stream.counts.last, kept.counts.last)
    for table in kept.tables:
        head = stream.heads[table.head]
        sightings, hits, surprise = _rows(table, len(head.classes))
        numbers = numpy.array([stream.words.sign(name) for name in table.signs], dtype=numpy.int64)
        there = numbers >= 0
        numpy.add.at(head.ties.sightings, numbers[there], sightings[there])
        numpy.add.at(head.ties.hits, numbers[there], hits[there])
        numpy.add.at(head.ties.surprise, numbers[there], surprise[there])
        for name, output, value in table.told:
            sign = stream.words.find(name)
            if sign >= 0:
                head.told[sign, output] = max(value, head.told.get((sign, output), 0.0))
        head.lately[:] = table.lately
    stream.words.arrivals = max(stream.words.arrivals, kept.arrivals)
    for one in kept.levels:
        shares = stream.shares.get(one.signal)
        if shares is not None and len(one.level) == 8 * shares.level.size and len(one.counts) == len(shares.counts):
            shares.counts += numpy.array(one.counts, dtype=numpy.int64)
            shares.level = numpy.maximum(shares.level, numpy.frombuffer(one.level, "<f8").reshape(shares.level.shape))


def _head(baseline: Baseline, name: str) -> Any:
    found = baseline.head(name)
    if found is None:
        raise KeyError(name)
    return found


def _rows(table: Table, classes: int) -> tuple[Array, Array, Array]:
    sightings = numpy.frombuffer(table.sightings, "<i4")
    hits = numpy.frombuffer(table.hits, "<i4").reshape(-1, classes)
    surprise = numpy.frombuffer(table.surprise, "<f4").reshape(-1, classes)
    if not len(table.signs) == len(sightings) == len(hits) == len(surprise) or len(table.lately) != classes:
        raise ValueError("its tables do not fit together")
    if (sightings < 0).any() or (hits < 0).any() or not numpy.isfinite(surprise).all():
        raise ValueError("it counts what cannot be")
    return sightings, hits, surprise


class Folder:
    """Where replicas meet: a folder with one file for each. A file appears as a whole or not at all."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(path, exist_ok=True)

    def put(self, stream: str, replica: str, data: bytes) -> None:
        """Keep the state of a replica. Raises SourceError."""
        try:
            write_whole(os.path.join(self._path, f"{_safe(stream)}.{_safe(replica)}.state"), data)
        except OSError as error:
            raise SourceError(
                f"{self._path}: {(error.strerror or str(error)).lower()}",
                hint="make room for it, or name another place",
            ) from error

    def others(self, stream: str, replica: str) -> list[bytes]:
        """What the other replicas of a stream have kept."""
        mine, begin = f"{_safe(stream)}.{_safe(replica)}.state", f"{_safe(stream)}."
        found = []
        for name in sorted(os.listdir(self._path)):
            if name.startswith(begin) and name.endswith(".state") and name != mine:
                with open(os.path.join(self._path, name), "rb") as file:
                    found.append(file.read(_LARGEST + 1))
        return found

    def own(self, stream: str, replica: str) -> bytes | None:
        """What this replica kept before."""
        try:
            with open(os.path.join(self._path, f"{_safe(stream)}.{_safe(replica)}.state"), "rb") as file:
                return file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None


def _safe(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else f"%{ord(sign):x}" for sign in name) or "%"
