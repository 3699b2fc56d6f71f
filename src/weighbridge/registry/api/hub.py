"""Knows the Hub API, reading: what huggingface_hub, transformers and datasets ask, answered with what was approved.

Source: huggingface_hub 0.36, 1.x and 2.x as clients. Nothing here ever names another place to fetch from.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from weighbridge.registry.api.asking import STATUS, Ask, Hurried, Route, Table, base_of, header_text
from weighbridge.registry.api.bodies import BlobResponse
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import EMPTY
from weighbridge.registry.services.states import MOVING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from weighbridge.registry.services import Services
    from weighbridge.registry.services.cases import Kept
    from weighbridge.registry.services.repositories import Served

NAME: Final = r"(?P<name>[^/]+(?:/[^/]+)?)"
API: Final = rf"/api/(?P<kind>models|datasets|spaces)/{NAME}"
REV: Final = r"(?P<rev>[^/]+)"
_FILE: Final = rf"/(?:(?P<kind>datasets|spaces)/)?{NAME}/resolve/{REV}/(?P<path>.+)"
_CODES: Final = {No.REPOSITORY: "RepoNotFound", No.REVISION: "RevisionNotFound", No.ENTRY: "EntryNotFound"}
_PAGE: Final = 1000
_EXPANDED: Final = 50
_POLL: Final = 0.15


def refuse(request: Request, refusal: Refusal) -> Response:
    """A refusal in the words that hub clients show to their user."""
    text = f"{refusal.message}. {refusal.hint}" if refusal.hint else refusal.message
    if refusal.case:
        text += f". See {base_of(request)}/cases/{refusal.case}"
    if refusal.why is No.WHO and refusal.message.startswith("Invalid"):
        text = refusal.message
    status = 412 if refusal.why is No.CONFLICT else STATUS[refusal.why]
    headers = {"X-Error-Message": header_text(text)}
    if refusal.why in _CODES:
        headers["X-Error-Code"] = _CODES[refusal.why]
    if refusal.commit:
        headers["X-Repo-Commit"] = refusal.commit
    if refusal.why is No.LATER:
        headers["Retry-After"] = "5"
    return JSONResponse({"error": text}, status, headers=headers)


class HubReading:
    """The routes that read."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house

    def table(self, more: tuple[Route, ...]) -> Table:
        """The routes, with those that write."""
        read = [
            ("GET", _FILE, self._resolve),
            ("GET", rf"{API}/revision/{REV}", self._info),
            ("GET", rf"{API}/tree/{REV}(?:/(?P<path>.*))?", self._tree),
            ("POST", rf"{API}/paths-info/{REV}", self._paths),
            ("GET", rf"{API}/refs", self._refs),
            ("GET", rf"{API}/commits/{REV}", self._commits),
            ("GET", rf"{API}/auth-check", self._auth_check),
            ("GET", API, self._info),
            ("GET", r"/api/(?P<kind>models|datasets|spaces)", self._listed),
            ("GET", r"/api/whoami-v2", self._whoami),
        ]
        routes = [
            Route(
                method=method,
                pattern=pattern,
                act=Act.READ,
                run=run,
                body="whole" if method == "POST" else "none",
                quick=True,
            )
            for method, pattern, run in read
        ]
        quiet = Route(method="GET", pattern=r"/api/(?:telemetry|agent-harnesses)(?:/.*)?", act=None, run=_nothing)
        return Table([*more, *routes, quiet], refuse)

    # --- what is handed out

    def served(self, ask: Ask) -> Served:
        """The revision that a request means. Where it is not here it is asked for, and waited for a little.

        Raises Refusal.
        """
        kind, name, revision = kind_of(ask), ask.part["name"], ask.part.get("rev") or "main"
        try:
            return self._all.repositories.served(kind, name, revision, ask.caller.scope)
        except Refusal as refusal:
            if refusal.why not in {No.REPOSITORY, No.REVISION}:
                raise
            if ask.hurried:
                raise Hurried from None
            known = refusal
            if not refusal.case or not self._moving(refusal.case):
                ask.caller.must(Act.REQUEST)
                wanted = self._all.mirrors.want(kind, name, revision, ask.caller)
                known = wanted or refusal
        return self._waited(ask.caller.scope, kind, name, revision, known)

    def _moving(self, case: int) -> bool:
        with self._house.database.read() as connection:
            return self._all.cases.row(connection, case).state in MOVING

    def _waited(self, scope: str, kind: str, name: str, revision: str, refusal: Refusal) -> Served:
        """What becomes of a case within the patience of the registry. Raises the refusal that holds at its end."""
        end = time.monotonic() + self._house.terms.patience
        while refusal.case and self._moving(refusal.case) and time.monotonic() < end:
            time.sleep(_POLL)
        if not refusal.case:
            raise refusal
        return self._all.repositories.served(kind, name, revision, scope)

    def _resolve(self, ask: Ask) -> Response:
        served = self.served(ask)
        path = ask.part["path"]
        file = self._all.repositories.file(served.revision, path)
        if file is None:
            raise Refusal(No.ENTRY, f"{served.name} has no file {path}", commit=served.label)
        headers = {"X-Repo-Commit": served.label, "ETag": f'"{_etag(file)}"', **_warning(served)}
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}"
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        asked = ask.request.headers.get("range", "")
        return BlobResponse(self._house.blobs, file.sha256, file.size, asked=asked, headers=headers)

    # --- what is said about it

    def _info(self, ask: Ask) -> Response:
        kind = kind_of(ask)
        try:
            served = self.served(ask)
        except Refusal:
            empty = self._all.repositories.is_empty(kind, ask.part["name"])
            if empty is None:
                raise
            return JSONResponse(_described(kind, empty.name, EMPTY, empty.created))
        files = self._all.repositories.files(served.revision)
        blobs = "blobs" in ask.request.query_params or "files_metadata" in ask.request.query_params
        body = _described(kind, served.name, served.label, served.created)
        body["siblings"] = [_sibling(file, blobs=blobs) for file in files]
        body["usedStorage"] = sum(file.size for file in files)
        if ask.flag("securityStatus"):
            body["securityRepoStatus"] = self._security(served)
        task = None if served.hosted else BackgroundTask(self._look_again, ask, kind, served)
        return JSONResponse(body, headers=_warning(served), background=task)

    def _look_again(self, ask: Ask, kind: str, served: Served) -> None:
        """A branch that is served may have moved upstream."""
        self._all.mirrors.want(kind, served.name, ask.part.get("rev") or "main", ask.caller)

    def _security(self, served: Served) -> dict[str, Any]:
        files = [
            {"path": member, "level": "unsafe" if rank <= 1 else "caution"}
            for member, rank in self._all.review.worst_by_file(served.revision)
        ]
        return {"scansDone": True, "filesWithIssues": files}

    def _tree(self, ask: Ask) -> Response:
        served = self.served(ask)
        above = ask.part.get("path", "").strip("/")
        expand = ask.flag("expand")
        files = self._all.repositories.files(served.revision)
        found = list(_entries(files, above, recursive=ask.flag("recursive"), expand=expand, served=served))
        if above and not found:
            raise Refusal(No.ENTRY, f"{served.name} has no folder {above}", commit=served.label)
        start, most = ask.number("cursor", 0, 1 << 30), _EXPANDED if expand else _PAGE
        headers = _warning(served)
        if start + most < len(found):
            query = {**dict(ask.request.query_params), "cursor": start + most}
            headers["Link"] = f'<{ask.base}{ask.request.url.path}?{urlencode(query)}>; rel="next"'
        return JSONResponse(found[start : start + most], headers=headers)

    def _paths(self, ask: Ask) -> Response:
        served = self.served(ask)
        json = "json" in ask.request.headers.get("content-type", "")
        asked = ask.json().get("paths", []) if json else ask.form().get("paths", [])
        files = {file.path: file for file in self._all.repositories.files(served.revision)}
        found = []
        for path in asked:
            short = str(path).strip("/")
            if short in files:
                found.append(_entry(files[short], expand=False, served=served))
            elif any(name.startswith(f"{short}/") for name in files):
                found.append(_folder(short))
        return JSONResponse(found, headers=_warning(served))

    def _refs(self, ask: Ask) -> Response:
        found = self._all.repositories.refs(kind_of(ask), ask.part["name"])
        body: dict[str, Any] = {"branches": [], "converts": [], "tags": []}
        for kind, name, commit in found:
            where, prefix = ("tags", "refs/tags/") if kind == "tag" else ("branches", "refs/heads/")
            if not name.startswith("refs/pr/"):
                body[where].append({"name": name, "ref": f"{prefix}{name}", "targetCommit": commit})
        if ask.flag("include_prs"):
            body["pullRequests"] = [
                {"name": name[5:], "ref": name, "targetCommit": commit}
                for _, name, commit in found
                if name.startswith("refs/pr/")
            ]
        return JSONResponse(body)

    def _commits(self, ask: Ask) -> Response:
        rows = self._all.repositories.history(self.served(ask))
        return JSONResponse(
            [
                {
                    "id": row.label, "title": row.title, "message": row.message, "date": _date(row.opened),
                    "authors": [{"user": row.requester, "avatar": ""}],
                }
                for row in rows
            ]
        )  # fmt: skip

    def _listed(self, ask: Ask) -> Response:
        rows = self._all.repositories.listed(
            kind_of(ask), search=ask.query("search"), author=ask.query("author"), limit=ask.number("limit", 100, 1000)
        )
        return JSONResponse([_described(kind_of(ask), row[0], row[1], row[2]) for row in rows])

    def _whoami(self, ask: Ask) -> Response:
        caller = ask.caller
        role = "write" if caller.may(Act.PUBLISH) else "read"
        return JSONResponse(
            {
                "type": "user", "id": caller.name, "name": caller.name, "fullname": caller.name, "orgs": [],
                "auth": {"type": "access_token", "accessToken": {"displayName": "weighbridge", "role": role}},
            }
        )  # fmt: skip

    def _auth_check(self, ask: Ask) -> Response:
        self.served(ask)
        return JSONResponse({})


