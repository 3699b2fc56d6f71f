"""Knows the advisories on this machine: an SQLite file keyed by name, asked locally, so that no list of packages leaves it."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.dependencies.osv import Advisory, read_advisory
from weighbridge.dependencies.versions import key, within
from weighbridge.schema import MalformedInput, SourceError, Unavailable
from weighbridge.schema.text import printable
from weighbridge.source.cache import default_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

_VERSION: Final = "1"
_LONGEST: Final = 64 << 20
_SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE advisory (id TEXT PRIMARY KEY, aliases BLOB NOT NULL, summary TEXT NOT NULL, severity TEXT NOT NULL, malicious INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE affected (ecosystem TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, ranges BLOB NOT NULL, versions BLOB NOT NULL);
CREATE TABLE exploited (cve TEXT PRIMARY KEY, since TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE likely (cve TEXT PRIMARY KEY, share REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX by_name ON affected (ecosystem, name);
CREATE INDEX by_id ON affected (id);
"""
_ranges: Final = msgspec.msgpack.Decoder(tuple[tuple[str, str, str], ...])
_words: Final = msgspec.msgpack.Decoder(tuple[str, ...])


def default_path() -> str:
    """Where the advisories lie: WEIGHBRIDGE_ADVISORIES, or in the folder of the cache."""
    return os.environ.get("WEIGHBRIDGE_ADVISORIES") or os.path.join(default_folder(), "advisories.db")


class Known(Struct, frozen=True, kw_only=True):
    """What is known against one version: the ids that mean the same, the first release without it, and how much it is used.

    `fixed` is empty where no release is without it. `exploited` says that attacks were seen (CISA KEV), `likely` is the
    probability of one within 30 days (EPSS, 0 to 1, 0 where unknown).
    """

    ids: tuple[str, ...]
    summary: str
    severity: str
    malicious: bool
    fixed: str = ""
    exploited: str = ""
    likely: float = 0.0


class Age(Struct, frozen=True):
    """When the newest record of an ecosystem was changed, and how many records there are."""

    ecosystem: str
    newest: str
    records: int


class _Row(Struct, frozen=True):
    """One record that holds for a version; `fixed` is the release that ends it."""

    id: str
    fixed: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    malicious: bool

    @property
    def names(self) -> set[str]:
        return {self.id, *self.aliases}


