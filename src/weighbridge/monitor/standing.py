"""Knows how a running monitor shows itself over HTTP: counters for Prometheus, and whether it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.monitor.metrics import exposition

if TYPE_CHECKING:
    from weighbridge.monitor.middleware import Receive, Scope, Send, Watched
    from weighbridge.monitor.service import Monitor

METRICS: Final = "/weighbridge/metrics"
HEALTH: Final = "/weighbridge/health"


class Standing:
    """An ASGI application around another: two addresses of its own, everything else is passed on."""

    def __init__(self, app: Watched, monitor: Monitor) -> None:
        self._app, self._monitor = app, monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http" or scope["path"] not in {METRICS, HEALTH}:
            await self._app(scope, receive, send)
            return
        body = self._page() if scope["path"] == METRICS else b"lives\n"
        headers = [
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _page(self) -> bytes:
        exchanges = self._app.exchanges
        more = {"dropped": exchanges.recorder.dropped, "failed": exchanges.recorder.failed, "unread": exchanges.unread}
        return exposition(self._monitor.watch, self._monitor.desk.told, more).encode()
