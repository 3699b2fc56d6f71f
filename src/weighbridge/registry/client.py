"""Knows how to talk to a registry: ask, decide, push, and pull with everything verified. Needs no server parts."""

from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urljoin

import msgspec
import urllib3
from msgspec import Struct

from weighbridge.provenance import attestation, keys, merkle
from weighbridge.provenance.bundle import Trust
from weighbridge.provenance.checkpoint import Checkpoint
from weighbridge.provenance.checkpoint import read as read_checkpoint
from weighbridge.provenance.predicates import Approval
from weighbridge.schema import SourceError, UsageError, VerificationFailed
from weighbridge.source.whole import Unfinished, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.attestation import Attestation
    from weighbridge.provenance.keys import PublicKey
    from weighbridge.schema.alert import Alert, Pulse

_V1: Final = "/api/weighbridge/v1"
_PIECE: Final = 1 << 20
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")


class Pinned(Struct, frozen=True, kw_only=True):
    """What is remembered of a registry: its address, a token, its keys, and the last checkpoint that was seen."""

    address: str
    token: str
    decisions: str
    log: str
    checkpoint: str = ""


class Case(Struct, frozen=True, kw_only=True):
    """A case as the registry tells it. Times are seconds since 1970."""

    id: int
    kind: str
    name: str
    revision: str
    branch: str
    state: str
    because: str
    requester: str
    opened: float
    digest: str = ""
    scopes: tuple[str, ...] = ()
    expires: float = 0.0


