"""Knows how a request becomes a call: route, caller, permission, answer. A route without a permission does not exist."""

from __future__ import annotations

import base64
import binascii
import logging
import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

import anyio
import msgspec
from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from weighbridge.registry.logs import ACCESS, trace_of
from weighbridge.registry.services.access import ANYBODY, Access, Act, Caller
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.telemetry import TELEMETRY
from weighbridge.schema import SourceError, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import Receive, Scope, Send

    from weighbridge.registry.services.house import House

_BODY: Final = 96 << 20
REASON: Final = b"x-weighbridge-reason"  # a header that the server turns into the reason phrase
_OFTEN: Final = "too many requests"
_ADDRESS: Final = "weighbridge.address"
_LOG: Final = logging.getLogger("weighbridge.registry")
STATUS: Final[dict[No, int]] = {
    No.WHO: 401, No.FORBIDDEN: 403, No.REPOSITORY: 404, No.REVISION: 404, No.ENTRY: 404, No.CONFLICT: 409,
    No.INVALID: 400, No.TOO_MUCH: 413, No.LATER: 503,
}  # fmt: skip


class Hurried(Exception):
    """An answer that is not at hand."""


class Ask(Struct, kw_only=True):
    """One request, read as far as its route wants. `part` are the named parts of the path, decoded."""

    request: Request
    caller: Caller
    part: dict[str, str]
    body: bytes = b""
    pieces: Iterator[bytes] | None = None
    session: str = ""
    hurried: bool = False

    def query(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return self.request.query_params.get(name, default)

    def flag(self, name: str) -> bool:
        """Whether a value of the query says yes."""
        return self.query(name).lower() in {"1", "true"}

    def number(self, name: str, default: int, most: int) -> int:
        """A number of the query, bounded."""
        text = self.query(name)
        return min(int(text), most) if text.isdigit() and len(text) < 12 else default

    def form(self) -> dict[str, list[str]]:
        """The fields of a form. Raises Refusal."""
        try:
            return parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=10_000)
        except ValueError as error:
            raise Refusal(No.INVALID, "this is no form", hint="send it as a browser does") from error

    def json(self, kind: type[Any] = dict) -> Any:
        """The body as a struct. Raises Refusal that names the field that is wrong."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except msgspec.DecodeError as error:
            raise Refusal(
                No.INVALID, f"the body is not what is expected: {error}", hint="see the API reference"
            ) from error

    @property
    def base(self) -> str:
        """The address of this registry as the client knows it."""
        return base_of(self.request)


class Route(Struct, frozen=True, kw_only=True):
    """A method and a pattern over the raw path, who may use it (`act`; None: anybody at all), and what answers.

    `quick` says that its answer is at hand, or it raises Hurried; then it is run again where it may wait.
    `body` is `none`, `whole` or `stream`. `takes` and `gives` describe the bodies for the API document.
    """

    method: str
    pattern: str
    act: Act | None
    run: Callable[[Ask], Response]
    body: str = "none"
    quick: bool = False
    takes: type[Any] | None = None
    gives: Any = None
    about: str = ""


class Table:
    """The routes below one prefix, with one way of saying no."""

    def __init__(
        self,
        routes: Sequence[Route],
        refuse: Callable[[Request, Refusal], Response],
        *,
        cookie: Callable[[Request], str] | None = None,
    ) -> None:
        self.routes, self.refuse, self.cookie = tuple(routes), refuse, cookie
        self._compiled = [(re.compile(route.pattern), route) for route in routes]

    def match(self, method: str, path: str) -> tuple[Route | None, dict[str, str], bool]:
        """(route, parts of the path, whether the path is known under another method)."""
        known = False
        for pattern, route in self._compiled:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            known = True
            if method == route.method or (method == "HEAD" and route.method == "GET"):
                return route, {name: unquote(value or "") for name, value in found.groupdict().items()}, True
        return None, {}, known


class Desk:
    """Answers requests of several tables; the first that knows a path takes it."""

    def __init__(self, house: House, access: Access, tables: Sequence[Table]) -> None:
        self._house, self._access, self._tables = house, access, tables
        self.counts: dict[tuple[str, int], int] = {}
        self.seconds = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI 3."""
        scope[_ADDRESS] = self._house.terms.address.rstrip("/")
        request = Request(scope, receive)
        path = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace")
        started = time.perf_counter()
        response, route = await self._answer(request, path)
        for name, value in _SAFE.items():
            response.headers.setdefault(name, value)
        try:
            await response(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            key = (route, response.status_code)
            self.counts[key] = self.counts.get(key, 0) + 1
            took = time.perf_counter() - started
            self.seconds += took
            if ACCESS.isEnabledFor(logging.INFO):
                _told(request, route, response.status_code, took)
            if TELEMETRY.on:
                TELEMETRY.request(
                    request.method, route, response.status_code, took, path=scope["path"], headers=request.headers,
                    client=request.client.host if request.client else "",
                )  # fmt: skip

    async def _answer(self, request: Request, path: str) -> tuple[Response, str]:
        method = request.method
        for table in self._tables:
            route, part, known = table.match(method, path)
            if route is None and not known:
                continue
            if route is None:
                return table.refuse(request, Refusal(No.INVALID, f"{method} is not for this address")), "unknown"
            return await self._run(request, table, route, part, path), route.pattern
        nothing = Refusal(No.ENTRY, "there is nothing at this address", hint="see the API reference")
        # Programs are told in JSON, people on a page.
        table = self._tables[0 if path.startswith("/api/") else -1]
        return table.refuse(request, nothing), "unknown"

    async def _run(self, request: Request, table: Table, route: Route, part: dict[str, str], path: str) -> Response:
        who, address = "anybody", request.client.host if request.client else ""
        try:
            session = table.cookie(request) if table.cookie else ""
            token = token_of(request) or session
            caller = await self._caller(token) if token else ANYBODY
            who = caller.name
            self._admit(caller, route, address)
            ask = Ask(request=request, caller=caller, part=part, session=session)
            await _read(ask, route, self._house.terms.largest_file)
            response = await self._called(route, ask)
        except Refusal as refusal:
            response = table.refuse(request, refusal)
            if refusal.why is No.TOO_MUCH and refusal.message == _OFTEN:
                response.status_code = 429
                response.headers["Retry-After"] = "1"
        except ClientDisconnect:
            response = Response(status_code=400)
        except SourceError as error:
            _LOG.warning("%s (%s)", error.message, error.hint)
            response = table.refuse(request, Refusal(No.LATER, "this cannot be answered now", hint=error.message))
        except WeighbridgeError as error:
            response = table.refuse(request, Refusal(No.INVALID, error.message, hint=error.hint))
        except Exception:  # noqa: BLE001  # a client never sees a traceback
            _LOG.exception("%s %s", request.method, route.pattern)
            response = table.refuse(request, Refusal(No.LATER, "an internal error; it was logged", hint="report it"))
            response.status_code = 500
        if route.act is not None:
            self._house.note(
                who, f"{request.method} {route.act}", unquote(path), status=response.status_code, address=address,
                agent=request.headers.get("user-agent", ""),
            )  # fmt: skip
        return response

    async def _called(self, route: Route, ask: Ask) -> Response:
        # A file of this machine answers sooner than another thread begins; a server elsewhere does not.
        if route.quick and self._house.database.is_sqlite:
            ask.hurried = True
            try:
                return route.run(ask)
            except Hurried:
                ask.hurried = False
        return await run_in_threadpool(route.run, ask)

    def _admit(self, caller: Caller, route: Route, address: str) -> None:
        """Raises Refusal where somebody asks too often, or for what is not theirs."""
        nobody = caller is ANYBODY
        wait = self._access.allow(f"anybody {address}" if nobody else caller.name)
        if wait:
            raise Refusal(No.TOO_MUCH, _OFTEN, hint=f"try again in {wait:.1f} seconds")
        if route.act is None:
            return
        if nobody and not (self._house.terms.anonymous and route.act in {Act.READ, Act.REQUEST}):
            raise Refusal(No.WHO, "a token is needed here", hint="set HF_TOKEN, or log in")
        caller.must(route.act)

    async def _caller(self, token: str) -> Caller:
        known = self._access.remembered(token)
        return known if known is not None else await run_in_threadpool(self._access.caller, token)


def _told(request: Request, route: str, status: int, took: float) -> None:
    """Log an answer. Addresses may hold secrets in their query, so the query is left out."""
    fields = {
        "method": request.method, "path": request.scope["path"], "route": route, "status": status,
        "milliseconds": round(took * 1000, 3), "client": request.client.host if request.client else "",
        "agent": request.headers.get("user-agent", "")[:300], **trace_of(request.headers.get("traceparent", "")),
    }  # fmt: skip
    ACCESS.info("%s %s %d", request.method, request.scope["path"], status, extra={"fields": fields})


async def _read(ask: Ask, route: Route, largest: int) -> None:
    if route.body == "none":
        return
    if route.body == "stream":
        ask.pieces = _Pieces(ask.request, largest)
        return
    found = bytearray()
    async for piece in ask.request.stream():
        found += piece
        if len(found) > _BODY:
            raise Refusal(
                No.TOO_MUCH, "the body is too large", hint="large files go by LFS: git lfs, or the hub client"
            )
    ask.body = bytes(found)


class _Pieces:
    """The body of a request, for a function in another thread."""

    def __init__(self, request: Request, most: int) -> None:
        self._stream, self._left = request.stream(), most

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            piece = anyio.from_thread.run(self._following)
            if piece is None:
                raise StopIteration
            if piece:
                self._left -= len(piece)
                if self._left < 0:
                    raise Refusal(No.TOO_MUCH, "the file is larger than is taken in", hint="split it")
                return piece

    async def _following(self) -> bytes | None:
        return await anext(self._stream, None)


def base_of(request: Request) -> str:
    """The address of this registry: the one that is settled, else the one that the client used."""
    return request.scope.get(_ADDRESS) or str(request.base_url).rstrip("/")


def token_of(request: Request) -> str:
    """The token of a request: as Bearer, or as the password that pip and npm send. Raises Refusal for anything else."""
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise Refusal(
                No.WHO, "Invalid credentials in Authorization header", hint="give a token as password"
            ) from None
        return password or name
    return ""


_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
    "Server": "weighbridge",
}


def header_text(text: str) -> str:
    """Foreign text that may stand in a header: one line of ASCII."""
    return re.sub(r"[^\x20-\x7e]", "?", text.replace("\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}", ">"))[:900]
