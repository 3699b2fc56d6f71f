"""Knows how windows of a file are read over HTTP: range requests, retried, resumed, bounded, and never led astray.

A redirect is followed only to public addresses, never from https to http, and never takes a token along to another
host. Source: RFC 9110 (ranges, redirects), RFC 6750 (bearer tokens).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Retry, Timeout

from weighbridge.schema import SourceError
from weighbridge.source.pages import PAGE, Pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from weighbridge.source.cache import Cache

_REDIRECTS: Final = 5
_WHOLE: Final = 4 << 30
_ATTEMPTS: Final = 4
_DOCUMENT: Final = 64 << 20
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_AGAIN: Final = (429, 500, 502, 503, 504)


class Refused(SourceError):
    """A server led somewhere that is not followed."""


def _public(host: str, port: int) -> tuple[str, int]:
    """An address of a host that everybody can reach. Raises Refused where there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceError(f"{host}: the name cannot be resolved", hint="check the spelling and the network") from error
    for _, _, _, _, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise Refused(
                f"a redirect leads to {host}, which is the private address {address[0]}",
                hint="give the final address yourself if it is meant",
            )
    return str(found[0][4][0]), port


class _GuardedHTTP(HTTPConnection):
    """Connects to the address that was checked, so that the name cannot change its meaning in between."""

    def _new_conn(self) -> socket.socket:
        return socket.create_connection(_public(self.host, self.port or 80), self.timeout)


class _GuardedHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return socket.create_connection(_public(self.host, self.port or 443), self.timeout)


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTP


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPS


