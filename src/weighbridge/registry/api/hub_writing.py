"""Knows the Hub API, writing: repositories, uploads, commits, branches and tags. What is pushed waits for its decision.

Source: huggingface_hub as a client; git-lfs batch API (basic and multipart transfers).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field
from starlette.responses import JSONResponse, Response

from weighbridge.provenance.lock import git_blob
from weighbridge.registry.api.asking import Ask, Route
from weighbridge.registry.api.hub import API, NAME, REV, kind_of
from weighbridge.registry.services.access import Act
from weighbridge.registry.services.cases import Kept
from weighbridge.registry.services.mirrors import large
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Change, checked_path

if TYPE_CHECKING:
    from weighbridge.registry.services import Services

_REGULAR: Final = 5 << 20
_BINARY: Final = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".h5", ".keras", ".msgpack", ".pkl", ".pickle",
    ".joblib", ".npy", ".npz", ".parquet", ".arrow", ".tflite", ".zip", ".gz", ".tar", ".7z", ".xz", ".zst", ".model",
)  # fmt: skip
_GIT_LFS: Final = "application/vnd.git-lfs+json"
_MOST: Final = 256
_NO_XET: Final = "this registry takes uploads by LFS: set HF_HUB_DISABLE_XET=1"


class _Create(Struct):
    name: str
    organization: str | None = None
    type: str | None = None


class _Sampled(Struct):
    path: str
    size: int
    sample: str = ""


class _Preupload(Struct):
    files: list[_Sampled]


class _Object(Struct):
    oid: str
    size: int


class _Batch(Struct):
    operation: str
    objects: list[_Object]
    transfers: list[str] = []


class _Part(Struct):
    number: int = field(name="partNumber")
    etag: str


class _Parts(Struct):
    oid: str
    parts: list[_Part]


class _Line(Struct):
    key: str
    value: dict[str, Any]


class _Ref(Struct):
    starting_point: str | None = field(name="startingPoint", default=None)
    tag: str | None = None


class HubWriting:
    """The routes that write."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house

    def routes(self) -> tuple[Route, ...]:
        """The routes. Uploads carry their permission in the address; all others need a publisher."""
        object_ = r"/upload/(?P<nonce>[\w-]{43})/(?P<oid>[0-9a-f]{64})"
        lfs = rf"/(?:(?P<kind>datasets|spaces)/)?{NAME}\.git/info/lfs/objects/batch"
        write = [
            ("POST", r"/api/repos/create", self._create, "whole"),
            ("DELETE", r"/api/repos/delete", self._delete, "whole"),
            ("POST", rf"{API}/preupload/{REV}", self._preupload, "whole"),
            ("POST", lfs, self._batch, "whole"),
            ("POST", r"/upload/verify", self._verify, "whole"),
            ("POST", rf"{API}/commit/{REV}", self._commit, "whole"),
            ("POST", rf"{API}/branch/{REV}", self._add_branch, "whole"),
            ("DELETE", rf"{API}/branch/{REV}", self._drop_branch, "none"),
            ("POST", rf"{API}/tag/{REV}", self._add_tag, "whole"),
            ("DELETE", rf"{API}/tag/{REV}", self._drop_tag, "none"),
            ("GET", rf"{API}/xet-write-token/{REV}", _no_xet, "none"),
            ("POST", r"/api/validate-yaml", _valid, "whole"),
        ]
        made = [
            Route(method=method, pattern=pattern, act=Act.PUBLISH, run=run, body=body)
            for method, pattern, run, body in write
        ]
        carried = [
            ("PUT", object_, self._put, "stream"),
            ("PUT", rf"{object_}/(?P<number>\d{{1,5}})", self._put_part, "stream"),
            ("POST", object_, self._complete, "whole"),
        ]
        return (*made, *(Route(method=m, pattern=p, act=None, run=r, body=b) for m, p, r, b in carried))

    def _create(self, ask: Ask) -> Response:
        wanted = ask.json(_Create)
        kind = wanted.type or "model"
        name = f"{wanted.organization or ask.caller.name}/{wanted.name.rpartition('/')[2]}"
        name, new = self._all.repositories.create(kind, name, ask.caller)
        url = f"{ask.base}/{'' if kind == 'model' else kind + 's/'}{name}"
        body = {"url": url, "name": name, "id": name}
        return JSONResponse(body if new else {**body, "error": f"there is a {kind} {name}"}, 200 if new else 409)

    def _delete(self, ask: Ask) -> Response:
        del ask
        raise Refusal(
            No.FORBIDDEN, "repositories are kept: what was decided about them must stay provable",
            hint="revoke their revisions instead",
        )  # fmt: skip

    def _preupload(self, ask: Ask) -> Response:
        """How each file is to come. What is refused here costs nobody an upload."""
        found = self._all.repositories.writable(kind_of(ask), ask.part["name"], ask.caller)
        wanted = ask.json(_Preupload)
        if len(wanted.files) > 10 * _MOST:
            raise Refusal(No.TOO_MUCH, f"more than {10 * _MOST} files at a time", hint="ask in several steps")
        tip = self._all.repositories.tip(found.id, ask.part["rev"])
        return JSONResponse({"files": [self._mode(one, tip) for one in wanted.files]})

    def _mode(self, one: _Sampled, tip: dict[str, Kept]) -> dict[str, Any]:
        if one.size > self._house.terms.largest_file:
            raise Refusal(No.TOO_MUCH, f"{one.path}: {one.size} bytes are more than is taken in", hint="split the file")
        path = checked_path(one.path)
        large = one.size > _REGULAR or path.lower().endswith(_BINARY) or not _is_text(one.sample)
        known = tip.get(path)
        oid = (known.sha256 if known.lfs else known.oid) if known else None
        return {
            "path": path,
            "uploadMode": "lfs" if large and one.size else "regular",
            "shouldIgnore": False,
            "oid": oid,
        }

    def _batch(self, ask: Ask) -> Response:
        wanted = ask.json(_Batch)
        found = self._all.repositories.writable(kind_of(ask), ask.part["name"], ask.caller)
        if wanted.operation != "upload" or len(wanted.objects) > _MOST:
            raise Refusal(No.INVALID, "only uploads of up to 256 objects are known", hint="download by the Hub API")
        rows = [self._object(ask, found, one) for one in wanted.objects]
        transfer = "multipart" if any("chunk_size" in str(row) for row in rows) else "basic"
        return JSONResponse({"transfer": transfer, "objects": rows}, media_type=_GIT_LFS)

    def _object(self, ask: Ask, found: Any, one: _Object) -> dict[str, Any]:
        if len(one.oid) != 64 or one.oid.strip("0123456789abcdef") or one.size < 0:
            raise Refusal(No.INVALID, "an object is named by its SHA-256", hint="see the git-lfs specification")
        row: dict[str, Any] = {"oid": one.oid, "size": one.size}
        ticket = self._all.uploads.announce(found, one.oid, one.size, ask.caller)
        if ticket is None:
            return row
        address = f"{ask.base}/upload/{ticket.nonce}/{one.oid}"
        header: dict[str, str] = {}
        if ticket.parts:
            header = {f"{n:05d}": f"{address}/{n}" for n in range(1, ticket.parts + 1)}
            header["chunk_size"] = str(ticket.part_size)
        verify = {"href": f"{ask.base}/upload/verify", "header": {}}
        return {**row, "actions": {"upload": {"href": address, "header": header}, "verify": verify}}

    def _put(self, ask: Ask) -> Response:
        assert ask.pieces is not None
        self._all.uploads.put(ask.part["nonce"], ask.part["oid"], ask.pieces)
        return Response(status_code=200)

    def _put_part(self, ask: Ask) -> Response:
        assert ask.pieces is not None
        tag = self._all.uploads.part(ask.part["nonce"], ask.part["oid"], int(ask.part["number"]), ask.pieces)
        return Response(status_code=200, headers={"ETag": f'"{tag}"'})

    def _complete(self, ask: Ask) -> Response:
        wanted = ask.json(_Parts)
        tags = [(one.number, one.etag.strip('"')) for one in wanted.parts]
        self._all.uploads.complete(ask.part["nonce"], ask.part["oid"], tags)
        return JSONResponse({})

    def _verify(self, ask: Ask) -> Response:
        one = ask.json(_Object)
        if self._house.blobs.size(one.oid) != one.size:
            raise Refusal(No.ENTRY, "the object is not here", hint="upload it again")
        return JSONResponse({})

    def _commit(self, ask: Ask) -> Response:
        kind, name, branch = kind_of(ask), ask.part["name"], ask.part["rev"]
        header, changes = self._lines(ask)
        found = self._all.repositories.writable(kind, name, ask.caller)
        base = ""
        if ask.flag("create_pr"):
            base, branch = branch, f"refs/pr/{self._all.repositories.next_request(found.id)}"
        commit, case = self._all.repositories.commit(
            kind, name, branch, changes, ask.caller, title=str(header.get("summary", "")),
            message=str(header.get("description", "")), parent=str(header.get("parentCommit") or ""), base=base,
        )  # fmt: skip
        prefix = "" if kind == "model" else f"{kind}s/"
        body = {
            "success": True, "commitOid": commit, "commitUrl": f"{ask.base}/{prefix}{found.name}/commit/{commit}",
            "hookOutput": f"case {case}: it is served once it is approved, see {ask.base}/cases/{case}",
        }  # fmt: skip
        if base:
            body["pullRequestUrl"] = f"{ask.base}/{prefix}{found.name}/discussions/{branch.rpartition('/')[2]}"
        return JSONResponse(body)

    def _lines(self, ask: Ask) -> tuple[dict[str, Any], list[Change]]:
        header: dict[str, Any] = {}
        changes = []
        for line in ask.body.splitlines():
            if not line.strip():
                continue
            try:
                one = msgspec.json.decode(line, type=_Line)
            except msgspec.DecodeError as error:
                raise Refusal(No.INVALID, f"a line of the commit is not understood: {error}") from error
            if one.key == "header":
                header = one.value
            else:
                changes.append(self._change(one))
        return header, changes

    def _change(self, one: _Line) -> Change:
        path = str(one.value.get("path", ""))
        if one.key == "file":
            try:
                data = base64.b64decode(str(one.value.get("content", "")), validate=True)
            except (binascii.Error, ValueError) as error:
                raise Refusal(No.INVALID, f"{path[:80]}: broken base64") from error
            sha256, size = self._house.blobs.put([data])
            return Change(path=path, file=Kept(path=path, size=size, sha256=sha256, oid=git_blob(data), lfs=False))
        if one.key == "lfsFile":
            oid = str(one.value.get("oid", ""))
            size = self._house.blobs.size(oid) if len(oid) == 64 and not oid.strip("0123456789abcdef") else -1
            if size < 0 or one.value.get("size", size) != size:
                raise Refusal(No.INVALID, f"the bytes of {path[:80]} did not arrive", hint="upload them first")
            return Change(path=path, file=large(path, size, oid))
        if one.key == "deletedFolder":
            return Change(path=f"{path.rstrip('/')}/")
        if one.key == "deletedFile":
            return Change(path=path.rstrip("/"))
        raise Refusal(No.INVALID, f"commits know no {one.key[:40]!r}", hint="file, lfsFile, deletedFile, deletedFolder")

    def _add_branch(self, ask: Ask) -> Response:
        at = ask.json(_Ref).starting_point or "main"
        self._all.repositories.add_ref(
            kind_of(ask), ask.part["name"], ask.caller, ref=ask.part["rev"], at=at, tag=False
        )
        return JSONResponse({})

    def _add_tag(self, ask: Ask) -> Response:
        tag = ask.json(_Ref).tag or ""
        self._all.repositories.add_ref(
            kind_of(ask), ask.part["name"], ask.caller, ref=tag, at=ask.part["rev"], tag=True
        )
        return JSONResponse({})

    def _drop_branch(self, ask: Ask) -> Response:
        self._all.repositories.drop_ref(kind_of(ask), ask.part["name"], ask.caller, ref=ask.part["rev"], tag=False)
        return JSONResponse({})

    def _drop_tag(self, ask: Ask) -> Response:
        self._all.repositories.drop_ref(kind_of(ask), ask.part["name"], ask.caller, ref=ask.part["rev"], tag=True)
        return JSONResponse({})


def _is_text(sample: str) -> bool:
    try:
        data = base64.b64decode(sample)
    except (binascii.Error, ValueError):
        return False
    return b"\0" not in data


def _no_xet(_ask: Ask) -> Response:
    raise Refusal(No.INVALID, _NO_XET)


def _valid(_ask: Ask) -> Response:
    return JSONResponse({"errors": [], "warnings": []})
