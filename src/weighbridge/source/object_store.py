"""Knows objects in S3-compatible stores as blobs and prefixes as trees. Needs the extra `s3`.

Credentials, region and endpoint come from the environment, as every AWS tool reads them.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from weighbridge.schema import SourceError, Unavailable
from weighbridge.source.tree import Anomaly, Entry, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.blob import Blob
    from weighbridge.source.http import Session

_PAGE: Final = 16 << 10
_MOST: Final = 1 << 20
_PAGES: Final = 4096


class ObjectTree(Unchecked):
    """The objects below a prefix; a single object is a tree of one."""

    format = "folder"

    def __init__(self, address: str, session: Session) -> None:
        try:
            import obstore  # noqa: PLC0415  # an extra
            from obstore.store import S3Store  # noqa: PLC0415
        except ImportError as error:
            raise Unavailable("s3:// needs the extra s3", hint="pip install 'weighbridge[s3]'") from error
        parts = urlsplit(address)
        self._prefix = parts.path.lstrip("/")
        self.root = address.rstrip("/")
        self._session, self._obstore = session, obstore
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        options: dict[str, Any] = {"retry_config": {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}}
        if endpoint:
            options["endpoint"] = endpoint
        if endpoint.startswith("http://"):
            options["client_options"] = {"allow_http": True}
        self._store = S3Store(
            parts.netloc,
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            **options,
        )

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        if not self._prefix.endswith("/") and self._prefix:
            try:
                found = self._obstore.head(self._store, self._prefix)
            except FileNotFoundError:
                self._prefix += "/"
            except Exception as error:
                raise _failed(self.root, error) from error
            else:
                yield Entry(name=self._prefix.rsplit("/", 1)[-1], size=int(found["size"]))
                return
        try:
            for batch in self._obstore.list(self._store, prefix=self._prefix or None):
                for item in batch:
                    yield Entry(name=str(item["path"])[len(self._prefix) :], size=int(item["size"]))
        except Exception as error:
            raise _failed(self.root, error) from error

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        key = f"{self._prefix}{entry.name}" if self._prefix.endswith("/") or not self._prefix else self._prefix
        return _ObjectBlob(self._obstore, self._store, key, self._session)

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return []


class _ObjectBlob:
    """One object, read by ranges of growing size; its ETag must not change in between."""

    def __init__(self, obstore: Any, store: Any, key: str, session: Session) -> None:
        self._obstore, self._store, self._key, self._session = obstore, store, key, session
        self._pages: dict[int, bytes] = {}
        self._end, self._step = -1, _PAGE
        self._lock = threading.Lock()
        try:
            found = obstore.head(store, key)
        except Exception as error:
            raise _failed(key, error) from error
        self.size, self._tag = int(found["size"]), found.get("e_tag")

    changed = False

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        with self._lock:
            first, last = offset // _PAGE, (offset + length - 1) // _PAGE
            missing = [page for page in range(first, last + 1) if page not in self._pages]
            if missing:
                self._fetch(missing[0], missing[-1])
            data = b"".join(self._pages[page] for page in range(first, last + 1))
        return data[offset - first * _PAGE :][:length]

    def _fetch(self, first: int, last: int) -> None:
        self._step = min(_MOST, self._step * 2) if first == self._end else _PAGE
        start = first * _PAGE
        stop = min(self.size, max((last + 1) * _PAGE, start + self._step))
        options: dict[str, Any] = {"range": (start, stop)}
        if self._tag:
            options["if_match"] = self._tag
        try:
            data = bytes(self._obstore.get(self._store, self._key, options=options).bytes())
        except Exception as error:
            raise _failed(self._key, error) from error
        self._session.count(len(data))
        if len(data) != stop - start:
            raise SourceError(f"{self._key}: {len(data)} bytes came for {stop - start}", hint="try again")
        if len(self._pages) > _PAGES:
            self._pages.clear()
        for at in range(0, len(data), _PAGE):
            self._pages[(start + at) // _PAGE] = data[at : at + _PAGE]
        self._end = (stop + _PAGE - 1) // _PAGE


def _failed(name: str, error: Exception) -> SourceError:
    """What to tell a user about a store that fails; its own messages may hold signed addresses."""
    known = {
        "FileNotFoundError": ("there is no such object", "check the bucket and the key"),
        "PermissionDeniedError": ("access is denied", "check the credentials in the environment"),
        "UnauthenticatedError": ("access is denied", "check the credentials in the environment"),
        "PreconditionError": ("the object changed while it was read", "scan again"),
    }
    reason, hint = known.get(
        type(error).__name__, (f"the store fails ({type(error).__name__})", "check AWS_ENDPOINT_URL and the network")
    )
    return SourceError(f"{name}: {reason}", hint=hint)