class Session:
    """Connections of one scan. `tokens` maps an origin (scheme://host[:port]) to the headers that it may see."""

    def __init__(
        self, *, tokens: Mapping[str, Mapping[str, str]] | None = None, cache: Cache | None = None, connections: int = 8,
        patience: float = 20.0, backoff: float = 0.5, trusted: str = "",
    ) -> None:  # fmt: skip
        """`trusted` is the one origin whose address may be private; without it, the origin of each request as given."""
        retry = Retry(
            total=_ATTEMPTS, redirect=0, status_forcelist=_AGAIN, backoff_factor=backoff, backoff_max=30,
            respect_retry_after_header=True, allowed_methods=("GET", "HEAD"), raise_on_status=False, raise_on_redirect=False,
        )  # fmt: skip
        timeout = Timeout(connect=min(10.0, patience), read=patience)
        self._asked = urllib3.PoolManager(maxsize=connections, block=True, retries=retry, timeout=timeout)
        self._led = urllib3.PoolManager(maxsize=connections, block=True, retries=retry, timeout=timeout)
        self._led.pool_classes_by_scheme = {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}
        self._tokens = dict(tokens or {})
        self._trusted = origin(trusted) if trusted else ""
        self._lock = threading.Lock()
        self.cache = cache
        self.received = 0

    def count(self, received: int) -> None:
        """Account for bytes that came over the network."""
        with self._lock:
            self.received += received

    def allow(self, origin: str, headers: Mapping[str, str]) -> None:
        """Send these headers to one origin from now on."""
        self._tokens[origin] = headers

    def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes | None = None
    ) -> tuple[Any, str]:
        """(response with its body unread, final address). Raises SourceError for anything but 2xx, 401 and 416."""
        first = current = url
        for _ in range(_REDIRECTS + 1):
            manager = self._asked if origin(current) == (self._trusted or origin(first)) else self._led
            sent = {"Accept-Encoding": "identity", **(headers or {}), **self._tokens.get(origin(current), {})}
            try:
                response = manager.request(
                    method, current, body=body, headers=sent, preload_content=False, redirect=False
                )
            except urllib3.exceptions.MaxRetryError as error:
                raise _unreachable(current, error.reason or error) from error
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise _unreachable(current, error) from error
            target = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not target:
                return self._checked(response, current), current
            response.release_conn()
            current = _next(current, urljoin(current, target))
        raise Refused(f"{_plain(first)}: more than {_REDIRECTS} redirects", hint="give the final address yourself")

    def _checked(self, response: Any, url: str) -> Any:
        if response.status < 300 or response.status in {401, 416}:
            return response
        response.release_conn()
        hints = {
            403: "the token in the environment does not allow it",
            404: "check the name and the revision",
            429: "the server asks for fewer requests; try again later",
        }
        reason = response.headers.get("X-Error-Message") or response.reason or ""
        raise SourceError(
            f"{_plain(url)}: the server answers {response.status} {reason}".strip(),
            hint=hints.get(response.status, "try again later"),
        )

    def document(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[bytes, Any]:
        """(body, response headers) of something small. Raises SourceError where it is not."""
        response, final = self._granted(url, headers)
        return b"".join(_pieces(self, response, _DOCUMENT, final)), response.headers

    def download(self, url: str, path: str, most: int) -> None:
        """Write a document of up to `most` bytes into a file. Raises SourceError; what was written until then is left."""
        response, final = self._granted(url)
        try:
            with open(path, "wb") as file:
                file.writelines(_pieces(self, response, most, final))
        except OSError as error:
            raise SourceError(f"{path}: {(error.strerror or str(error)).lower()}", hint="make room for it") from error

    def stream(self, url: str, most: int) -> Iterator[bytes]:
        """The body of up to `most` bytes, as it comes. Raises SourceError, also where it breaks off."""
        response, final = self._granted(url)
        stated = response.headers.get("Content-Length", "")
        received = 0
        for piece in _pieces(self, response, most, final):
            received += len(piece)
            yield piece
        if stated.isdigit() and int(stated) != received:
            raise SourceError(f"{_plain(final)}: the answer broke off", hint="try again later")

    def _granted(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[Any, str]:
        """(response with its body unread, final address) of what needs no other token. Raises SourceError."""
        response, final = self.open(url, headers)
        if response.status == 401:
            response.release_conn()
            raise SourceError(
                f"{_plain(final)}: the server wants a token (401)",
                hint="set HF_TOKEN, or the token of that server, in the environment",
            )
        return response, final


def _pieces(session: Session, response: Any, most: int, url: str) -> Iterator[bytes]:
    """The body of a response. Raises SourceError where it breaks off or is longer than `most` bytes."""
    received = 0
    try:
        for piece in response.stream(1 << 16, decode_content=False):
            received += len(piece)
            if received > most:
                response.close()
                raise SourceError(
                    f"{_plain(url)}: the answer is longer than {most} bytes", hint="this is no such document"
                )
            yield piece
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(url, error) from error
    finally:
        session.count(received)
    response.release_conn()


def origin(url: str) -> str:
    """scheme://host[:port] of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def _plain(url: str) -> str:
    """An address without credentials and query, which may hold signatures."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _next(current: str, target: str) -> str:
    scheme = urlsplit(target).scheme
    if scheme not in {"http", "https"}:
        raise Refused(f"{_plain(current)} leads to the scheme {scheme!r}", hint="only http and https are followed")
    if scheme == "http" and current.startswith("https:"):
        raise Refused(f"{_plain(current)} leads from https to http", hint="the server is set up badly")
    return target


def _unreachable(url: str, error: BaseException) -> SourceError:
    if isinstance(error, SourceError):
        return error
    cause = error.__cause__ or error.__context__
    if isinstance(cause, SourceError):
        return cause
    reason = {
        "ConnectTimeoutError": "no connection in time", "ReadTimeoutError": "the server stalls",
        "NewConnectionError": "no connection", "SSLError": "the certificate is not accepted",
        "ProtocolError": "the connection was cut", "IncompleteRead": "the connection was cut",
    }.get(type(error).__name__, type(error).__name__)  # fmt: skip
    return SourceError(f"{_plain(url)}: {reason}", hint="check the address and the network; the scan can be repeated")


class HttpBlob:
    """A file behind an address. Reads are cached by pages that grow while reading goes on; the rest is not fetched.

    Raises SourceError where the server lies about lengths, has no ranges and the file is beyond 4 GiB, or fails.
    """

    def __init__(self, session: Session, url: str, *, size: int | None = None, validator: str = "") -> None:
        self._session, self._url = session, url
        self._whole: bytes | None = None
        self._validator = validator
        self.size = -1 if size is None else size
        self._pages = Pages(self.size, self._fetch)
        if size is None:
            self._begin()

    @property
    def changed(self) -> bool:
        """A file over the network is held to its validator with every request."""
        return False

    def _begin(self) -> None:
        """Learn the size from the first page."""
        response, final = self._session.open(self._url, {"Range": f"bytes=0-{PAGE - 1}"})
        if response.status == 401:
            response.release_conn()
            raise SourceError(
                f"{_plain(final)}: the server wants a token (401)", hint="set the token in the environment"
            )
        if response.status == 416:
            self.size = 0
            response.release_conn()
            return
        self._validator = self._validator or response.headers.get("ETag", "")
        if response.status == 206:
            start, end, total = self._told(response, final)
            self.size = total
            self._pages = Pages(total, self._fetch)
            self._pages.keep(start, self._body(response, end - start + 1, final))
            return
        self._take_whole(response, final)

    def _take_whole(self, response: Any, url: str) -> None:
        """A server without ranges: everything is read once, up to the limit."""
        length = int(response.headers.get("Content-Length", "0") or 0)
        if length > _WHOLE:
            response.close()
            raise SourceError(
                f"{_plain(url)}: {length} bytes, and the server has no ranges", hint="download it and scan the file"
            )
        self._whole = b"".join(_pieces(self._session, response, _WHOLE, url))
        if length and len(self._whole) != length:
            raise SourceError(
                f"{_plain(url)}: {length} bytes were promised and {len(self._whole)} came", hint="try again"
            )
        self.size = len(self._whole)

    def _told(self, response: Any, url: str) -> tuple[int, int, int]:
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        if match is None:
            response.close()
            raise SourceError(f"{_plain(url)}: a partial answer without its range", hint="the server is set up badly")
        start, end, total = int(match[1]), int(match[2]), int(match[3])
        if self.size >= 0 and total != self.size:
            response.close()
            raise SourceError(
                f"{_plain(url)}: {self.size} bytes before, {total} now", hint="the file changed; scan again"
            )
        return start, end, total

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        if self._whole is not None:
            return self._whole[offset : offset + length]
        return self._pages.read(offset, length)

    def _fetch(self, start: int, stop: int) -> bytes:
        """A range, from the cache where that holds it."""
        cache = self._session.cache
        kept = cache.get(self._url, self._validator, start, stop) if cache else None
        if kept is not None:
            return kept
        data = self._range(start, stop)
        if cache:
            cache.put(self._url, self._validator, start, stop, data)
        return data

    def _range(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`; what was cut is asked for again from where it broke off."""
        data = b""
        problem: SourceError | None = None
        for _ in range(_ATTEMPTS):
            at = start + len(data)
            headers = {"Range": f"bytes={at}-{stop - 1}"}
            if self._validator and not self._validator.startswith("W/"):
                headers["If-Range"] = self._validator
            response, final = self._session.open(self._url, headers)
            if response.status != 206:
                response.close()
                raise SourceError(
                    f"{_plain(final)}: the file changed, or ranges are no longer answered", hint="scan again"
                )
            begin, end, _ = self._told(response, final)
            if begin != at or end > stop - 1 or end < begin:
                response.close()
                raise SourceError(
                    f"{_plain(final)}: bytes {begin} to {end} came for {at} to {stop - 1}",
                    hint="the server is set up badly",
                )
            try:
                data += self._body(response, end - begin + 1, final)
            except _Cut as cut:
                data += cut.data
                problem = cut.error
            if len(data) == stop - start:
                return data
        raise problem or SourceError(f"{_plain(self._url)}: the connection was cut {_ATTEMPTS} times", hint="try again")

    def _body(self, response: Any, length: int, url: str) -> bytes:
        """At most `length` bytes of an answer. Raises _Cut with what came where it is shorter."""
        pieces, received = [], 0
        if response.headers.get("Content-Encoding", "identity") not in {"", "identity"}:
            response.close()
            raise SourceError(f"{_plain(url)}: the server compresses ranges", hint="the server is set up badly")
        failed: BaseException | None = None
        try:
            for piece in response.stream(1 << 16, decode_content=False):
                pieces.append(piece)
                received += len(piece)
                if received > length:
                    break
        except (urllib3.exceptions.HTTPError, OSError) as error:
            failed = error
        self._session.count(received)
        data = b"".join(pieces)[:length]
        if received > length:
            response.close()
        elif failed is None and received == length:
            response.release_conn()
        else:
            response.close()
            raise _Cut(data, _unreachable(url, failed or EOFError())) from failed
        return data


class _Cut(Exception):
    """A body that ended early: what came, and why."""

    def __init__(self, data: bytes, error: SourceError) -> None:
        super().__init__(error.message)
        self.data, self.error = data, error
