"""Knows how bytes are handed out: whole or by range, never compressed, from a file by the kernel where the server can."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response

from weighbridge.registry.services.refusal import No, Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from weighbridge.registry.records import Blobs

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
SEND_FILE: Final = "weighbridge.sendfile"


class BlobResponse(Response):
    """A blob, or the part of it that was asked for. Source: RFC 9110, section 14 (one range)."""

    def __init__(self, blobs: Blobs, sha256: str, size: int, *, asked: str, headers: dict[str, str]) -> None:
        """Raises Refusal where the blob is not what it was."""
        if blobs.size(sha256) != size:
            raise Refusal(No.LATER, "the bytes of this file are missing or cut", hint="tell an administrator")
        self._blobs, self._sha256 = blobs, sha256
        self._start, self._stop, status = 0, size, 200
        match = _RANGE.match(asked)
        extra = {"Accept-Ranges": "bytes"}
        if match and (match[1] or match[2]):
            first = int(match[1]) if match[1] else max(0, size - int(match[2]))
            last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
            if first >= size or (match[1] and match[2] and int(match[2]) < first):
                status, self._start, self._stop = 416, 0, 0
                extra["Content-Range"] = f"bytes */{size}"
            else:
                status, self._start, self._stop = 206, first, last + 1
                extra["Content-Range"] = f"bytes {first}-{last}/{size}"
        super().__init__(status_code=status, headers={**headers, **extra}, media_type="application/octet-stream")
        self.headers["Content-Length"] = str(self._stop - self._start)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI 3."""
        del receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD" or self._start == self._stop:
            await send({"type": "http.response.body", "body": b""})
            return
        path = self._blobs.path(self._sha256)
        if path and SEND_FILE in scope.get("extensions", {}):
            await send({"type": SEND_FILE, "path": path, "start": self._start, "stop": self._stop})
            return
        async for piece in iterate_in_threadpool(self._blobs.read(self._sha256, self._start, self._stop)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
