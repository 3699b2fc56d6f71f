"""Knows alerts: a finding of a stream at a time, told once and then counted, so that a flood is one line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from weighbridge.rules.finding import finding
from weighbridge.schema import Location
from weighbridge.schema.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from weighbridge.schema import Severity

QUIET: Final = 24 * 3600.0
_REMEMBERED: Final = 10_000


def alert(
    rule: str, stream: str, matter: str, message: str, at: float, *, member: str = "", evidence: Iterable[str] = (),
    severity: Severity | None = None, model: str = "", first: str = "", last: str = "",
) -> Alert:  # fmt: skip
    """An alert about `matter`, which tells it from others of the same rule and stream."""
    where = Location(path=(stream, member) if member else (stream,))
    made = finding(rule, where, message, evidence=evidence, severity=severity)
    number = hashlib.sha256(f"{rule}\0{stream}\0{matter}".encode()).hexdigest()[:16]
    return Alert(id=number, stream=stream, at=at, finding=made, model=model, first=first, last=last)


class Desk:
    """Lets each matter through once in `quiet` seconds, and again when it became worse; counts the rest."""

    def __init__(self, sinks: Iterable[Callable[[Alert], None]] = (), *, quiet: float = QUIET) -> None:
        self._sinks = list(sinks)
        self._quiet = quiet
        self._told: dict[str, Alert] = {}
        self.failed: dict[str, int] = {}

    def take(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that are news; they have gone to every sink that took them."""
        news = []
        for one in alerts:
            before = self._told.get(one.id)
            times = before.times + 1 if before else 1
            worse = before is not None and one.finding.severity.rank < before.finding.severity.rank
            known = before is not None and 0 <= one.at - before.at < self._quiet and not worse
            # What was told stays as it was told: the later alert may know less, such as how the trial went.
            kept = (
                msgspec.structs.replace(before, times=times, last=one.last)
                if known and before
                else msgspec.structs.replace(one, times=times)
            )
            if len(self._told) >= _REMEMBERED and one.id not in self._told:
                self._told.pop(next(iter(self._told)))
            self._told[one.id] = kept
            if not known:
                news.append(kept)
                self._send(kept)
        return news

    def _send(self, one: Alert) -> None:
        for sink in self._sinks:
            try:
                sink(one)
            except (
                OSError,
                ValueError,
                msgspec.MsgspecError,
            ) as error:  # an alert that one sink loses goes to the others
                name = type(sink).__name__
                self.failed[name] = self.failed.get(name, 0) + 1
                self.failed[f"{name}: {error}"[:200]] = 1

    @property
    def told(self) -> tuple[Alert, ...]:
        """Everything that was told, with its count."""
        return tuple(self._told.values())

    def remember(self, told: Iterable[Alert]) -> None:
        """What was told before a restart."""
        self._told.update({one.id: one for one in told})
