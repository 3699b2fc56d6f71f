"""Knows objects in S3-compatible stores as blobs and prefixes as trees. Needs the extra `s3`.

Credentials, region and endpoint come from the environment, as every AWS tool reads them.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from weighbridge.schema import SourceError, Unavailable
from weighbridge.source.pages import Pages
from weighbridge.source.tree import Anomaly, Entry, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.blob import Blob
    from weighbridge.source.http import Session


def store_of(address: str, *, prefixed: bool = True) -> Any:
    """The store of an address, at its prefix or as a whole. Raises Unavailable without the library."""
    try:
        from obstore.store import S3Store, from_url  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable("object stores need the extra s3", hint="pip install 'weighbridge[s3]'") from error
    parts = urlsplit(address)
    options: dict[str, Any] = {"retry_config": {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}}
    if parts.scheme != "s3":
        return from_url(address, **options)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint:
        options["endpoint"] = endpoint
    if endpoint.startswith("http://"):
        options["client_options"] = {"allow_http": True}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    prefix = parts.path.strip("/") if prefixed else ""
    return S3Store(parts.netloc, prefix=prefix or None, region=region, **options)


class ObjectTree(Unchecked):
    """The objects below a prefix; a single object is a tree of one."""

    format = "folder"

    def __init__(self, address: str, session: Session) -> None:
        parts = urlsplit(address)
        self._prefix = parts.path.lstrip("/")
        self.root = address.rstrip("/")
        self._session = session
        self._store = store_of(address, prefixed=False)
        import obstore  # noqa: PLC0415  # `store_of` has shown that it is there

        self._obstore = obstore

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
        try:
            found = obstore.head(store, key)
        except Exception as error:
            raise _failed(key, error) from error
        self.size, self._tag = int(found["size"]), found.get("e_tag")
        self._pages = Pages(self.size, self._fetch)

    changed = False

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        return self._pages.read(offset, length)

    def _fetch(self, start: int, stop: int) -> bytes:
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
        return data


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
