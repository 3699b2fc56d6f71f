"""Knows one stream of requests: what it has counted, what became suspicious in it, what drifted. Memory does not grow."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.monitor.associations import SUSPECT, Associations, Example, Tie
from weighbridge.monitor.baseline import NEW_WORDS, Baseline, bands_of, number_bins
from weighbridge.monitor.drift import RUN, Shares, Shift, mark_of
from weighbridge.monitor.outputs import LABEL, Reader
from weighbridge.monitor.phrases import one_source, phrase_of, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.monitor.records import Record

Array = Any
BATCH: Final = 8_192
_RECENT: Final = 1 << 17
_AGAIN: Final = 10.0  # a suspect that was cleared is told again with this much more evidence
_FORGET: Final = 0.5  # of the room is made when it is crowded
_JUMP: Final = 3600.0
_FIRST_WEIGHT: Final = 16.0
_LATELY: Final = 4096
_EXAMPLES: Final = 4  # to tell a sign from one text that comes again and again


class Suspect(Struct, frozen=True, kw_only=True):
    """Signs that go with an output. `phrase` is what the examples share around them, `strong` that chance is excluded.

    `plain` says that it would be excluded even if the output's odds were twice what the words around the sign let expect.
    `one_source` says that the examples are one text in many versions, which shows what the model makes of that text.
    """

    head: str
    output: str
    signs: tuple[str, ...]
    phrase: str
    evidence: float
    sightings: int
    hits: int
    expected: float
    strong: bool = False
    plain: bool = False
    one_source: bool = False
    examples: tuple[Example, ...] = ()

    @property
    def rate(self) -> float:
        """How often the output came with the signs."""
        return self.hits / max(self.sightings, 1)


class News(Struct, frozen=True, kw_only=True):
    """What a batch brought."""

    suspects: tuple[Suspect, ...] = ()
    shifts: tuple[Shift, ...] = ()


class Counts(Struct, kw_only=True):
    """What has come since the stream began. `repeated` inputs say nothing new and were not counted for ties."""

    records: int = 0
    repeated: int = 0
    duplicates: int = 0
    late: int = 0
    jumps: int = 0
    first: float = 0.0
    last: float = 0.0


class Watched:
    """One output of the stream with its expectation and its ties."""

    def __init__(self, baseline: Baseline, name: str) -> None:
        head = baseline.head(name)
        assert head is not None
        self.name, self.classes = name, head.classes
        self.expectation = head.expectation()
        self.ties = Associations(baseline.capacity, len(head.classes))
        self.ties.watched[list(baseline.common)] = False
        self.told: dict[tuple[int, int], float] = {}
        self.lately = self.expectation.prior.copy()


class Stream:
    """The state of one stream. Feed it batches in any size; larger ones are faster."""

    def __init__(self, baseline: Baseline, *, run: float = RUN) -> None:
        self.baseline = baseline
        self.words = baseline.vocabulary()
        self.heads = {one.name: Watched(baseline, one.name) for one in baseline.heads}
        label = baseline.head(LABEL)
        self._reader = Reader(label.classes if label else ("",))
        self._edges = {one.signal: numpy.array(one.edges) for one in baseline.bands}
        self.shares = {
            one.signal: Shares(one.signal, one.parts, *bands_of(one, baseline.slack)) for one in baseline.bands
        }
        self.mark = mark_of(sum(one.tests for one in self.shares.values()), run)
        self.counts = Counts()
        self._common = frozenset(baseline.common)
        self._texts = numpy.zeros(_RECENT, dtype=numpy.int64)
        self._ids = numpy.zeros(_RECENT, dtype=numpy.int64)
        self._seen = numpy.zeros(baseline.capacity, dtype=numpy.int64)

    def feed(self, records: Sequence[Record]) -> News:
        """Count a batch, in the order of its requests."""
        suspects: list[Suspect] = []
        shifts: list[Shift] = []
        for first in range(0, len(records), BATCH):
            news = self._batch(records[first : first + BATCH])
            suspects += news.suspects
            shifts += news.shifts
        return News(suspects=tuple(suspects), shifts=tuple(shifts))

    def _batch(self, records: Sequence[Record]) -> News:
        records = self._once(records)
        if not records:
            return News()
        self._clock(records)
        numbers, owner, digests = self.words.digested(records)
        self._seen[numbers] = self.counts.records
        fresh = _unseen(digests, self._texts)  # the same input again is no new sighting
        self.counts.repeated += int((~fresh).sum())
        outputs = self._reader.behaviours(records) if len(self.heads) > (LABEL in self.heads) else {}
        if LABEL in self.heads:
            outputs[LABEL] = self._reader.labels(records)
        suspects = [
            one
            for name, head in self.heads.items()
            for one in self._ties(head, records, numbers, owner, outputs[name], fresh)
        ]
        shifts = self._shifts(records, outputs, numbers, owner)
        if self.words.crowded:
            self._make_room()
        return News(suspects=tuple(suspects), shifts=tuple(shifts))

    def _once(self, records: Sequence[Record]) -> Sequence[Record]:
        """Without records that came twice, told by their id."""
        if not any(one.id for one in records[:64]):
            return records
        keys = numpy.fromiter([hash(one.id) for one in records], dtype=numpy.int64, count=len(records))
        new = _unseen(keys, self._ids) | (keys == 0)  # 0 is the hash of no id
        self.counts.duplicates += int((~new).sum())
        return records if new.all() else [records[place] for place in numpy.flatnonzero(new).tolist()]

    def _clock(self, records: Sequence[Record]) -> None:
        at = numpy.fromiter([one.at for one in records], dtype=numpy.float64, count=len(records))
        self.counts.records += len(records)
        at = at[at > 0]
        if not len(at):
            return
        before = numpy.concatenate([[self.counts.last or at[0]], at[:-1]])
        self.counts.late += int((at < before).sum())
        self.counts.jumps += int((numpy.abs(at - before) > _JUMP).sum())
        self.counts.first = self.counts.first or float(at[0])
        self.counts.last = float(at[-1])

    def _ties(
        self, head: Watched, records: Sequence[Record], numbers: Array, owner: Array, outputs: Array, fresh: Array
    ) -> list[Suspect]:
        expectation = head.expectation
        expected = expectation.probabilities(expectation.scores(numbers, owner, len(records)))
        weight = min(len(records) / _LATELY, 1.0)
        head.lately += weight * (expected.mean(axis=0) - head.lately)
        mine = expected[numpy.arange(len(records)), outputs]
        counted = fresh[owner]
        if not counted.all():
            numbers, owner = numbers[counted], owner[counted]
        found = head.ties.add(numbers, owner, outputs, mine)
        if not found:
            return []

        def told(row: int) -> tuple[str, int, float]:
            number = int(outputs[row])
            # What the baseline does not know has no name there, but the record has one.
            name = records[row].output if head.name == LABEL else head.classes[number]
            return name, number, float(mine[row])

        head.ties.remember(found, numbers, owner, records, told)
        return self._suspects(head, found)

    def _suspects(self, head: Watched, ties: Sequence[Tie]) -> list[Suspect]:
        """Ties that are new, or have grown since they were told; those that share their examples are one suspect."""
        new = [
            one
            for one in ties
            if one.evidence > max(SUSPECT, head.told.get((one.sign, one.output), -_AGAIN) + _AGAIN)
            and (
                len(head.ties.examples.get((one.sign, one.output), ())) >= _EXAMPLES
                or one.evidence > self._certain(head, one.sign)
            )
        ]
        found = []
        for group in together(new, head.ties.examples):
            first = group[0]
            for one in group:
                head.told[one.sign, one.output] = one.evidence
            examples = tuple(head.ties.examples.get((first.sign, first.output), ()))
            names = tuple(self.words.names[one.sign] for one in group)
            usual = sum(one.expected for one in examples) / len(examples) if examples else first.expected
            named = [one.output for one in examples]
            output = max(set(named), key=named.count) if named else head.classes[first.output]
            found.append(
                Suspect(
                    head=head.name, output=output, signs=names, phrase=phrase_of(names, examples), evidence=first.evidence,
                    sightings=first.sightings, hits=first.hits, expected=usual, examples=examples,
                    strong=first.evidence > self._certain(head, first.sign),
                    plain=first.with_twice_the_odds > self._certain(head, first.sign),
                    one_source=one_source(names, examples, self._is_common),
                )
            )  # fmt: skip
        return found

    def _is_common(self, word: str) -> bool:
        return self.words.find(word) in self._common

    def explained(self, shift: Shift) -> list[str]:
        """Whether the inputs explain the share of a label: what they let expect lately."""
        head = self.heads.get(shift.signal)
        if head is None or head.name != LABEL or shift.part not in head.classes:
            return []
        place = head.classes.index(shift.part)
        lately, usual = float(head.lately[place]), float(head.expectation.prior[place])
        moved, by_inputs = shift.now - shift.usual, lately - usual
        how = (
            "the inputs changed in the same way"
            if by_inputs * moved > 0 and abs(by_inputs) > abs(moved) / 3
            else "the inputs did not change with it"
        )
        return [f"{how}: their words let expect {lately:.1%} lately, {usual:.1%} in clean traffic"]

    def review(self) -> list[Suspect]:
        """Every tie in the tables that chance is excluded for, whenever it was counted."""
        found = []
        for head in self.heads.values():
            signs, outputs = numpy.nonzero(head.ties.surprise > SUSPECT)
            ties = head.ties.strongest(signs, outputs)
            found += self._suspects(head, [one for one in ties if one.evidence > self._certain(head, one.sign)])
        return found

    def _certain(self, head: Watched, sign: int) -> float:
        """The evidence from which on chance is excluded: 1 in 100 over all signs that ever came, and all outputs."""
        born = float(self.words.born[sign])
        return float(
            numpy.log(100 * len(head.classes)) + numpy.log(born + 1) + 2 * numpy.log(numpy.log2(born + _FIRST_WEIGHT))
        )

    def _shifts(
        self, records: Sequence[Record], outputs: dict[str, Array], numbers: Array, owner: Array
    ) -> list[Shift]:
        found = []
        for signal, shares in self.shares.items():
            if signal in outputs:
                values = outputs[signal]
            elif signal == NEW_WORDS:
                values = numpy.zeros(len(records), dtype=numpy.int64)
                values[owner[numbers >= self.words.held]] = 1
            else:
                given = numpy.fromiter(map(attrgetter(signal), records), dtype=numpy.float64, count=len(records))
                values = number_bins(given, self._edges[signal])
            found += shares.add(values, self.mark)
        return found

    def _make_room(self) -> None:
        """Forget the signs that were not seen for longest and speak for nothing."""
        spare = numpy.arange(self.words.held, len(self.words.names))
        quiet = numpy.all([head.ties.quiet(spare) for head in self.heads.values()], axis=0)
        spare = spare[quiet]
        order = spare[numpy.argsort(self._seen[spare], kind="stable")]
        gone = order[: int(len(order) * _FORGET) + 1]
        self.words.forget(gone.tolist())
        for head in self.heads.values():
            head.ties.forget(gone)
            lost = set(gone.tolist())
            head.told = {key: value for key, value in head.told.items() if key[0] not in lost}


def _unseen(keys: Array, table: Array) -> Array:
    """Which keys are not in a table of the most recent ones, and put them there; a key twice in a batch is seen the second time."""
    places = keys % len(table)
    new = table[places] != keys
    table[places] = keys
    order = numpy.arange(len(keys))
    first = numpy.empty(len(table), dtype=numpy.int64)
    first[places[::-1]] = order[::-1]  # the last to be written stays: the first of the batch
    before = first[places]
    return new & ((before == order) | (keys[before] != keys))


__all__ = ["BATCH", "SUSPECT", "Counts", "News", "Stream", "Suspect"]
