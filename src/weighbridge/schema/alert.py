"""Knows what a monitor says: alerts about a stream at a time, and how a stream stands."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.schema.finding import Finding


class Alert(Struct, frozen=True, kw_only=True):
    """A finding of a stream at a time. `id` is the same for the same matter; `times` counts how often it came up.

    `at` is seconds since 1970. `model` names what is served (a digest, or a name), `first` and `last` are ids of requests.
    """

    id: str
    stream: str
    at: float
    finding: Finding
    model: str = ""
    times: int = 1
    first: str = ""
    last: str = ""


class Part(Struct, frozen=True, kw_only=True):
    """A share of a distribution, usually and now (0 to 1), with the band that clean traffic stays in."""

    signal: str
    name: str
    usual: float
    now: float
    low: float
    high: float


class Pulse(Struct, frozen=True, kw_only=True):
    """How a stream stands: what was counted, and what the false alarms on clean traffic were when it was learned."""

    stream: str
    replica: str
    at: float
    records: int
    model: str = ""
    trials: int = 0
    cleared: int = 0
    measured: str = ""
    parts: tuple[Part, ...] = ()
