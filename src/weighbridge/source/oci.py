"""Knows an artifact in an OCI registry as a tree: its manifests as documents, its layers as files by their titles.

Source: OCI Distribution Specification 1.1, OCI Image Specification 1.1, the token flow of Docker registries.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from msgspec import Struct

from weighbridge.schema import MalformedInput, SourceError, UsageError
from weighbridge.source.blob import BytesBlob
from weighbridge.source.http import HttpBlob, Session, origin
from weighbridge.source.tree import Anomaly, Entry, Oddity, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.blob import Blob

_ADDRESS: Final = re.compile(
    r"oci://(?P<host>[\w.-]+(?::\d+)?)/(?P<name>[\w./-]+?)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?\Z"
)
_ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_MANIFESTS: Final = 50
_TITLES: Final = ("org.opencontainers.image.title", "org.cncf.model.filepath")


class Part(Struct, frozen=True, kw_only=True):
    """A layer or configuration: the name of its file, `sha256:…`, and its bytes."""

    name: str
    digest: str
    size: int


class OciRepository:
    """One repository of a registry: `base` is its address up to the name, such as https://ghcr.io/v2/org/model."""

    def __init__(self, base: str, session: Session) -> None:
        self.base, self._session = base, session

    def manifest(self, reference: str) -> bytes:
        """A manifest by tag or digest, as it is answered; the session is signed in then. Raises SourceError."""
        url = f"{self.base}/manifests/{reference}"
        response, _ = self._session.open(url, {"Accept": _ACCEPT}, method="HEAD")
        challenge = response.headers.get("WWW-Authenticate", "") if response.status == 401 else ""
        response.release_conn()
        if challenge:
            self._sign_in(challenge)
        body, _ = self._session.document(url, {"Accept": _ACCEPT})
        return body

    def blob(self, digest: str, most: int) -> Iterator[bytes]:
        """The bytes of a blob, once a manifest was asked for. Raises SourceError, also where there are more than `most`."""
        return self._session.stream(f"{self.base}/blobs/{digest}", most)

    def _sign_in(self, challenge: str) -> None:
        """Get a bearer token as the registry asks for it, with OCI_USERNAME and OCI_PASSWORD where they are set."""
        values = dict(_CHALLENGE.findall(challenge))
        realm = values.pop("realm", "")
        if not challenge.lower().startswith("bearer") or not realm.startswith(
            ("https://", self.base.partition("/v2/")[0])
        ):
            raise SourceError(
                "the registry asks for a sign-in that is not supported", hint="set OCI_USERNAME and OCI_PASSWORD"
            )
        user, password = os.environ.get("OCI_USERNAME", ""), os.environ.get("OCI_PASSWORD", "")
        headers = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()} if user else {}
        body, _ = self._session.document(f"{realm}?{urlencode(values)}", headers)
        answer = json_of(body)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str):
            raise SourceError("the registry gave no token", hint="set OCI_USERNAME and OCI_PASSWORD")
        self._session.allow(origin(self.base), {"Authorization": f"Bearer {token}"})


class OciTree(Unchecked):
    """An image or model artifact. Manifests are held to their digest; a blob's size to its descriptor."""

    format = "folder"

    def __init__(self, address: str, session: Session) -> None:
        match = _ADDRESS.match(address)
        if match is None:
            raise UsageError(f"{address}: not an address of a registry", hint="oci://host/name:tag")
        self._session = session
        scheme = "http" if re.match(r"(?:localhost|127\.0\.0\.1)(?::|\Z)", match["host"]) else "https"
        self._repository = OciRepository(f"{scheme}://{match['host']}/v2/{match['name']}", session)
        self._reference = match["digest"] or match["tag"] or "latest"
        self.root = address
        self._anomalies: list[Anomaly] = []
        self._documents: dict[str, bytes] = {}
        self._blobs: dict[str, tuple[str, int]] = {}
        self._collect()

    def _manifest(self, reference: str) -> bytes:
        body = self._repository.manifest(reference)
        if _DIGEST.match(reference) and f"sha256:{hashlib.sha256(body).hexdigest()}" != reference:
            self._anomalies.append(
                Anomaly(oddity=Oddity.CHECKSUM, name=reference, detail="the manifest is not what its digest says")
            )
        return body

    def _collect(self) -> None:
        waiting, seen = [self._reference], set[str]()
        while waiting and len(seen) < _MANIFESTS:
            reference = waiting.pop(0)
            if reference in seen:
                continue
            seen.add(reference)
            body = self._manifest(reference)
            manifest = json_of(body)
            self._documents[f"manifests/{reference.replace(':', '-')}.json"] = body
            waiting += [str(m["digest"]) for m in _list(manifest, "manifests") if _DIGEST.match(str(m.get("digest")))]
            for number, part in enumerate(parts_of(manifest)):
                self._part(part, number)

    def _part(self, table: dict[str, Any], number: int) -> None:
        part = part_of(table, number)
        if part is None:
            digest = str(table.get("digest", ""))[:80]
            self._anomalies.append(
                Anomaly(oddity=Oddity.HEADERS_DIFFER, name=digest, detail="a layer without a proper digest and size")
            )
            return
        self._blobs.setdefault(part.name, (part.digest, part.size))

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        yield from (Entry(name=name, size=len(body)) for name, body in self._documents.items())
        yield from (Entry(name=name, size=size) for name, (_, size) in self._blobs.items())

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        if entry.name in self._documents:
            return BytesBlob(self._documents[entry.name])
        digest, size = self._blobs[entry.name]
        blob = HttpBlob(self._session, f"{self._repository.base}/blobs/{digest}", validator="")
        if blob.size != size:
            raise MalformedInput(f"the blob has {blob.size} bytes and its descriptor says {size}")
        return blob

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies


def parts_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The descriptors of the layers of a manifest, and of its configuration."""
    config = manifest.get("config")
    return [*_list(manifest, "layers"), *([config] if isinstance(config, dict) else [])]


def part_of(table: dict[str, Any], number: int) -> Part | None:
    """What a descriptor says, or nothing where it has no proper digest and size."""
    digest, size = str(table.get("digest", "")), table.get("size")
    if not _DIGEST.match(digest) or type(size) is not int or size < 0:
        return None
    notes = table.get("annotations")
    title = next((str(notes[key]) for key in _TITLES if isinstance(notes, dict) and key in notes), "")
    return Part(name=title or f"layers/{number}-{digest[7:19]}", digest=digest, size=size)


def is_index(manifest: dict[str, Any]) -> bool:
    """Whether a manifest only names other manifests."""
    return "manifests" in manifest


def json_of(body: bytes) -> dict[str, Any]:
    """A document of a registry. Raises SourceError where it is no JSON."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SourceError("the registry's answer is not JSON", hint="is this a registry?") from error
    return found if isinstance(found, dict) else {}


def _list(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = table.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
