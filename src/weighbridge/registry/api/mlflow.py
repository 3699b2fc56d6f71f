"""Knows the part of the MLflow REST API that `mlflow.register_model` and `models:/name@alias` need.

Source: mlflow 3.17 as a client (model registry and artifact proxy). A model `net` is the repository `mlflow/net`, a version a branch
`v1`, an alias a tag. What is uploaded waits in a staging area until it is registered; a version is ready once it is approved.
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from starlette.responses import JSONResponse, Response

from weighbridge.registry.api.asking import STATUS, Ask, Route, Table, base_of
from weighbridge.registry.api.bodies import BlobResponse
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.mirrors import large
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Change, checked_path
from weighbridge.registry.services.states import MOVING, SERVED, State, told

if TYPE_CHECKING:
    from starlette.requests import Request

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services import Services

_NAMESPACE: Final = "mlflow"
_V2: Final = r"/mlflow/api/2\.0/mlflow"
_ARTIFACTS: Final = r"/mlflow/api/2\.0/mlflow-artifacts/artifacts"
_SCHEME: Final = "mlflow-artifacts:/"
_CODES: Final = {
    No.REPOSITORY: "RESOURCE_DOES_NOT_EXIST", No.REVISION: "RESOURCE_DOES_NOT_EXIST", No.ENTRY: "RESOURCE_DOES_NOT_EXIST",
    No.CONFLICT: "RESOURCE_ALREADY_EXISTS", No.FORBIDDEN: "PERMISSION_DENIED", No.WHO: "UNAUTHENTICATED",
    No.TOO_MUCH: "REQUEST_LIMIT_EXCEEDED", No.LATER: "TEMPORARILY_UNAVAILABLE", No.INVALID: "INVALID_PARAMETER_VALUE",
}  # fmt: skip


class _Named(Struct):
    name: str


class _NewVersion(Struct):
    name: str
    source: str


class _Alias(Struct):
    name: str
    alias: str
    version: str


def refuse(request: Request, refusal: Refusal) -> Response:
    """A refusal as an MLflow error, whose message the client prints."""
    text = f"{refusal.message}. {refusal.hint}" if refusal.hint else refusal.message
    if refusal.case:
        text += f". See {base_of(request)}/cases/{refusal.case}"
    # The client looks for what exists already by its code, and takes 409 for a conflict to try again.
    status = 400 if refusal.why is No.CONFLICT else STATUS[refusal.why]
    return JSONResponse({"error_code": _CODES[refusal.why], "message": text}, status)


class Mlflow:
    """The routes."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house

    def table(self) -> Table:
        """The routes."""
        rows = [
            ("POST", rf"{_V2}/registered-models/create", Act.PUBLISH, self._create, "whole"),
            ("GET", rf"{_V2}/registered-models/get", Act.READ, self._model, "none"),
            ("POST", rf"{_V2}/registered-models/alias", Act.PUBLISH, self._set_alias, "whole"),
            ("GET", rf"{_V2}/registered-models/alias", Act.READ, self._by_alias, "none"),
            ("POST", rf"{_V2}/model-versions/create", Act.PUBLISH, self._new_version, "whole"),
            ("GET", rf"{_V2}/model-versions/get", Act.READ, self._version, "none"),
            ("GET", rf"{_V2}/model-versions/get-download-uri", Act.READ, self._where, "none"),
            ("GET", r"/mlflow/api/3\.0/mlflow/server-info", Act.READ, _server, "none"),
            ("GET", _ARTIFACTS, Act.READ, self._list, "none"),
            ("GET", rf"{_ARTIFACTS}/(?P<path>.+)", Act.READ, self._get, "none"),
            ("PUT", rf"{_ARTIFACTS}/(?P<path>.+)", Act.PUBLISH, self._put, "stream"),
        ]
        return Table([Route(method=m, pattern=p, act=a, run=r, body=b) for m, p, a, r, b in rows], refuse)

    # --- models and versions

    def _create(self, ask: Ask) -> Response:
        name, new = self._all.repositories.create("model", _full(ask.json(_Named).name), ask.caller)
        if not new:
            raise Refusal(No.CONFLICT, f"there is a model {_short(name)}")
        return JSONResponse({"registered_model": {"name": _short(name)}})

    def _model(self, ask: Ask) -> Response:
        name = _full(ask.query("name"))
        aliases = [
            {"alias": ref, "version": self._number_of(name, commit)}
            for kind, ref, commit in self._all.repositories.refs("model", name)
            if kind == "tag"
        ]
        return JSONResponse({"registered_model": {"name": _short(name), "aliases": aliases}})

    def _number_of(self, name: str, commit: str) -> str:
        row = self._all.repositories.revision("model", name, commit)
        return row.branch.removeprefix("v") if row else ""

    def _new_version(self, ask: Ask) -> Response:
        wanted = ask.json(_NewVersion)
        prefix = wanted.source.removeprefix(_SCHEME).strip("/")
        files = self._all.staging.below(prefix) if wanted.source.startswith(_SCHEME) else []
        if not files:
            raise Refusal(
                No.INVALID, f"{wanted.source[:200]} is not in the artifact store of this registry",
                hint="log it there first (mlflow-artifacts:/…), or weighbridge registry push",
            )  # fmt: skip
        name = _full(wanted.name)
        changes = []
        for path, sha256, size in files:
            short = checked_path(path[len(prefix) :].lstrip("/"))
            changes.append(Change(path=short, file=large(short, size, sha256)))
        number = self._all.repositories.next_version("model", name)
        _, case = self._all.repositories.commit(
            "model", name, f"v{number}", changes, ask.caller, title=f"version {number} of {_short(name)}"
        )
        return self._told(ask, name, case)

    def _row(self, name: str, version: str) -> Record:
        row = self._all.repositories.tip_row("model", name, f"v{version}")
        if row is None:
            raise Refusal(No.ENTRY, f"{_short(name)} has no version {version}")
        return row

    def _version(self, ask: Ask) -> Response:
        name = _full(ask.query("name"))
        return self._told(ask, name, self._row(name, ask.query("version")).id)

    def _told(self, ask: Ask, name: str, case: int) -> Response:
        with self._house.database.read() as connection:
            row = self._all.cases.row(connection, case)
        state = State(row.state)
        waits = state in MOVING or state is State.REVIEW
        status = "READY" if state in SERVED else "PENDING_REGISTRATION" if waits else "FAILED_REGISTRATION"
        body: dict[str, Any] = {
            "name": _short(name), "version": row.branch.removeprefix("v"), "status": status, "current_stage": "None",
            "source": f"{_SCHEME}{name}/{row.branch}", "creation_timestamp": int(row.opened * 1000),
            "last_updated_timestamp": int((row.closed or row.opened) * 1000), "run_id": "", "user_id": row.requester,
        }  # fmt: skip
        if state not in SERVED:
            body["status_message"] = f"{told(state, row.id, row.because)}. See {ask.base}/cases/{row.id}"
        return JSONResponse({"model_version": body})

    def _set_alias(self, ask: Ask) -> Response:
        wanted = ask.json(_Alias)
        name = _full(wanted.name)
        found = self._all.repositories.writable("model", name, ask.caller)
        row = self._row(name, wanted.version)
        with self._house.database.write() as connection:
            self._all.repositories.point(connection, found.id, "tag", checked_path(wanted.alias), tip=row.label)
        return JSONResponse({})

    def _by_alias(self, ask: Ask) -> Response:
        name = _full(ask.query("name"))
        served = self._all.repositories.served("model", name, ask.query("alias"), ask.caller.scope)
        return self._told(ask, name, served.revision)

    def _where(self, ask: Ask) -> Response:
        name, version = _full(ask.query("name")), ask.query("version")
        self._all.repositories.served("model", name, f"v{version}", ask.caller.scope)
        return JSONResponse({"artifact_uri": f"{_SCHEME}{name}/v{version}"})

    # --- artifacts

    def _list(self, ask: Ask) -> Response:
        path = ask.query("path").strip("/")
        served, inside = self._served(path, ask.caller.scope)
        start = f"{inside}/" if inside else ""
        seen: dict[str, dict[str, Any]] = {}
        for file in self._all.repositories.files(served):
            if file.path.startswith(start):
                first, slash, _ = file.path[len(start) :].partition("/")
                seen.setdefault(
                    first, {"path": first, "is_dir": bool(slash), **({} if slash else {"file_size": file.size})}
                )
        return JSONResponse({"files": list(seen.values())})

    def _served(self, path: str, scope: str) -> tuple[int, str]:
        """(revision, path inside it) of an approved version. Raises Refusal for everything else: what is staged is not handed out."""
        parts = path.split("/", 3)
        if len(parts) < 3 or parts[0] != _NAMESPACE:
            raise Refusal(No.ENTRY, "only approved versions are handed out", hint="mlflow-artifacts:/mlflow/NAME/vN")
        served = self._all.repositories.served("model", f"{parts[0]}/{parts[1]}", parts[2], scope)
        return served.revision, parts[3] if len(parts) > 3 else ""

    def _get(self, ask: Ask) -> Response:
        revision, inside = self._served(ask.part["path"], ask.caller.scope)
        file = self._all.repositories.file(revision, inside)
        if file is None:
            raise Refusal(No.ENTRY, f"there is no {inside}")
        headers = {"X-Content-Type": mimetypes.guess_type(inside)[0] or "application/octet-stream"}
        return BlobResponse(
            self._house.blobs, file.sha256, file.size, asked=ask.request.headers.get("range", ""), headers=headers
        )

    def _put(self, ask: Ask) -> Response:
        assert ask.pieces is not None
        self._all.staging.put(checked_path(ask.part["path"]), ask.pieces, ask.caller)
        return JSONResponse({})


def _full(name: str) -> str:
    if not name or "/" in name:
        raise Refusal(No.INVALID, f"{name[:80]!r} cannot name a model here", hint="letters, digits, . _ -")
    return f"{_NAMESPACE}/{name}"


def _short(name: str) -> str:
    return name.partition("/")[2]


def _server(_ask: Ask) -> Response:
    return JSONResponse({"store_type": "SqlStore"})
