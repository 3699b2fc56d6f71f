"""Knows the history of a data set on a hub: its commits as the hub tells them, and the versions of its tables, fetched within a budget.

Source: the Hub API as huggingface_hub 2.4 uses it (`/api/datasets/{id}/commits/{rev}`, `/refs`, `/tree/{rev}`). It tells commits of one
line, the latest first, by whom and when, and nothing of signatures.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from weighbridge.datasets.table import columnar_kind
from weighbridge.formats.git_history import Commit, Person
from weighbridge.formats.rows import kind_of
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.source.http import Session
    from weighbridge.source.hub import HubTree

_POINTER: Final = 2048  # bytes: what is no table is fetched only where it may be a pointer


class HubHistory:
    """The history that leads to the commit of a tree, as `datasets.history.Repository`; `fetched` counts bytes of versions."""

    def __init__(self, hub: HubTree, session: Session, *, most: int, budget: int) -> None:
        """The latest `most` commits, and up to `budget` bytes of versions."""
        self._hub, self._session, self._budget = hub, session, budget
        told = list(hub.commits(most + 1))
        self._whole = len(told) <= most
        ids = [str(item["id"]) for item in told]
        self._commits = {
            oid: _commit(item, oid, tuple(ids[n + 1 : n + 2]))
            for n, (oid, item) in enumerate(zip(ids, told, strict=True))
        }
        self._ordered = list(self._commits.values())[:most][::-1]
        self._places: dict[str, tuple[str, str, int]] = {}
        self.fetched = 0

    def refs(self) -> dict[str, str]:
        """See `Repository.refs`."""
        tags = {f"refs/tags/{name}": commit for name, commit in self._hub.tags().items()}
        return {**tags, "HEAD": self._hub.commit} if self._ordered else tags

    def commits(self, _start: str, most: int) -> tuple[list[Commit], bool]:
        """See `Repository.commits`; they are those that lead to the commit of the tree."""
        return self._ordered[-most:], self._whole and len(self._ordered) <= most

    def commit(self, oid: str) -> Commit:
        """See `Repository.commit`."""
        if oid not in self._commits:
            raise MalformedInput(f"the hub tells nothing of the commit {oid[:12]}")
        return self._commits[oid]

    def files(self, tree: str) -> dict[str, str]:
        """See `Repository.files`; a tree has the name of its commit here."""
        found = {}
        for path, (digest, size) in self._hub.files_at(tree).items():
            self._places.setdefault(digest, (tree, path, size))
            found[path] = digest
        return found

    def read(self, oid: str) -> tuple[str, bytes]:
        """See `Repository.read`."""
        if oid not in self._places:
            raise MalformedInput(f"{oid[:20]} is in none of its commits")
        commit, path, size = self._places[oid]
        if not (kind_of(path) or columnar_kind(path)) and size > _POINTER:
            raise LimitExceeded(f"{path} is no table, and too large to be a pointer", limit="bytes")
        left = self._budget - self.fetched
        if size > left:
            raise LimitExceeded(
                f"its {size} bytes are more than the {left} that were left for the history", limit="bytes"
            )
        body = b"".join(self._session.stream(self._hub.address_of(path, commit), max(size, 1)))
        self.fetched += len(body)
        return "blob", body

    def forced(self) -> Iterable[tuple[str, str]]:
        """See `Repository.forced`: a hub does not tell."""
        return ()


def _commit(item: dict[str, Any], oid: str, parents: tuple[str, ...]) -> Commit:
    authors = item.get("authors")
    named = [one for one in authors if isinstance(one, dict)] if isinstance(authors, list) else []
    who = Person(
        str(named[0].get("user") or "unnamed")[:200] if named else "unnamed", "", _seconds(str(item.get("date", "")))
    )
    said = f"{item.get('title') or ''}\n{item.get('message') or ''}".strip()[:4000]
    return Commit(oid=oid, tree=oid, parents=parents, author=who, committer=who, signed=None, message=said)


def _seconds(date: str) -> int:
    try:
        return int(datetime.fromisoformat(date).timestamp())
    except (ValueError, OverflowError):
        return 0
