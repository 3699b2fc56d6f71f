"""Knows a repository on a Hugging Face-style hub as a tree, pinned to the commit that the revision means today.

Source: the Hub API as huggingface_hub 2.4 uses it (`/api/models/{id}/revision/{rev}`, `/tree/{rev}`, `/resolve/`).
"""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from weighbridge.schema import LimitExceeded, SourceError, UsageError
from weighbridge.source.http import HttpBlob, Session, origin
from weighbridge.source.tree import Anomaly, Entry, Kind, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.blob import Blob

_ADDRESS: Final = re.compile(
    r"hf://(?:(?P<kind>datasets|spaces|models)/)?(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^\s]+))?/?\Z"
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_NEXT: Final = re.compile(r'<([^>]+)>;\s*rel="next"')
_FILES: Final = 100_000
_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


class HubTree(Unchecked):
    """A repository at one commit."""

    format = "folder"

    def __init__(self, address: str, session: Session, endpoint: str = "") -> None:
        """`endpoint` is the hub to ask; without one, the environment names it, and the token for it."""
        match = _ADDRESS.match(address)
        if match is None:
            raise UsageError(f"{address}: not an address of a hub", hint="hf://owner/name@revision")
        self._session = session
        self._endpoint = (endpoint or os.environ.get("HF_ENDPOINT", "https://huggingface.co")).rstrip("/")
        self._kind = match["kind"] or "models"
        self.name, revision = match["name"], match["revision"] or "main"
        token = next((os.environ[name] for name in _TOKENS if os.environ.get(name)), "")
        if token and not endpoint:
            session.allow(origin(self._endpoint), {"Authorization": f"Bearer {token}"})
        self.owner = self.answers_to = self.licence = ""
        self._digests: dict[str, str] = {}
        self.commit = self._resolve(revision)
        self.root = f"hf://{'' if self._kind == 'models' else self._kind + '/'}{self.name}@{self.commit[:12]}"

    def _api(self, path: str) -> tuple[Any, Any]:
        body, headers = self._session.document(path if "://" in path else f"{self._endpoint}/api/{path}")
        try:
            return json.loads(body), headers
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self._endpoint}: the answer is not JSON", hint="is this a hub?") from error

    def _resolve(self, revision: str) -> str:
        info, _ = self._api(f"{self._kind}/{self.name}/revision/{quote(revision, safe='')}")
        commit = info.get("sha") if isinstance(info, dict) else None
        if not isinstance(commit, str) or not _COMMIT.match(commit):
            raise SourceError(f"{self.name}: the hub names no commit for {revision}", hint="check the revision")
        if _COMMIT.match(revision) and commit != revision:
            raise SourceError(
                f"{self.name}: the hub answers with the commit {commit[:12]} for {revision[:12]}",
                hint="do not trust this hub",
            )
        identity = str(info.get("id") or self.name)
        self.owner = str(info.get("author") or identity.partition("/")[0])
        self.answers_to = identity
        card = info.get("cardData")
        licence = card.get("license") if isinstance(card, dict) else ""
        self.licence = licence if isinstance(licence, str) else ""
        return commit

    def digests(self) -> dict[str, str]:
        """The digest of each file as the hub states it: SHA-256 of large files, the git object of small ones."""
        if not self._digests:
            list(self.entries())
        return dict(self._digests)

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        for item in self._files_at(self.commit):
            yield self._entry(item)

    def files_at(self, commit: str) -> dict[str, tuple[str, int]]:
        """(digest, bytes) of every file at a commit, as the hub states them."""
        return {item["path"]: (_digest(item), _size(item)) for item in self._files_at(commit)}

    def commits(self, most: int) -> Iterator[dict[str, Any]]:
        """Up to `most` commits that lead to this one, the latest first, as the hub tells them."""
        listed = self._listed(f"{self._kind}/{self.name}/commits/{self.commit}")
        return islice((item for item in listed if _COMMIT.match(str(item.get("id", "")))), most)

    def tags(self) -> dict[str, str]:
        """The commit of each tag."""
        found, _ = self._api(f"{self._kind}/{self.name}/refs")
        tags = found.get("tags") if isinstance(found, dict) else None
        named = [one for one in tags if isinstance(one, dict)] if isinstance(tags, list) else []
        return {str(one.get("name")): str(one.get("targetCommit")) for one in named[:_FILES]}

    def _files_at(self, commit: str) -> Iterator[dict[str, Any]]:
        for count, item in enumerate(self._listed(f"{self._kind}/{self.name}/tree/{commit}?recursive=true")):
            if count >= _FILES:
                raise LimitExceeded(f"more than {_FILES} files", limit="members")
            if isinstance(item.get("path"), str) and item.get("type") == "file":
                yield item

    def _listed(self, address: str) -> Iterator[dict[str, Any]]:
        """The items of a list that may go on on further pages."""
        while address:
            listing, headers = self._api(address)
            yield from (item for item in (listing if isinstance(listing, list) else []) if isinstance(item, dict))
            following = _NEXT.search(headers.get("Link", ""))
            address = following[1] if following else ""
            if address and origin(address) != origin(self._endpoint):
                raise SourceError(f"{self.name}: a list goes on at another host", hint="do not trust this hub")

    def _entry(self, item: dict[str, Any]) -> Entry:
        self._digests[item["path"]] = _digest(item)
        return Entry(name=item["path"], size=_size(item), kind=Kind.FILE)

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`. The size is what the server of the bytes says, not what the list says."""
        return HttpBlob(self._session, self.address_of(entry.name))

    def address_of(self, name: str, commit: str = "") -> str:
        """Where the bytes of a file are fetched, of another commit than this one where that is said."""
        kind = "" if self._kind == "models" else f"{self._kind}/"
        return f"{self._endpoint}/{kind}{self.name}/resolve/{commit or self.commit}/{quote(name)}"

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return []


def _digest(item: dict[str, Any]) -> str:
    lfs = item.get("lfs")
    sha256 = lfs.get("oid") if isinstance(lfs, dict) else None
    return f"sha256:{sha256}" if sha256 else f"git-sha1:{item.get('oid', '')}"


def _size(item: dict[str, Any]) -> int:
    lfs = item.get("lfs")
    size = lfs.get("size") if isinstance(lfs, dict) else item.get("size")
    return size if type(size) is int and size >= 0 else 0
