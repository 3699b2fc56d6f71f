"""Knows whether what is served is still what was admitted, and whether it still behaves as it did then.

monitor = weighbridge.monitor.open_monitor("reviews.baseline", place="state/")
app = weighbridge.monitor.Watched(app, monitor.feed)          # an ASGI application
recorder = weighbridge.monitor.Recorder(monitor.feed)         # or anything: recorder.note(text, label, confidence)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weighbridge.monitor.middleware import Watched
    from weighbridge.monitor.opening import open_monitor
    from weighbridge.monitor.recorder import Recorder

_PLACES = {"Watched": "middleware", "open_monitor": "opening", "Recorder": "recorder"}
__all__ = ["Recorder", "Watched", "open_monitor"]


def __getattr__(name: str) -> Any:
    """What is asked for, loaded when it is: the guard and the command line need none of numpy."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    import importlib  # noqa: PLC0415  # see above

    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
