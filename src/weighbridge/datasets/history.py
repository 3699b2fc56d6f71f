"""Knows the history of the rows of a data set, read commit by commit from the objects of its repository.

A row belongs to the commit that it first appears in; merges bring nothing of their own.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter, OrderedDict, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from weighbridge.datasets.columns import find_roles
from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.groups import Group
from weighbridge.datasets.table import is_rows, open_file
from weighbridge.datasets.view import view
from weighbridge.formats.git_history import GitHistory
from weighbridge.schema import LimitExceeded, MalformedInput, Severity, SourceError, WeighbridgeError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.datasets.columns import Wish
    from weighbridge.formats.git_history import Commit

_COMMITS: Final = 20_000
_PARSED: Final = 4 << 30  # bytes of all versions together
_LISTED: Final = 20_000_000  # files of all trees together
_VERSIONS: Final = 16
_MANY: Final = 20
_LEAST: Final = 5
_WEEK: Final = 7 * 86400
_SHOWN: Final = 5
_LOADERS: Final = re.compile(r"\.(?:py|ipynb|sh|R|jl)\Z")
_REMOTES: Final = re.compile(r"(?:^|/)(?:\.dvc/config|\.gitmodules|\.lfsconfig)\Z")
_POINTER: Final = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})|^\s*-?\s*md5: ([0-9a-f]{32})",
    re.MULTILINE,
)
_POINTED: Final = 2048


class Repository(Protocol):
    """A history, wherever it is kept: commits, the files of each by the object that they are, and those objects."""

    def refs(self) -> dict[str, str]:
        """`HEAD`, branches and tags (`refs/tags/…`) with their commits."""
        ...

    def commits(self, start: str, most: int, /) -> tuple[list[Commit], bool]:
        """(commits that lead to one, parents before children, whether these are all)."""
        ...

    def commit(self, oid: str, /) -> Commit:
        """One commit. Raises MalformedInput."""
        ...

    def files(self, tree: str, /) -> dict[str, str]:
        """Path and object of every file of a tree. Raises MalformedInput, LimitExceeded, SourceError."""
        ...

    def read(self, oid: str, /) -> tuple[str, bytes]:
        """(kind, content) of an object. Raises MalformedInput, LimitExceeded, SourceError."""
        ...

    def forced(self) -> Iterable[tuple[str, str]]:
        """(name, line) of what says that a name was moved by force."""
        ...


class Change(Struct, kw_only=True):
    """What one commit did to rows: how many it added, took away, and gave another label."""

    commit: Commit
    added: int = 0
    gone: int = 0
    relabelled: list[tuple[str, str]] = []
    first: bool = False
    loaders: list[str] = []
    remotes: list[str] = []
    pointers: list[str] = []

    @property
    def who(self) -> str:
        """The contributor, by address where there is one."""
        return self.commit.author.mail.lower() or self.commit.author.name

    @property
    def short(self) -> str:
        """The commit as people name it."""
        return self.commit.oid[:10]


class Contributions:
    """The history of the rows of one repository: `changes` in order, parents first; `notes` say what was not read."""

    def __init__(self, changes: list[Change], origin: dict[int, int], notes: tuple[str, ...]) -> None:
        self.changes, self.notes = changes, notes
        self._origin = origin
        self.fleeting: list[Group] = []
        self.forced: list[tuple[str, str]] = []

    def of(self, text: str) -> Change | None:
        """The commit that a text first appears in."""
        at = self._origin.get(text_digest(text))
        return None if at is None else self.changes[at]

    def shares(self) -> Counter[str]:
        """How many rows each contributor added."""
        found: Counter[str] = Counter()
        for one in self.changes:
            found[one.who] += one.added
        return found


def read_history(folder: str, wish: Wish) -> Contributions | None:
    """The history of a folder that is a git repository with commits; nothing for another. Raises SourceError, Unavailable."""
    if not os.path.exists(os.path.join(folder, ".git")):
        return None
    with GitHistory(folder) as git:
        return history_of(git, wish)


def history_of(kept: Repository, wish: Wish) -> Contributions | None:
    """The history of a repository; nothing where it has no commits. Raises SourceError, Unavailable."""
    refs = kept.refs()
    if "HEAD" not in refs:
        return None
    commits, whole = kept.commits(refs["HEAD"], _COMMITS)
    reader = _Reader(kept, wish)
    for commit in commits:
        reader.take(commit)
    notes = [] if whole else [f"{plural(len(commits), 'commit')} of the history were read, and it is longer"]
    notes += [f"{name}: {why}" for name, why in list(reader.unread.items())[:_SHOWN]]
    found = Contributions(reader.changes, reader.origin, tuple(notes))
    found.fleeting = list(_fleeting(reader, {n: c for n, c in refs.items() if n.startswith("refs/tags/")}))
    found.forced = list(kept.forced())
    return found


class _Reader:
    """Takes commits, parents before children."""

    def __init__(self, kept: Repository, wish: Wish) -> None:
        self._kept, self._wish = kept, wish
        self._trees: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._rows: OrderedDict[str, dict[int, str]] = OrderedDict()
        self._parsed = self._listed = 0
        self._authors = set[str]()
        self.changes: list[Change] = []
        self.origin: dict[int, int] = {}
        self.left: dict[int, int] = {}
        self.unread: dict[str, str] = {}

    def take(self, commit: Commit) -> None:
        """The next commit."""
        change = Change(commit=commit)
        change.first = change.who not in self._authors
        self._authors.add(change.who)
        number = len(self.changes)
        self.changes.append(change)
        try:
            files = self._files(commit.tree)
            before = [self._files(self._kept.commit(one).tree) for one in commit.parents]
        except (MalformedInput, LimitExceeded, SourceError) as error:
            self.unread[commit.oid[:10]] = error.message
            return
        old = before[0] if before else {}
        for path, oid in files.items():
            # What any parent has came with it.
            if oid != old.get(path) and not any(oid == other.get(path) for other in before):
                self._file(change, number, path, oid, old.get(path, ""))
        for path in old.keys() - files.keys():
            if is_rows(path) and len(commit.parents) == 1:
                self._gone(change, number, self._version(path, old[path]).keys())

    def _files(self, tree: str) -> dict[str, str]:
        known = self._trees.get(tree)
        if known is None:
            if self._listed > _LISTED:
                raise LimitExceeded(f"more than {_LISTED} files in the trees of its commits", limit="members")
            known = self._trees[tree] = self._kept.files(tree)
            self._listed += len(known)
            while len(self._trees) > _VERSIONS:
                self._trees.popitem(last=False)
        return known

    def _file(self, change: Change, number: int, path: str, oid: str, before: str) -> None:
        if before and _LOADERS.search(path):
            change.loaders.append(path)
        if before and _REMOTES.search(path):
            change.remotes.append(path)
        if before and self._moved(oid, before):
            change.pointers.append(path)
        if not is_rows(path):
            return
        new, old = self._version(path, oid), self._version(path, before) if before else {}
        for text, label in new.items():
            if text not in self.origin:
                self.origin[text] = number
                change.added += 1
            elif text in old and old[text] != label and len(change.commit.parents) < 2:
                # A merge takes over labels that somebody else has exchanged.
                change.relabelled.append((old[text], label))
            self.left.pop(text, None)
        if len(change.commit.parents) < 2:
            self._gone(change, number, old.keys() - new.keys())

    def _gone(self, change: Change, number: int, texts: Iterable[int]) -> None:
        for text in texts:
            change.gone += 1
            self.left[text] = number

    def _moved(self, oid: str, before: str) -> bool:
        """Whether a file that only points to data points elsewhere now."""
        found = []
        for one in (oid, before):
            try:
                _, body = self._kept.read(one)
            except (MalformedInput, LimitExceeded, SourceError):
                return False
            match = _POINTER.search(body) if len(body) < _POINTED else None
            found.append(match[0] if match else b"")
        return bool(found[0] and found[1]) and found[0] != found[1]

    def _version(self, path: str, oid: str) -> dict[int, str]:
        """The label of each text of a version of a file, by its digest; nothing where it cannot be read, which is noted."""
        known = self._rows.get(oid)
        if known is not None:
            self._rows.move_to_end(oid)
            return known
        try:
            made = self._read(path, oid)
        except WeighbridgeError as error:
            self.unread.setdefault(path, f"a version of it was not read: {error.message}")
            made = {}
        self._rows[oid] = made
        while len(self._rows) > _VERSIONS:
            self._rows.popitem(last=False)
        return made

    def _read(self, path: str, oid: str) -> dict[int, str]:
        _, body = self._kept.read(oid)
        self._parsed += len(body)
        if self._parsed > _PARSED:
            raise LimitExceeded(f"more than {_PARSED >> 30} GiB of versions", limit="bytes")
        found: dict[int, str] = {}
        # The readers of rows want a file; it lies in a folder of its own under its own name.
        with tempfile.TemporaryDirectory() as folder:
            place = os.path.join(folder, os.path.basename(path))
            with open(place, "wb") as file:
                file.write(body)
            roles = None
            for batch in open_file(place).batches():
                roles = roles or find_roles(batch.columns, self._wish)
                seen = view(roles, batch.columns, len(batch), 0, "")
                for text, label in zip(seen.texts, seen.labels or [""] * len(seen.texts), strict=True):
                    found[text_digest(text)] = label
        return found


def _fleeting(reader: _Reader, tags: dict[str, str]) -> Iterator[Group]:
    """Rows that came shortly before a release and went shortly after it: what frontrunning a snapshot looks like."""
    at = {one.commit.oid: one.commit.committer.at for one in reader.changes}
    groups: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    released = [(name.rpartition("/")[2], at[commit]) for name, commit in tags.items() if commit in at]
    for text, gone in reader.left.items():
        came = reader.origin.get(text)
        if came is None:
            continue
        start, end = reader.changes[came].commit.committer.at, reader.changes[gone].commit.committer.at
        for name, when in released:
            if start <= when <= end and when - start <= _WEEK and end - when <= _WEEK and end > start:
                groups[name, reader.changes[came].who].append((came, gone))
    for (name, who), rows in groups.items():
        if len(rows) < _LEAST:
            continue
        first, last = reader.changes[rows[0][0]], reader.changes[rows[0][1]]
        yield Group(
            rule="DST-016",
            message=f"{plural(len(rows), 'row')} by {who} came shortly before the release {name} and went shortly after it",
            facts=(f"added in {first.short} on {day(first)}, gone in {last.short} on {day(last)}",),
            severity=Severity.HIGH if len(rows) >= _MANY else None,
        )


def day(one: Change) -> str:
    """The day of a commit."""
    try:
        return f"{datetime.fromtimestamp(one.commit.committer.at, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return "a day that is none"