class Advisories:
    """The file at a path, opened for reading. Raises Unavailable where there is none or it cannot be used."""

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise Unavailable("there are no advisories on this machine", hint="weighbridge audit --update fetches them")
        try:
            self._base = sqlite3.connect(f"file:{path.replace('?', '%3f').replace('#', '%23')}?mode=ro", uri=True)
            about = dict(self._base.execute("SELECT name, value FROM about").fetchall())
        except sqlite3.Error as error:
            raise Unavailable(f"{path}: {error}", hint="remove the file, and weighbridge audit --update") from error
        if about.get("version") != _VERSION:
            raise Unavailable(f"{path}: written by another version", hint="weighbridge audit --update")
        self.ages = tuple(
            Age(name.partition(":")[2], value.partition(" ")[0], int(value.partition(" ")[2] or 0))
            for name, value in sorted(about.items())
            if name.startswith("newest:")
        )

    def age(self, ecosystem: str, today: date) -> int | None:
        """Days since the newest record of an ecosystem; None where there is none."""
        for one in self.ages:
            if one.ecosystem == ecosystem:
                from datetime import date as day  # noqa: PLC0415  # the type alone stands above

                return (today - day.fromisoformat(one.newest[:10])).days
        return None

    def against(self, ecosystem: str, name: str, version: str) -> tuple[list[Known], list[str]]:
        """(what is known against a version, ids that could not be compared with it). `name` is normalised."""
        rows = self._base.execute(
            "SELECT f.id, f.ranges, f.versions, a.aliases, a.summary, a.severity, a.malicious"
            " FROM affected f JOIN advisory a ON a.id = f.id WHERE f.ecosystem = ? AND f.name = ?",
            (ecosystem, name),
        ).fetchall()
        hits: list[_Row] = []
        open_: list[str] = []
        for identifier, ranges, versions, aliases, summary, severity, malicious in rows:
            try:
                fixed = _holds(ecosystem, version, _ranges.decode(ranges), _words.decode(versions))
            except MalformedInput:
                open_.append(identifier)
                continue
            if fixed is not None:
                hits.append(_Row(identifier, fixed, _words.decode(aliases), summary, severity, bool(malicious)))
        return [self._known(ecosystem, group) for group in _same(hits)], open_

    def _known(self, ecosystem: str, group: list[_Row]) -> Known:
        ids = sorted(set().union(*(row.names for row in group)), key=_order)
        cves = [one for one in ids if one.startswith("CVE-")]
        marks = ",".join("?" * len(cves))
        seen = self._base.execute(f"SELECT since FROM exploited WHERE cve IN ({marks})", cves).fetchone()  # noqa: S608  # marks alone
        likely = self._base.execute(f"SELECT max(share) FROM likely WHERE cve IN ({marks})", cves).fetchone()  # noqa: S608
        fixes = [row.fixed for row in group if row.fixed]
        worst = min(
            (row.severity for row in group if row.severity), key=("critical", "high", "medium", "low").index, default=""
        )
        return Known(
            ids=tuple(ids),
            summary=next((row.summary for row in group if row.summary), ""),
            severity=worst,
            malicious=any(row.malicious for row in group),
            fixed=max(fixes, key=lambda one: key(ecosystem, one))
            if len(fixes) == len(group) and fixes
            else "".join(fixes[:1]),
            exploited=seen[0] if seen else "",
            likely=(likely[0] if likely else 0.0) or 0.0,
        )

    def close(self) -> None:
        """Close the file."""
        self._base.close()


def _holds(
    ecosystem: str, version: str, ranges: tuple[tuple[str, str, str], ...], versions: tuple[str, ...]
) -> str | None:
    """The release that ends what holds for a version (empty: none does); None where it does not hold."""
    if not ranges and not versions:
        return ""  # a record that names no version is about all of them
    if not version:
        # Without a version only what is true of every version is known.
        return next(("" for start, fixed, last in ranges if start in {"", "0"} and not fixed and not last), None)
    if version in versions:
        return ""
    for introduced, fixed, last in ranges:
        if within(ecosystem, version, introduced, fixed, last):
            return fixed
    return None


def _order(identifier: str) -> tuple[int, str]:
    kinds = ("MAL-", "CVE-", "GHSA-", "PYSEC-")
    return next((at for at, kind in enumerate(kinds) if identifier.startswith(kind)), len(kinds)), identifier


def _same(hits: list[_Row]) -> list[list[_Row]]:
    """Records that call each other by an alias, or share one, are one matter."""
    groups: list[tuple[set[str], list[_Row]]] = []
    for row in hits:
        names, rows = row.names, [row]
        for group in [one for one in groups if one[0] & names]:
            names |= group[0]
            rows = group[1] + rows
            groups.remove(group)
        groups.append((names, rows))
    return [rows for _, rows in groups]


def build(path: str, records: Iterable[tuple[str, bytes]], *, base: bool = False) -> tuple[int, list[str]]:
    """(records taken, names of those that could not be read): write the file at a path as a whole.

    With `base` the records are laid over what is there. Raises SourceError where the file cannot be written.
    """
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    beside = f"{path}.{os.getpid()}.part"
    try:
        with closing(_written(beside, path if base else "")) as made:
            taken, broken = _fill(made, records)
        os.replace(beside, path)
    except sqlite3.Error as error:
        raise SourceError(f"{path}: {error}", hint="check the space and the rights of the folder") from error
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    return taken, broken