def kind_of(ask: Ask) -> str:
    """The kind of repository that an address names."""
    return (ask.part.get("kind") or "models").removesuffix("s")


def _nothing(_ask: Ask) -> Response:
    return JSONResponse({"error": "not here"}, 404)


def _etag(file: Kept) -> str:
    """What the client calls the blob in its cache: the SHA-256 of a large file, the git object of a small one."""
    return file.sha256 if file.lfs else file.oid


def _warning(served: Served) -> dict[str, str]:
    return {"X-HF-Warning": f"weighbridge; {header_text(served.warning)}"} if served.warning else {}


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _described(kind: str, name: str, commit: str, created: float) -> dict[str, Any]:
    body: dict[str, Any] = {
        "_id": commit[:24], "id": name, "author": name.partition("/")[0], "sha": commit, "lastModified": _date(created),
        "createdAt": _date(created), "private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0,
        "tags": [], "siblings": [],
    }  # fmt: skip
    if kind == "model":
        body["modelId"] = name
    return body


def _sibling(file: Kept, *, blobs: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        row |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            row["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return row


def _entry(file: Kept, *, expand: bool, served: Served) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    if file.lfs:
        row["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    if expand:
        row["lastCommit"] = {"id": served.label, "title": "approved", "date": _date(served.created)}
        row["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return row


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": EMPTY, "size": 0, "path": path}


def _entries(
    files: list[Kept], above: str, *, recursive: bool, expand: bool, served: Served
) -> Iterator[dict[str, Any]]:
    """Files and folders below a folder, each folder before what is in it."""
    start = f"{above}/" if above else ""
    seen = set()
    for file in files:
        if not file.path.startswith(start):
            continue
        parts = file.path[len(start) :].split("/")
        for depth in range(1, len(parts)):
            folder = start + "/".join(parts[:depth])
            if folder not in seen and (recursive or depth == 1):
                seen.add(folder)
                yield _folder(folder)
        if recursive or len(parts) == 1:
            yield _entry(file, expand=expand, served=served)