class Registry:
    """A registry at an address. Every method raises SourceError where it cannot be reached, or says no."""

    def __init__(self, pinned: Pinned, *, remember: str = "") -> None:
        """`remember` is the file in which the last checkpoint that was seen is kept."""
        self._pinned, self._remember = pinned, remember
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=120), retries=False)

    @classmethod
    def at(cls, address: str, token: str) -> Registry:
        """A registry whose keys are taken as they are now; keep `pinned` to notice when they change."""
        bare = cls(Pinned(address=address.rstrip("/"), token=token, decisions="", log=""))
        said = json.loads(bare._call("GET", f"{_V1}/keys"))
        return cls(Pinned(address=address.rstrip("/"), token=token, decisions=said["decisions"], log=said["log"]))

    @property
    def pinned(self) -> Pinned:
        """What to keep of this registry."""
        return self._pinned

    # --- asking and deciding

    def request(self, kind: str, name: str, revision: str = "main") -> Case:
        """Ask for something to be let in."""
        return self._case(self._call("POST", f"{_V1}/cases", {"kind": kind, "name": name, "revision": revision}))

    def case(self, number: int) -> Case:
        """One case."""
        return self._case(self._call("GET", f"{_V1}/cases/{number}"))

    def cases(self, *, state: str = "", kind: str = "", text: str = "", limit: int = 50) -> list[Case]:
        """Cases, latest first."""
        query = urlencode({"state": state, "kind": kind, "q": text, "limit": limit})
        return msgspec.json.decode(self._call("GET", f"{_V1}/cases?{query}"), type=list[Case])

    def decide(self, number: int, what: str, reason: str, *, scopes: tuple[str, ...] = (), days: float = 0) -> str:
        """Approve, reject, revoke, deprecate, reopen or rescan; the state that the case is in then."""
        body = {"reason": reason, "scopes": list(scopes), "days": days}
        return str(json.loads(self._call("POST", f"{_V1}/cases/{number}/{what}", body))["state"])

    def waive(self, number: int, rule: str, member: str, reason: str, *, days: int = 90) -> None:
        """Accept a finding in the files of a case for a while; `decide(…, "rescan", …)` has it judged with that."""
        body = {"rule": rule, "member": member, "reason": reason, "days": days}
        self._call("POST", f"{_V1}/cases/{number}/waive", body)

    def served(self, kind: str, name: str, revision: str = "main") -> Case | None:
        """The case of what is handed out under a name, or nothing where nothing is."""
        try:
            info = json.loads(self._call("GET", f"/api/{kind}s/{name}/revision/{quote(revision, safe='')}"))
        except SourceError as error:
            if " 404" not in error.message:
                raise
            return None
        return next((one for one in self._cases_of(kind, name) if one.revision == str(info["sha"])), None)

    def _cases_of(self, kind: str, name: str) -> list[Case]:
        return [one for one in self.cases(text=name, kind=kind, limit=200) if one.name.lower() == name.lower()]

    def roll_back(self, kind: str, name: str, reason: str, branch: str = "main") -> tuple[Case, Case | None]:
        """(what was revoked, the last good revision that its branch serves instead). Raises UsageError where nothing is served."""
        bad = self.served(kind, name, branch)
        if bad is None:
            raise UsageError(f"{kind} {name} serves nothing on {branch}", hint="weighbridge registry status")
        self.decide(bad.id, "revoke", reason)
        return bad, self.served(kind, name, branch)

    def point_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias of an MLflow model name a version."""
        body = {"name": name, "alias": alias, "version": version}
        self._call("POST", "/mlflow/api/2.0/mlflow/registered-models/alias", body)

    def add_user(self, name: str, role: str, kind: str = "person") -> None:
        """Add a user."""
        self._call("POST", f"{_V1}/users", {"name": name, "role": role, "kind": kind})

    def users(self) -> list[dict[str, Any]]:
        """The users."""
        found: list[dict[str, Any]] = json.loads(self._call("GET", f"{_V1}/users"))
        return found

    def new_token(
        self, user: str, name: str, *, role: str = "", namespace: str = "", scope: str = "", days: float = 90
    ) -> str:
        """A token, shown once."""
        body = {"user": user, "name": name, "role": role, "namespace": namespace, "scope": scope, "days": days}
        return str(json.loads(self._call("POST", f"{_V1}/tokens", body))["token"])

    def tell(self, alert: Alert) -> None:
        """Tell what a monitor found. Raises OSError where it was not taken, as every place for alerts does."""
        try:
            self._call("POST", f"{_V1}/alerts", msgspec.to_builtins(alert))
        except SourceError as error:
            raise OSError(error.message) from error

    def pulse(self, pulse: Pulse) -> None:
        """Tell how a watched stream stands."""
        self._call("POST", f"{_V1}/streams", msgspec.to_builtins(pulse))

    def revocations(self) -> bytes:
        """The signed list of what was called back."""
        return self._call("GET", f"{_V1}/revocations")

    # --- what can be proved

    def key(self) -> PublicKey:
        """The key that decisions are signed by, as it was pinned."""
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        return keys.described(load_pem_public_key(self._pinned.decisions.encode()), self._pinned.address)

    def checkpoint(self) -> Checkpoint:
        """The log as it is now, after it was shown to continue what was seen before. Raises VerificationFailed."""
        note = self._call("GET", f"{_V1}/checkpoint").decode()
        now = read_checkpoint(note, self._pinned.log)
        if self._pinned.checkpoint:
            old = read_checkpoint(self._pinned.checkpoint, self._pinned.log)
            self._continues(old, now)
        self._pinned = msgspec.structs.replace(self._pinned, checkpoint=note)
        if self._remember:
            write_whole(self._remember, msgspec.json.encode(self._pinned))
        return now

    def _continues(self, old: Checkpoint, now: Checkpoint) -> None:
        if old.size > now.size:
            raise VerificationFailed(
                f"the log has {now.size} entries, and {old.size} were seen before", hint="decisions were removed"
            )
        proof = json.loads(self._call("GET", f"{_V1}/log/consistency?old={old.size}&size={now.size}"))
        hashes = [bytes.fromhex(one) for one in proof["hashes"]]
        if not merkle.is_consistent(old.size, old.root, now.size, now.root, hashes):
            raise VerificationFailed("the log does not continue what was seen before", hint="entries were altered")

    def log(self) -> Iterator[dict[str, Any]]:
        """Every entry of the log, after all of them were held against the signed checkpoint. Raises VerificationFailed."""
        now = self.checkpoint()
        leaves: list[bytes] = []
        found: list[dict[str, Any]] = []
        while len(leaves) < now.size:
            lines = self._call("GET", f"{_V1}/log?start={len(leaves)}").splitlines()
            if not lines:
                break
            for line in lines[: now.size - len(leaves)]:
                leaves.append(merkle.leaf(line))
                found.append(json.loads(line))
        if len(leaves) != now.size or merkle.root(leaves) != now.root:
            raise VerificationFailed("the log is not the one that its checkpoint was signed for", hint="it was altered")
        yield from found

    def approval(self, number: int) -> Attestation:
        """The signed approval of a case. Raises VerificationFailed where it is not authentic, or no approval."""
        bundle = self._call("GET", f"{_V1}/cases/{number}/statement?kind=approved")
        found = attestation.authentic(bundle, Trust(keys=(self.key(),)), datetime.now(UTC))
        if not isinstance(found.predicate, Approval) or found.predicate.case != number:
            raise VerificationFailed(f"case {number} has no signed approval", hint="it may have been revoked since")
        for complaint in attestation.objections(found, datetime.now(UTC)):
            raise VerificationFailed(complaint.message, hint="ask for it again")
        return found

    # --- bytes

    def pull(self, kind: str, name: str, folder: str, revision: str = "main") -> tuple[Case, int]:
        """(case, bytes) of an approved revision, written into a folder.

        Every file is held against the signed approval before it gets its name; nothing of what does not fit is left.
        Raises VerificationFailed.
        """
        base = f"/api/{kind}s/{name}"
        info = json.loads(self._call("GET", f"{base}/revision/{quote(revision, safe='')}"))
        commit = str(info["sha"])
        cases = [one for one in self.cases(text=name, kind=kind, limit=200) if one.revision == commit]
        if not cases or not _COMMIT.match(commit):
            raise VerificationFailed(
                f"{name}: the registry hands out {commit[:12]} without a case", hint="do not use it"
            )
        said = self.approval(cases[0].id)
        digests = {name: digest["sha256"] for name, digest in said.subjects}
        listed = {str(one["rfilename"]) for one in info.get("siblings", [])}
        if listed != set(digests):
            odd = min(listed ^ set(digests))
            raise VerificationFailed(f"{name}: {odd} is handed out or approved, but not both", hint="do not use it")
        total = 0
        for path, sha256 in sorted(digests.items()):
            total += self._fetch(
                f"/{'' if kind == 'model' else kind + 's/'}{name}/resolve/{commit}/{quote(path)}", folder, path, sha256
            )
        return cases[0], total

    def _fetch(self, address: str, folder: str, path: str, sha256: str) -> int:
        target = path_below(folder, path)
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        response = self._open("GET", address)
        made, size = hashlib.sha256(), 0
        with Unfinished(target) as file:
            for piece in response.stream(_PIECE):
                made.update(piece)
                size += len(piece)
                file.append(piece)
            if made.hexdigest() != sha256:
                raise VerificationFailed(
                    f"{path} is not what was approved: its SHA-256 is {made.hexdigest()[:16]}…",
                    hint="the registry's store was altered: tell its administrators",
                )
            file.publish()
        response.release_conn()
        return size

    def push(self, kind: str, name: str, folder: str, message: str, *, branch: str = "main") -> int:
        """The case of a folder that was pushed to a branch, as it is and nothing else."""
        files = sorted(_files_of(folder))
        if not files:
            raise UsageError(f"{folder}: there are no files", hint="give a folder with files")
        organization, _, short = name.rpartition("/")
        try:
            self._call("POST", "/api/repos/create", {"name": short, "organization": organization or None, "type": kind})
        except SourceError as error:
            if " 409" not in error.message:
                raise
        lines = [{"key": "header", "value": {"summary": message, "description": ""}}]
        prefix = "" if kind == "model" else f"{kind}s/"
        for path in files:
            sha256, size = self._upload(f"/{prefix}{name}.git/info/lfs/objects/batch", os.path.join(folder, path))
            lines.append({"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": size}})
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        done = json.loads(self._call("POST", f"/api/{kind}s/{name}/commit/{quote(branch, safe='')}", body))
        match = re.search(r"case (\d+)", str(done.get("hookOutput", "")))
        if match is None:
            raise SourceError("the registry names no case", hint="is this a Weighbridge registry?")
        return int(match[1])

    def _upload(self, address: str, path: str) -> tuple[str, int]:
        with open(path, "rb", buffering=0) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
            said = json.loads(
                self._call(
                    "POST",
                    address,
                    {
                        "operation": "upload",
                        "transfers": ["basic", "multipart"],
                        "objects": [{"oid": sha256, "size": size}],
                    },
                )
            )
            actions = said["objects"][0].get("actions")
            if actions is None:
                return sha256, size
            upload = actions["upload"]
            header = dict(upload.get("header") or {})
            step = int(header.pop("chunk_size", 0))
            if not step:
                file.seek(0)
                self._send(upload["href"], file, size)
                return sha256, size
            parts = []
            for number, (_, href) in enumerate(sorted(header.items()), 1):
                file.seek(step * (number - 1))
                tag = self._send(
                    href, _Window(file, min(step, size - step * (number - 1))), min(step, size - step * (number - 1))
                )
                parts.append({"partNumber": number, "etag": tag})
            self._answered(self._raw("POST", upload["href"], json.dumps({"oid": sha256, "parts": parts}).encode(), {}))
        return sha256, size

    def _send(self, address: str, body: Any, size: int) -> str:
        response = self._raw("PUT", address, body, {"Content-Length": str(size)})
        self._answered(response)
        return str(response.headers.get("ETag", ""))

    # --- the wire

    def _case(self, body: bytes) -> Case:
        return msgspec.json.decode(body, type=Case)

    def _call(self, method: str, path: str, body: object = None) -> bytes:
        response = self._open(method, path, body)
        data: bytes = response.read(decode_content=True)
        response.release_conn()
        return data

    def _open(self, method: str, path: str, body: object = None) -> Any:
        headers = {"User-Agent": "weighbridge"}
        if self._pinned.token:
            headers["Authorization"] = f"Bearer {self._pinned.token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        response = self._raw(method, f"{self._pinned.address}{path}", data, headers)
        return self._answered(response)

    def _raw(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
        url = urljoin(f"{self._pinned.address}/", url)
        if not url.startswith(f"{self._pinned.address}/"):
            raise SourceError("the registry leads to another place", hint="check its setting `address`")
        try:
            return self._pool.request(method, url, body=body, headers=headers, preload_content=False, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SourceError(f"{self._pinned.address}: no answer", hint="is the registry running?") from error

    def _answered(self, response: Any) -> Any:
        if response.status < 300:
            return response
        data = response.read(1 << 16, decode_content=True)
        response.release_conn()
        try:
            said = json.loads(data)
            message, hint = str(said.get("error") or said.get("message", "")), str(said.get("hint", ""))
        except (ValueError, AttributeError):
            message, hint = "", ""
        raise SourceError(f"the registry answers {response.status}: {message}".rstrip(": "), hint=hint)


def path_below(folder: str, path: str) -> str:
    """Where a path that somebody else named lies below a folder. Raises VerificationFailed where it leads out of it."""
    parts = path.split("/")
    if not path or any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
        raise VerificationFailed(f"{path!r} leads out of the folder", hint="do not use it")
    return os.path.join(folder, *parts)


class _Window:
    """The next `left` bytes of a file."""

    def __init__(self, file: Any, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase.read`."""
        data: bytes = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def _files_of(folder: str) -> Iterator[str]:
    for above, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one != ".git"]
        for name in names:
            path = os.path.join(above, name)
            if os.path.islink(path) or not os.path.isfile(path):
                raise UsageError(f"{path}: not a plain file", hint="links and devices are not pushed")
            yield os.path.relpath(path, folder).replace(os.sep, "/")