def _written(beside: str, base: str) -> sqlite3.Connection:
    made = sqlite3.connect(beside)
    made.execute("PRAGMA journal_mode = OFF")
    made.execute("PRAGMA synchronous = OFF")
    if base and os.path.isfile(base):
        with closing(sqlite3.connect(f"file:{base}?mode=ro", uri=True)) as old:
            old.backup(made)
    else:
        made.executescript(_SCHEMA)
        made.execute("INSERT INTO about VALUES ('version', ?)", (_VERSION,))
    return made


def _fill(made: sqlite3.Connection, records: Iterable[tuple[str, bytes]]) -> tuple[int, list[str]]:
    taken, broken = 0, list[str]()
    newest: dict[str, str] = {}
    for name, data in records:
        try:
            one = read_advisory(data)
        except MalformedInput:
            broken.append(name)
            continue
        taken += 1
        _put(made, one)
        for hit in one.hits:
            newest[hit.ecosystem] = max(newest.get(hit.ecosystem, ""), one.modified)
    for row in made.execute("SELECT name, value FROM about WHERE name LIKE 'newest:%'").fetchall():
        ecosystem = row[0].partition(":")[2]
        newest[ecosystem] = max(newest.get(ecosystem, ""), row[1].partition(" ")[0])
    for ecosystem, modified in newest.items():
        (count,) = made.execute("SELECT count(DISTINCT id) FROM affected WHERE ecosystem = ?", (ecosystem,)).fetchone()
        made.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (f"newest:{ecosystem}", f"{modified} {count}"))
    made.commit()
    return taken, broken


def _put(made: sqlite3.Connection, one: Advisory) -> None:
    """A record replaces the one of its id; one that was withdrawn takes it away."""
    made.execute("DELETE FROM affected WHERE id = ?", (one.id,))
    made.execute("DELETE FROM advisory WHERE id = ?", (one.id,))
    if one.withdrawn or not one.hits:
        return
    pack = msgspec.msgpack.encode
    made.execute(
        "INSERT INTO advisory VALUES (?, ?, ?, ?, ?)",
        (one.id, pack(one.aliases), one.summary, one.severity, one.malicious),
    )
    made.executemany(
        "INSERT INTO affected VALUES (?, ?, ?, ?, ?)",
        [(hit.ecosystem, hit.name, one.id, pack(hit.ranges), pack(hit.versions)) for hit in one.hits],
    )


def weigh(path: str, *, exploited: bytes = b"", likely: bytes = b"") -> None:
    """Lay CISA's list of exploited weaknesses (JSON) and FIRST's EPSS scores (CSV, also gzipped) into the file.

    Raises MalformedInput where one of them is not what it should be, SourceError where the file is not there.
    """
    if not os.path.isfile(path):
        raise SourceError("there are no advisories to weigh", hint="weighbridge audit --update comes first")
    seen = list(_exploited(exploited)) if exploited else []
    shares = list(_likely(likely)) if likely else []
    with closing(sqlite3.connect(path)) as made, made:
        made.executemany("INSERT OR REPLACE INTO exploited VALUES (?, ?)", seen)
        made.executemany("INSERT OR REPLACE INTO likely VALUES (?, ?)", shares)


def _exploited(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        rows = json.loads(data)["vulnerabilities"]
        for row in rows:
            yield str(row["cveID"]), str(row.get("dateAdded", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedInput(f"not CISA's list of exploited weaknesses: {printable(str(error)[:80])}") from error


def _likely(data: bytes) -> Iterator[tuple[str, float]]:
    try:
        text = (zlib.decompressobj(31).decompress(data, _LONGEST) if data[:2] == b"\x1f\x8b" else data).decode()
        for row in csv.reader(io.StringIO(text)):
            if row and row[0].startswith("CVE-"):
                yield row[0], float(row[1])
    except (ValueError, zlib.error, IndexError, csv.Error) as error:
        raise MalformedInput(f"not a list of EPSS scores: {printable(str(error)[:80])}") from error
