"""Knows what pip, uv and npm ask an index, and how they are told no.

Sources: PEP 503, 592, 629, 658, 691, 700, 714, 740 and 792; the registry API of npm. A file that may not be handed out stays in
the list as withdrawn, with the reason: ranges pass over it, and whoever insists on it reads why.
"""

from __future__ import annotations

import json
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec
from starlette.responses import JSONResponse, RedirectResponse, Response

from weighbridge.registry.api.asking import REASON, STATUS, Ask, Route, Table, base_of, header_text
from weighbridge.registry.api.bodies import BlobResponse
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.packages import normal
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.states import MOVING, SERVED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from weighbridge.registry.services import Services
    from weighbridge.registry.services.packages import Offer, Project

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_HTML: Final = "application/vnd.pypi.simple.v1+html"
_INTEGRITY: Final = "application/vnd.pypi.integrity.v1+json"
_API: Final = "1.4"
_POLL: Final = 0.15
_KEPT: Final = (
    "name", "version", "dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta", "bin", "engines",
    "os", "cpu", "libc", "bundleDependencies", "hasInstallScript", "directories", "funding", "devDependencies",
)  # fmt: skip


def refuse(request: Request, refusal: Refusal) -> Response:
    """A refusal with a reason phrase, which pip and uv print, and a body, which npm prints."""
    text = f"{refusal.message}. {refusal.hint}" if refusal.hint else refusal.message
    if refusal.case:
        text += f". See {base_of(request)}/cases/{refusal.case}"
    status = STATUS[refusal.why]
    headers = {REASON.decode(): header_text(f"{refusal.message} - {base_of(request)}/cases/{refusal.case}")[:400]}
    if not refusal.case:
        headers = {REASON.decode(): header_text(refusal.message)[:400]}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="weighbridge"'
    return JSONResponse({"error": text}, status, headers=headers)


