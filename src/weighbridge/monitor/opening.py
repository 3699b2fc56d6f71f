"""Knows how a monitor is put together from what people name: files, addresses, places."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from weighbridge.monitor import baseline as baselines
from weighbridge.monitor import ledger as ledgers
from weighbridge.monitor.endpoint import open_endpoint, shadow_of
from weighbridge.monitor.service import Monitor
from weighbridge.monitor.sinks import open_sink
from weighbridge.monitor.state import Folder
from weighbridge.schema import SourceError, Unavailable, UsageError
from weighbridge.source.blob import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.monitor.baseline import Baseline
    from weighbridge.monitor.confirm import Shadow
    from weighbridge.monitor.service import Place
    from weighbridge.schema.alert import Alert

_LARGEST = 512 << 20


def open_monitor(
    baseline: str, *, place: str = "", replica: str = "", shadow: str | Shadow = "", alerts: Sequence[str | Callable[[Alert], None]] = (),
    ledger: str = "", **more: Any,
) -> Monitor:  # fmt: skip
    """A monitor with the baseline of a file. `place` is a folder or the address of a database in which replicas meet.

    `shadow` is the address of a copy that serves nobody, or a function from records to records; `alerts` are addresses
    (see `sinks.open_sink`) or functions. Raises UsageError, SourceError, Unavailable.
    """
    learned = read_baseline(baseline)
    asked = shadow_of(open_endpoint(shadow)) if isinstance(shadow, str) and shadow else shadow or None
    return Monitor(
        learned,
        place=open_place(place),
        replica=replica or socket.gethostname(),
        shadow=asked if not isinstance(asked, str) else None,
        sinks=[open_sink(one) if isinstance(one, str) else one for one in alerts],
        ledger=ledgers.load(read(ledger), ledger) if ledger else None,
        **more,
    )


def open_place(name: str) -> Place | None:
    """A folder, or a database where it is an address. Raises SourceError, Unavailable."""
    if not name:
        return None
    if "://" not in name:
        try:
            return Folder(name)
        except OSError as error:
            raise SourceError(
                f"{name}: {(error.strerror or str(error)).lower()}", hint="choose another place"
            ) from error
    try:
        from weighbridge.monitor.database import Database  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable(
            f"a database needs the extra registry ({error.name})", hint="pip install 'weighbridge[registry]'"
        ) from error
    return Database(name)


def read_baseline(path: str) -> Baseline:
    """Raises UsageError, SourceError."""
    return baselines.load(read(path), path)


def read(path: str) -> bytes:
    """A file of ours. Raises SourceError, UsageError."""
    try:
        if os.path.getsize(path) > _LARGEST:
            raise UsageError(f"{path}: larger than such a file can be", hint="check the path")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error
