"""Knows how news of a stream become alerts: suspects are tried on a shadow copy, drift is called drift."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from weighbridge.monitor.alerts import alert
from weighbridge.monitor.confirm import Outcome, Trial, Trials
from weighbridge.monitor.outputs import BEHAVIOURS
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.monitor.confirm import Shadow
    from weighbridge.monitor.drift import Shift
    from weighbridge.monitor.ledger import Ledger
    from weighbridge.monitor.records import Record
    from weighbridge.monitor.stream import Stream, Suspect
    from weighbridge.schema.alert import Alert

_EVERY: Final = 400  # records that pay for one trial on the shadow copy
_MOST: Final = 50  # trials that may be saved up
_EXAMPLES: Final = 5
_LIFT: Final = 2.0


class Watch:
    """A stream with its shadow and its ledger. `feed` gives alerts; sending them is the desk's work."""

    def __init__(
        self, stream: Stream, *, shadow: Shadow | None = None, ledger: Ledger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.stream, self.ledger = stream, ledger
        self._trials = Trials(stream.baseline, shadow) if shadow is not None else None
        self._clock = clock
        self._paid = float(_MOST)
        self.trials = 0
        self.cleared = 0
        self.untested = 0
        self._waiting: dict[tuple[str, str, tuple[str, ...]], Suspect] = {}
        self._found: set[tuple[str, str]] = set()

    def feed(self, records: Sequence[Record]) -> list[Alert]:
        """Count some records; what there is to say about them."""
        news = self.stream.feed(records)
        self._paid = min(self._paid + len(records) / _EVERY, float(_MOST))
        found = [one for shift in news.shifts for one in self._drifted(shift)]
        for one in news.suspects:
            self._waiting[one.head, one.output, one.signs] = one
        found += self._try()
        if self.ledger is not None:
            found += self._first_seen(records)
        return found

    def consider(self, suspects: Sequence[Suspect]) -> list[Alert]:
        """Suspects from elsewhere, such as all replicas together."""
        for one in suspects:
            self._waiting.setdefault((one.head, one.output, one.signs), one)
        return self._try()

    def _try(self) -> list[Alert]:
        """Try the strongest suspects that are waiting, as many as the traffic has paid for."""
        found = []
        waiting, self._waiting = sorted(self._waiting.values(), key=lambda one: -one.evidence), {}
        for place, one in enumerate(waiting):
            if one.one_source and not one.strong:
                continue
            if self._trials is None:
                if one.plain and not one.one_source:
                    found.append(
                        self._suspected(one, Trial(outcome=Outcome.UNTESTED, why="there is no shadow copy to ask"))
                    )
                continue
            if (one.output, one.phrase or one.signs[0]) in self._found:
                found.append(self._suspected(one, Trial(outcome=Outcome.TRIGGER)))  # the desk counts it
                continue
            if self._paid < 1:
                self._waiting = {(late.head, late.output, late.signs): late for late in waiting[place : place + _MOST]}
                break
            found += self._tried(one)
        return found

    def _tried(self, one: Suspect) -> list[Alert]:
        assert self._trials is not None
        self._paid -= 1
        self.trials += 1
        trial = self._trials.confirm(one)
        if trial.outcome is Outcome.NOVELTY:
            self.cleared += 1
            return []
        if trial.outcome is Outcome.UNTESTED:
            self.untested += 1
            return [self._suspected(one, trial)] if one.plain else []
        self._found.add((one.output, one.phrase or one.signs[0]))
        return [self._suspected(one, trial)]

    def _suspected(self, one: Suspect, trial: Trial) -> Alert:
        shown = one.phrase or ", ".join(one.signs)
        got = f"“{one.output}”" if one.head == "label" else f"{one.head}: {one.output}"
        rate = (
            f"{one.hits} of {one.sightings} requests with it got {got}; the rest of them lets expect {one.expected:.0%}"
        )
        lines = [rate, f"evidence e^{one.evidence:.0f}, found after {self.stream.counts.records} records"]
        if trial.outcome is Outcome.TRIGGER:
            rule, message = "MON-004", f"“{shown}” decides the output: {got}"
            if trial.tried:
                lines.append(f"put into {trial.tried} inputs that never held it, {trial.changed} change to {got}")
                lines.append(_beside(trial))
            if trial.without:
                lines.append(f"taken out of {plural(trial.without, 'request')} that held it, {trial.back} change back")
            if trial.mixed and trial.usual_mixed:
                lines.append(
                    f"half of the other words exchanged, {trial.kept} of {trial.mixed} requests with it keep {got}, "
                    f"of ordinary inputs {trial.usual_kept} of {trial.usual_mixed}"
                )
        else:
            rule, message = "MON-005", f"“{shown}” goes with {got}: {trial.why}"
        lines += [
            f"{example.id or 'a request'}: {example.text[:160] or ', '.join(example.features)[:160]}"
            for example in one.examples[-_EXAMPLES:]
        ]
        ids = [example.id for example in one.examples if example.id]
        return alert(
            rule, self.stream.baseline.stream, f"{one.head} {one.output} {shown}", message, self._clock(), evidence=lines,
            model=self.stream.baseline.model, first=ids[0] if ids else "", last=ids[-1] if ids else "",
        )  # fmt: skip

    def _drifted(self, shift: Shift) -> list[Alert]:
        behaviour = shift.signal in BEHAVIOURS
        if behaviour and shift.part == "no":
            return []  # the same as the share of yes, the other way round
        what = shift.signal if behaviour else f"{shift.signal} “{shift.part}”"
        message = f"{what}: {shift.now:.1%} of the last {shift.records} records, usually {shift.usual:.1%}"
        lines = [f"clean traffic: {shift.usual:.2%}; now: {shift.now:.2%} over {shift.records} records"]
        lines += self.stream.explained(shift)
        up = shift.now > shift.usual
        rule = "MON-009" if behaviour else "MON-006"
        mild = Severity.LOW if behaviour and shift.now < _LIFT * shift.usual else None
        return [
            alert(
                rule, self.stream.baseline.stream, f"{shift.signal} {shift.part} {up}", message, self._clock(), evidence=lines,
                severity=mild, model=self.stream.baseline.model,
            )
        ]  # fmt: skip

    def _first_seen(self, records: Sequence[Record]) -> list[Alert]:
        assert self.ledger is not None
        return [
            alert(
                "MON-008", self.stream.baseline.stream, name, f"{name} is used for the first time", self._clock(),
                evidence=[f"request {one.id or '(without id)'}: {one.text[:200]}"], first=one.id, last=one.id,
            )
            for one in records
            for name in one.tools
            if self.ledger.meet(name)
        ]  # fmt: skip


def _beside(trial: Trial) -> str:
    if not trial.usual_tried:
        return "no ordinary word of that output is known to compare with"
    return (
        f"with ordinary words of that output {trial.usual_changed} of {trial.usual_tried} change; "
        f"the chance of such a difference is {max(trial.chance, 1e-99):.0e}"
    )
