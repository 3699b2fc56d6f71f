"""Knows two things about HTTP/1.1 that uvicorn does not: files sent by the kernel, and reason phrases that say something.

pip and uv print the reason phrase of a refusal, so it is where a developer reads why (RFC 9112, section 4).
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from weighbridge.registry.api.asking import REASON
from weighbridge.registry.api.bodies import SEND_FILE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

_PIECE: Final = 8 << 20


class Protocol(HttpToolsProtocol):
    """A connection whose responses are cycles of ours."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = _Cycle
        if self.scheme == "http":
            cycle.scope.setdefault("extensions", {})[SEND_FILE] = {}
        super()._start_asgi_task(cycle, app)


class _Cycle(RequestResponseCycle):
    """One response."""

    async def send(self, message: Any) -> None:
        """See ASGI 3; two kinds of messages more."""
        if message["type"] == SEND_FILE:
            await self._send_file(message["path"], message["start"], message["stop"])
        elif message["type"] == "http.response.start" and REASON in dict(message["headers"]):
            await self._start(message)
        else:
            await super().send(message)

    async def _start(self, message: Any) -> None:
        phrase = dict(message["headers"])[REASON]
        headers = [pair for pair in message["headers"] if pair[0] != REASON]
        transport = self.transport
        self.transport = _Phrased(transport, b"HTTP/1.1 %d %s" % (message["status"], phrase))  # type: ignore[assignment]
        try:
            message["headers"] = headers
            await super().send(message)
        finally:
            self.transport = transport

    async def _send_file(self, path: str, start: int, stop: int) -> None:
        loop = asyncio.get_running_loop()
        while self.transport.get_write_buffer_size() and not self.disconnected:  # noqa: ASYNC110
            # uvicorn tells nobody when its buffer is empty.
            await asyncio.sleep(0.001)
        if self.disconnected:
            return
        socket = os.dup(self.transport.get_extra_info("socket").fileno())
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while start < stop and not self.disconnected:
                try:
                    sent = await loop.run_in_executor(None, os.sendfile, socket, file, start, min(_PIECE, stop - start))
                except BlockingIOError:
                    await _writable(loop, socket)
                    continue
                if not sent:
                    break
                start += sent
        except (BrokenPipeError, ConnectionResetError):
            self.transport.close()
            return
        finally:
            os.close(file)
            os.close(socket)
        if start < stop:
            # The length was promised; a connection that ends says that this was not all of it.
            self.transport.close()
            return
        self.expected_content_length = 0
        await super().send({"type": "http.response.body", "body": b""})


class _Phrased:
    """Writes a status line of its own."""

    def __init__(self, transport: asyncio.Transport, line: bytes) -> None:
        self._transport, self._line = transport, line

    def write(self, data: bytes) -> None:
        """Write with the first line replaced."""
        self._transport.write(self._line + data[data.index(b"\r\n") :])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _done(ready: Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _writable(loop: AbstractEventLoop, socket: int) -> None:
    ready: Future[None] = loop.create_future()
    loop.add_writer(socket, _done, ready)
    try:
        # A client that goes away does not make its socket writable on every system.
        await asyncio.wait_for(ready, 60)
    except TimeoutError:
        raise ConnectionResetError from None
    finally:
        loop.remove_writer(socket)
