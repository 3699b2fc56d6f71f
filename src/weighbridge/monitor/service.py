"""Knows the whole monitor of one stream: it counts, tries, tells, keeps its state, and meets the other replicas."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from weighbridge.monitor import state as states
from weighbridge.monitor.alerts import Desk, alert
from weighbridge.monitor.process import watch
from weighbridge.monitor.served import Weights
from weighbridge.monitor.stream import Stream
from weighbridge.monitor.watch import Watch
from weighbridge.schema import UsageError, WeighbridgeError
from weighbridge.schema.alert import Alert, Part, Pulse
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from weighbridge.monitor.baseline import Baseline
    from weighbridge.monitor.confirm import Shadow
    from weighbridge.monitor.ledger import Ledger
    from weighbridge.monitor.process import Act, Profile
    from weighbridge.monitor.records import Record, Rejects

EVERY: Final = 30.0
_ACTS: Final = 1000


class Place(Protocol):
    """Where replicas meet: `state.Folder`, or `database.Database`."""

    def put(self, stream: str, replica: str, data: bytes) -> None:
        """Keep the state of a replica."""

    def others(self, stream: str, replica: str) -> list[bytes]:
        """What the others have kept."""

    def own(self, stream: str, replica: str) -> bytes | None:
        """What this one kept before."""


class Monitor:
    """One stream of one replica. Safe to be fed from several threads. `every` is seconds between two savings."""

    def __init__(
        self, baseline: Baseline, *, place: Place | None = None, replica: str = "1", shadow: Shadow | None = None,
        sinks: Iterable[Callable[[Alert], None]] = (), ledger: Ledger | None = None, every: float = EVERY,
        clock: Callable[[], float] = time.time, pulses: Callable[[Pulse], None] | None = None,
    ) -> None:  # fmt: skip
        """Raises UsageError where what was kept before belongs to another baseline or is damaged; it is left as it is."""
        self.baseline, self._place, self._replica, self._every, self._clock = baseline, place, replica, every, clock
        self.watch = Watch(Stream(baseline), shadow=shadow, ledger=ledger, clock=clock)
        self.desk = Desk(sinks)
        self._pulses = pulses
        self._lock = threading.Lock()
        self._saved = clock()
        self.left_out = 0
        self._weights: Weights | None = None
        self._arrays: Callable[[], Mapping[str, Any]] | None = None
        self._acts: deque[Act] = deque(maxlen=_ACTS)
        self._own = 0  # the thread that does the monitor's own work
        before = place.own(baseline.stream, replica) if place else None
        if before is not None:
            kept = states.load(before, baseline, "what was kept before")
            states.take(self.watch.stream, kept)
            self.desk.remember(kept.alerts)

    def feed(self, records: Sequence[Record]) -> list[Alert]:
        """Count records; the alerts that are news, which have gone to the sinks."""
        with self._lock:
            told = self.desk.take(self.watch.feed(records))
            now = self._clock()
            # A clock that was set back must not stop the saving.
            if not 0 <= now - self._saved < self._every:
                told += self._meet()
            return told

    def save(self) -> list[Alert]:
        """Keep the state, and look at what all replicas have seen together; alerts that come of it."""
        with self._lock:
            return self._meet()

    def hold(self, arrays: Callable[[], Mapping[str, Any]]) -> None:
        """From now on look, whenever the state is saved, whether weights in memory are those of this moment (see `Weights`)."""
        self._weights, self._arrays = Weights(arrays()), arrays

    def watch_process(self, profile: Profile) -> Callable[[], None]:
        """Tell what this process does that its profile does not know (see `process.watch`). The result ends it.

        What is new is told when the state is saved next: the act itself is not held up.
        """

        def told(act: Act) -> None:
            if threading.get_ident() != self._own:
                self._acts.append(act)

        return watch(profile, told)

    def _looked(self) -> list[Alert]:
        """What weights and the process say."""
        stream, found = self.baseline.stream, []
        if self._weights is not None and self._arrays is not None:
            now = self._arrays()
            changed = self._weights.changed(now)
            if changed:
                self._weights = Weights(now)  # told once; what changes next is told again
                message = f"{plural(len(changed), 'tensor')} in memory changed: {', '.join(changed[:5])}"
                found.append(
                    alert(
                        "MON-002",
                        stream,
                        message,
                        message,
                        self._clock(),
                        evidence=changed[:20],
                        model=self.baseline.model,
                    )
                )
        while self._acts:
            act = self._acts.popleft()
            found.append(
                alert(
                    "MON-007",
                    stream,
                    f"{act.kind} {act.what}",
                    f"a new {act.kind}: {act.what}",
                    self._clock(),
                    evidence=["seen by an audit hook"],
                )
            )
        return found

    def pulse(self) -> Pulse:
        """How the stream stands, for the registry's page."""
        stream, what = self.watch.stream, self.baseline.measured
        parts = []
        for shares in stream.shares.values():
            total = int(shares.counts.sum())
            for place, name in enumerate(shares.parts if total else ()):
                parts.append(
                    Part(
                        signal=shares.signal, name=name, usual=float(shares.usual[place]), now=float(shares.counts[place] / total),
                        low=float(shares.low[place]), high=float(shares.high[place]),
                    )
                )  # fmt: skip
        return Pulse(
            stream=self.baseline.stream, replica=self._replica, at=self._clock(), records=stream.counts.records, model=self.baseline.model,
            trials=self.watch.trials, cleared=self.watch.cleared, parts=tuple(parts),
            measured=f"{what.alarms} alarms and {what.suspects} suspects in {what.records} clean records",
        )  # fmt: skip

    def gaps(self, rejects: Rejects, dropped: int = 0) -> list[Alert]:
        """Say what was not watched, if anything."""
        counts = self.watch.stream.counts
        lines = [
            f"{count} {reason}, first at {rejects.first[reason]}" for reason, count in rejects.count.most_common(8)
        ]
        lines += [f"{dropped} dropped: the queue was full"] if dropped else []
        lines += [f"{counts.duplicates} came twice"] if counts.duplicates else []
        lines += [f"the clock jumped {counts.jumps} times by more than an hour"] if counts.jumps else []
        if not lines:
            return []
        missing = rejects.total + dropped
        message = f"{missing} records were not watched" if missing else "records came twice, or the clock jumped"
        with self._lock:
            return self.desk.take(
                [alert("MON-010", self.baseline.stream, "gaps", message, self._clock(), evidence=lines)]
            )

    def _meet(self) -> list[Alert]:
        self._saved, self._own = self._clock(), threading.get_ident()
        try:
            return [*self.desk.take(self._looked()), *self._meet_others()]
        finally:
            self._own = 0

    def _meet_others(self) -> list[Alert]:
        if self._pulses is not None:
            try:
                self._pulses(self.pulse())
            except (OSError, WeighbridgeError) as error:  # the page of the registry can wait
                self.desk.failed[f"pulse: {error}"[:200]] = 1
        if self._place is None:
            return []
        mine = states.dump(self.watch.stream, self.desk.told, self._saved)
        self._place.put(self.baseline.stream, self._replica, mine)
        together = Stream(self.baseline)
        met = 0
        for data in self._place.others(self.baseline.stream, self._replica):
            try:
                states.take(together, states.load(data, self.baseline, "the state of another replica"))
                met += 1
            except UsageError:
                self.left_out += 1  # of another edition, or half gone: it comes again when that replica saves
        if not met:
            return []
        states.take(together, states.load(mine, self.baseline, "our own state"))
        return self.desk.take(self.watch.consider(together.review()))
