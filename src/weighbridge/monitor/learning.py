"""Knows how a baseline is learned and measured: what the monitor would have said of clean traffic it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from weighbridge.monitor.baseline import HELD_OUT, LEAST, Baseline, Measured, learn_baseline
from weighbridge.monitor.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.monitor.records import Record

_SLACKS: Final = (1.0, 1.5, 2.25, 3.4, 5.0)
_MEASURED: Final = 0.2
MOST: Final = 400_000


def learned(
    records: Sequence[Record], stream: str, *, model: str = "", held_out: int = HELD_OUT, pairs: bool = False
) -> Baseline:
    """A baseline from a clean replay; its bands are widened until the last fifth of the replay is quiet. Raises UsageError."""
    made = learn_baseline(records, stream, model=model, held_out=held_out, pairs=pairs)
    late = records[int(len(records) * (1 - _MEASURED)) :]
    for slack in _SLACKS:
        made = msgspec.structs.replace(made, slack=slack)
        found = measured(made, late)
        if not found.alarms:
            break
    return msgspec.structs.replace(made, measured=found)


def measured(baseline: Baseline, records: Sequence[Record]) -> Measured:
    """What a stream with this baseline says of clean records: alarms of drift, and suspects that chance is excluded for."""
    news = Stream(baseline).feed(records)
    return Measured(
        records=len(records),
        alarms=len(news.shifts),
        suspects=sum(one.strong and not one.one_source for one in news.suspects),
    )


def thinned(records: list[Record]) -> list[Record]:
    """Every second record once there are too many to hold; still in the order of their time."""
    return records[::2] if len(records) > MOST else records


__all__ = ["LEAST", "learned", "measured", "thinned"]
