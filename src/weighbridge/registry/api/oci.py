"""Knows what clients of OCI registries ask (oras, skopeo, docker, kubelets), and how they are told no.

Reading alone: manifests, blobs, tags. Source: OCI Distribution Specification 1.1, "Pull", "Content discovery" and "Error Codes".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from weighbridge.registry.api.asking import STATUS, Ask, Route, Table, base_of
from weighbridge.registry.api.bodies import BlobResponse
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.oci import KIND
from weighbridge.registry.services.refusal import No, Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from weighbridge.registry.services import Services
    from weighbridge.registry.services.repositories import Served

_POLL: Final = 0.15
_VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}
_CODES: Final = {
    No.WHO: "UNAUTHORIZED", No.FORBIDDEN: "DENIED", No.REPOSITORY: "NAME_UNKNOWN", No.REVISION: "MANIFEST_UNKNOWN",
    No.ENTRY: "BLOB_UNKNOWN", No.INVALID: "NAME_INVALID", No.TOO_MUCH: "TOOMANYREQUESTS",
}  # fmt: skip


def refuse(request: Request, refusal: Refusal) -> Response:
    """A refusal as clients print it. What has a case is denied, and says where it can be looked up."""
    text = f"{refusal.message}. {refusal.hint}" if refusal.hint else refusal.message
    status, code = STATUS[refusal.why], _CODES.get(refusal.why, "UNAVAILABLE")
    if refusal.case:
        status, code, text = 403, "DENIED", f"{text}. See {base_of(request)}/cases/{refusal.case}"
    headers = dict(_VERSION)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="weighbridge"'
    return JSONResponse({"errors": [{"code": code, "message": text}]}, status, headers=headers)


class OciReading:
    """The routes below /v2/."""

    def __init__(self, services: Services) -> None:
        self._all, self._house = services, services.house

    def table(self) -> Table:
        """The routes."""
        name = r"/v2/(?P<name>[^?]+?)"
        rows = [
            (r"/v2/", lambda _: JSONResponse({}, headers=_VERSION)),
            (rf"{name}/manifests/(?P<reference>[^/]+)", self._manifest),
            (rf"{name}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})", self._blob),
            (rf"{name}/tags/list", self._tags),
        ]
        return Table([Route(method="GET", pattern=one, act=Act.READ, run=run) for one, run in rows], refuse)

    def _served(self, ask: Ask) -> Served:
        """What may be handed out, after its inspection where it has to be. Raises Refusal."""
        name, reference = ask.part["name"], ask.part["reference"]
        end = time.monotonic() + self._house.terms.patience
        found = self._all.images.find(name, reference, ask.caller)
        if isinstance(found, Refusal) and found.case:
            while self._all.images.is_moving(found.case) and time.monotonic() < end:
                time.sleep(_POLL)
            return self._all.repositories.served(KIND, name, reference, ask.caller.scope)
        if isinstance(found, Refusal):
            raise found
        return found

    def _manifest(self, ask: Ask) -> Response:
        found = self._all.images.manifest(self._served(ask))
        headers = {**_VERSION, "Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
        return Response(found.body, media_type=found.media, headers=headers)

    def _blob(self, ask: Ask) -> Response:
        name, digest = ask.part["name"], ask.part["digest"]
        if not self._all.images.holds(name, digest):
            raise Refusal(No.ENTRY, "this blob belongs to nothing that was approved", hint="ask for its manifest first")
        sha256 = digest.removeprefix("sha256:")
        headers = {**_VERSION, "Docker-Content-Digest": digest}
        asked = ask.request.headers.get("range", "")
        return BlobResponse(self._house.blobs, sha256, self._house.blobs.size(sha256), asked=asked, headers=headers)

    def _tags(self, ask: Ask) -> Response:
        tags = [name for _, name, _ in self._all.repositories.refs(KIND, ask.part["name"])]
        most = ask.number("n", len(tags), 10_000)
        after = ask.query("last")
        shown = sorted(tag for tag in tags if tag > after)[:most]
        return JSONResponse({"name": ask.part["name"], "tags": shown}, headers=_VERSION)
