"""Knows what a monitor counts, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from weighbridge.monitor.watch import Watch
    from weighbridge.schema.alert import Alert


def exposition(watch: Watch, alerts: Iterable[Alert], more: Mapping[str, int] | None = None) -> str:
    """The page. `more` are further counters, such as records that were dropped."""
    stream = watch.stream
    name = _quoted(stream.baseline.stream)
    rows = [
        ("records", "Records that were counted", stream.counts.records),
        ("repeated", "Inputs that came again and are no new evidence", stream.counts.repeated),
        ("duplicates", "Records that came twice, by their id", stream.counts.duplicates),
        ("late", "Records that came after a later one", stream.counts.late),
        ("trials", "Suspects that were tried on the shadow copy", watch.trials),
        ("cleared", "Suspects that the trial cleared", watch.cleared),
        ("untested", "Suspects that could not be tried", watch.untested),
        *((key, "Records that were not watched", value) for key, value in (more or {}).items()),
    ]
    lines = []
    for key, about, value in rows:
        full = f"weighbridge_monitor_{key}_total"
        lines += [f"# HELP {full} {about}", f"# TYPE {full} counter", f'{full}{{stream="{name}"}} {value}']
    lines += [
        "# HELP weighbridge_monitor_alerts_total Alerts by rule and severity",
        "# TYPE weighbridge_monitor_alerts_total counter",
    ]
    count: dict[tuple[str, str], int] = {}
    for one in alerts:
        key2 = (one.finding.rule, one.finding.severity.value)
        count[key2] = count.get(key2, 0) + one.times
    lines += [
        f'weighbridge_monitor_alerts_total{{stream="{name}",rule="{rule}",severity="{severity}"}} {times}'
        for (rule, severity), times in sorted(count.items())
    ]
    lines += [
        "# HELP weighbridge_monitor_share Share of each part of a distribution",
        "# TYPE weighbridge_monitor_share gauge",
    ]
    for shares in stream.shares.values():
        total = max(int(shares.counts.sum()), 1)
        lines += [
            f'weighbridge_monitor_share{{stream="{name}",signal="{_quoted(shares.signal)}",part="{_quoted(part)}"}} {number / total:.6g}'
            for part, number in zip(shares.parts, shares.counts.tolist(), strict=True)
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
