"""Knows how a service of one's own is watched: one line around an ASGI application, and a proxy before any other."""

from __future__ import annotations

import secrets
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import urllib3

from weighbridge.monitor.exchange import KEPT, from_exchange
from weighbridge.monitor.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from weighbridge.monitor.records import Record

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HOPS: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"host",
        b"content-length",
    }
)
_LARGEST: Final = 64 << 20
_PIECE: Final = 1 << 14


class Exchanges:
    """Takes raw bodies from the request path, and makes records of them in the recorder's thread."""

    def __init__(self, take: Callable[[Sequence[Record]], object], *, field: str = "inputs") -> None:
        self._forward, self._field = take, field
        self.unread = 0
        self.recorder = Recorder(self._take)

    def note(self, request: bytes, response: bytes, seconds: float, id_: str) -> None:
        """One exchange; costs an append."""
        self.recorder.note(request, response, seconds=seconds, id=id_)  # type: ignore[arg-type]  # bodies until `_take`

    def _take(self, batch: Sequence[Record]) -> None:
        found = []
        for one in batch:
            request: Any = one.text
            response: Any = one.output
            record = from_exchange(request, response, field=self._field, seconds=one.seconds, id_=one.id, at=one.at)
            if record is None:
                self.unread += 1
            else:
                found.append(record)
        self._forward(found)


class Watched:
    """An ASGI application that notes each POST with JSON: `app = Watched(app, monitor.feed)`."""

    def __init__(self, app: Any, take: Callable[[Sequence[Record]], object], *, field: str = "inputs") -> None:
        self.app = app
        self.exchanges = Exchanges(take, field=field)
        self._begin, self._numbers = secrets.token_hex(4), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        asked, answered = bytearray(), bytearray()
        status = 0
        begun = time.perf_counter()

        async def heard() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "http.request" and len(asked) < KEPT:
                asked.extend(message.get("body", b"")[: KEPT - len(asked)])
            return message

        async def said(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and len(answered) < KEPT:
                answered.extend(message.get("body", b"")[: KEPT - len(answered)])
            await send(message)

        await self.app(scope, heard, said)
        if 200 <= status < 300:
            # A number of our own: with one that clients choose, a thousand requests could pass for the same one.
            number = f"{self._begin}-{next(self._numbers)}"
            self.exchanges.note(bytes(asked), bytes(answered), time.perf_counter() - begun, number)


class Proxy:
    """An ASGI application that passes everything on to one address, as it is, and its answers back as they come."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=64, retries=False, timeout=urllib3.Timeout(connect=10, read=600), cert_reqs="CERT_REQUIRED"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        import asyncio  # noqa: PLC0415  # the proxy alone runs one

        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body.extend(message.get("body", b""))
            if len(body) > _LARGEST:
                await _refuse(send, 413, b"the request is larger than 64 MiB\n")
                return
            if not message.get("more_body"):
                break
        try:
            response = await asyncio.to_thread(self._ask, scope, bytes(body))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            await _refuse(send, 502, f"{self._upstream} cannot be reached: {type(error).__name__}\n".encode())
            return
        try:
            await self._answer(response, send)
        finally:
            response.close()

    def _ask(self, scope: Scope, body: bytes) -> Any:
        headers = urllib3.HTTPHeaderDict()
        for name, value in scope["headers"]:
            if name.lower() not in _HOPS:
                headers.add(name.decode("latin-1"), value.decode("latin-1"))
        # Answers are noted as they are: a packed one could not be read.
        headers["Accept-Encoding"] = "identity"
        query = scope["query_string"].decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return self._pool.request(
            scope["method"], f"{self._upstream}{path}{'?' if query else ''}{query}", body=body or None, headers=headers,
            preload_content=False, redirect=False, decode_content=False,
        )  # fmt: skip

    async def _answer(self, response: Any, send: Send) -> None:
        import asyncio  # noqa: PLC0415

        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.items()
            if name.lower().encode() not in _HOPS - {b"content-length"}
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        while piece := await asyncio.to_thread(_next_piece, response):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _next_piece(response: Any) -> bytes:
    """What has come: streamed answers are passed on at once."""
    found: bytes = response.read1(_PIECE) if hasattr(response, "read1") else response.read(_PIECE)
    return found


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _refuse(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