class PackageIndexes:
    """The routes of both indexes."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house

    def table(self) -> Table:
        """The routes."""
        read = [
            (r"/pypi/simple/?", self._projects),
            (r"/pypi/simple/(?P<name>[^/]+)", self._with_slash),
            (r"/pypi/simple/(?P<name>[^/]+)/", self._project),
            (r"/pypi/files/(?P<name>[^/]+)/(?P<version>[^/]+)/(?P<file>[^/]+)\.metadata", self._metadata),
            (r"/pypi/files/(?P<name>[^/]+)/(?P<version>[^/]+)/(?P<file>[^/]+)", self._python_file),
            (r"/pypi/integrity/(?P<name>[^/]+)/(?P<version>[^/]+)/(?P<file>[^/]+)/provenance", self._provenance),
            (r"/npm/-/ping", _pong),
            (r"/npm/files/(?P<version>[^/]+)/(?P<file>[^/]+)/(?P<name>(?:@[^/]+/)?[^/]+)", self._node_file),
            (r"/npm/(?P<name>@[^/]+/[^/]+|[^/]+)", self._package),
        ]
        return Table([Route(method="GET", pattern=one, act=Act.READ, run=run) for one, run in read], refuse)

    # --- Python

    def _projects(self, ask: Ask) -> Response:
        names = [row[0] for row in self._all.review.packages("pypi")]
        if _wants_json(ask):
            body = {"meta": {"api-version": _API}, "projects": [{"name": name} for name in names]}
            return Response(json.dumps(body), media_type=_JSON)
        lines = "".join(f'<a href="{quote(name)}/">{escape(name)}</a><br>\n' for name in names)
        return _page("Simple index", lines)

    def _with_slash(self, ask: Ask) -> Response:
        return RedirectResponse(f"{ask.base}/pypi/simple/{normal('pypi', ask.part['name'])}/", 301)

    def _project(self, ask: Ask) -> Response:
        name = normal("pypi", ask.part["name"])
        if name != ask.part["name"]:
            return RedirectResponse(f"{ask.base}/pypi/simple/{name}/", 301)
        project = self._all.packages.project("pypi", name, ask.caller.scope)
        offers = list(self._shown(project))
        if _wants_json(ask):
            return Response(msgspec.json.encode(self._document(ask, project, offers)), media_type=_JSON)
        return _page(f"Links for {name}", "".join(self._link(ask, name, one) for one in offers))

    def _shown(self, project: Project) -> Iterator[Offer]:
        """What clients may choose from: everything, or only what was approved where nothing is inspected on demand."""
        for offer in project.offers:
            if offer.state in SERVED or self._house.terms.on_demand or (offer.denied and offer.case):
                yield offer

    def _document(self, ask: Ask, project: Project, offers: list[Offer]) -> dict[str, Any]:
        versions = sorted({one.file.version for one in offers})
        return {
            "meta": {"api-version": _API}, "name": project.name, "versions": versions,
            "project-status": {"status": project.status}, "files": [self._row(ask, project.name, one) for one in offers],
        }  # fmt: skip

    def _row(self, ask: Ask, name: str, offer: Offer) -> dict[str, Any]:
        one = offer.file
        sha256 = offer.sha256 or one.digest.removeprefix("sha256:")
        row: dict[str, Any] = {
            "filename": one.file, "url": _python_address(ask, name, offer), "hashes": {"sha256": sha256} if sha256 else {},
            "yanked": offer.denied or one.withdrawn or False,
        }  # fmt: skip
        if one.size >= 0:
            row["size"] = one.size
        if one.released:
            row["upload-time"] = one.released
        if one.python:
            row["requires-python"] = one.python
        if offer.metadata:
            row["core-metadata"] = {"sha256": offer.metadata}
        if offer.provenance:
            row["provenance"] = _provenance_address(ask, name, offer)
        return row

    def _link(self, ask: Ask, name: str, offer: Offer) -> str:
        one = offer.file
        sha256 = offer.sha256 or one.digest.removeprefix("sha256:")
        marks = f' data-requires-python="{escape(one.python)}"' if one.python else ""
        if offer.denied or one.withdrawn:
            marks += f' data-yanked="{escape(offer.denied or one.withdrawn)}"'
        if offer.metadata:
            marks += f' data-core-metadata="sha256={offer.metadata}" data-dist-info-metadata="sha256={offer.metadata}"'
        if offer.provenance:
            marks += f' data-provenance="{escape(_provenance_address(ask, name, offer))}"'
        address = (
            f"{_python_address(ask, name, offer)}#sha256={sha256}" if sha256 else _python_address(ask, name, offer)
        )
        return f'<a href="{escape(address)}"{marks}>{escape(one.file)}</a><br>\n'

    def _python_file(self, ask: Ask) -> Response:
        return self._file(ask, "pypi")

    def _metadata(self, ask: Ask) -> Response:
        offer = self._offer(ask, "pypi")
        if not offer.metadata:
            raise Refusal(No.ENTRY, "there is no metadata beside this file", hint="take the file")
        size = self._house.blobs.size(offer.metadata)
        return BlobResponse(self._house.blobs, offer.metadata, size, asked="", headers={})

    def _provenance(self, ask: Ask) -> Response:
        offer = self._offer(ask, "pypi")
        if not offer.provenance:
            raise Refusal(No.ENTRY, "the index has no attestations of this file", hint="nobody can say who built it")
        body = b"".join(self._house.blobs.read(offer.provenance))
        return Response(body, media_type=_INTEGRITY)

    # --- both

    def _offer(self, ask: Ask, kind: str) -> Offer:
        """A file that may be handed out, after its inspection where it has to be. Raises Refusal that says why not."""
        name, version, file = normal(kind, ask.part["name"]), ask.part["version"], ask.part["file"]
        if not self._house.terms.on_demand:
            ask.caller.must(Act.REQUEST)
        offer, case = self._all.packages.want(kind, name, version, file, ask.caller)
        end = time.monotonic() + self._house.terms.patience
        while offer.state in MOVING and time.monotonic() < end:
            time.sleep(_POLL)
            offer, case = self._all.packages.want(kind, name, version, file, ask.caller)
        if offer.state in SERVED:
            return offer
        raise Refusal(No.FORBIDDEN, offer.denied or "it is being inspected; try again in a minute", case=case)

    def _file(self, ask: Ask, kind: str) -> Response:
        offer = self._offer(ask, kind)
        size = self._house.blobs.size(offer.sha256)
        asked = ask.request.headers.get("range", "")
        headers = {"ETag": f'"{offer.sha256}"'}
        return BlobResponse(self._house.blobs, offer.sha256, size, asked=asked, headers=headers)

    # --- npm

    def _node_file(self, ask: Ask) -> Response:
        return self._file(ask, "npm")

    def _package(self, ask: Ask) -> Response:
        project = self._all.packages.project("npm", ask.part["name"], ask.caller.scope)
        offers = {one.file.version: one for one in self._shown(project)}
        said = project.document.get("versions", {})
        versions = {
            version: self._manifest(ask, project.name, said[version], offer)
            for version, offer in offers.items()
            if isinstance(said.get(version), dict)
        }
        tags = self._tags(project, offers)
        body = {"name": project.name, "dist-tags": tags, "versions": versions}
        if "application/vnd.npm.install-v1+json" not in ask.request.headers.get("accept", ""):
            times = project.document.get("time")
            body["time"] = {k: v for k, v in times.items() if k in versions} if isinstance(times, dict) else {}
        return Response(msgspec.json.encode(body), media_type="application/json")

    def _manifest(self, ask: Ask, name: str, said: dict[str, Any], offer: Offer) -> dict[str, Any]:
        """A version as clients need it. Nothing that would lead them elsewhere is handed on."""
        row: dict[str, Any] = {key: said[key] for key in _KEPT if key in said}
        one = offer.file
        address = f"{ask.base}/npm/files/{quote(one.version)}/{quote(one.file)}/{quote(name, safe='@/')}"
        dist = said.get("dist", {})
        row["dist"] = {"tarball": address, "integrity": one.digest, "shasum": str(dist.get("shasum", ""))}
        if offer.denied or one.withdrawn:
            row["deprecated"] = offer.denied or one.withdrawn
        return row

    def _tags(self, project: Project, offers: dict[str, Offer]) -> dict[str, str]:
        """The tags of the index; one that names a denied version names the latest that is not."""
        said = project.document.get("dist-tags")
        tags = {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {}
        open_ = [version for version, one in offers.items() if not one.denied]
        for tag, version in list(tags.items()):
            if version not in offers or (offers[version].denied and open_):
                stable = [one for one in open_ if "-" not in one]
                if tag == "latest" and (stable or open_):
                    tags[tag] = (stable or open_)[-1]
                else:
                    del tags[tag]
        return tags


def _python_address(ask: Ask, name: str, offer: Offer) -> str:
    return f"{ask.base}/pypi/files/{name}/{quote(offer.file.version)}/{quote(offer.file.file)}"


def _provenance_address(ask: Ask, name: str, offer: Offer) -> str:
    return f"{ask.base}/pypi/integrity/{name}/{quote(offer.file.version)}/{quote(offer.file.file)}/provenance"


def _wants_json(ask: Ask) -> bool:
    """Whether a client would rather have JSON. Source: PEP 691, content negotiation."""
    best = {"json": 0.0, "html": 0.0}
    for part in ask.request.headers.get("accept", "").split(","):
        kind, *marks = (piece.strip() for piece in part.split(";"))
        weight = next((mark[2:] for mark in marks if mark.startswith("q=")), "1")
        try:
            number = float(weight)
        except ValueError:
            continue
        if kind in {_JSON, "application/vnd.pypi.simple.latest+json"}:
            best["json"] = max(best["json"], number)
        elif kind in {_HTML, "text/html", "*/*"}:
            best["html"] = max(best["html"], number)
    return best["json"] > 0 and best["json"] >= best["html"]


def _page(title: str, lines: str) -> Response:
    head = f'<meta name="pypi:repository-version" content="{_API}"><title>{escape(title)}</title>'
    return Response(
        f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{lines}</body></html>\n", media_type="text/html"
    )


def _pong(_ask: Ask) -> Response:
    return JSONResponse({})
