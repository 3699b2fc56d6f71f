"""Holds the hosts of addresses against a table of domains that a user gives: which have expired, soon will, or have a new owner.

Whoever buys a domain that has lapsed decides what a list of addresses fetches from it (Carlini et al. 2024, arXiv 2302.10149).
"""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from weighbridge.datasets.groups import Group, Outcome, array, follow
from weighbridge.schema import Severity, UsageError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.columns import Roles
    from weighbridge.datasets.view import Rows

_MOST: Final = 5_000_000
_SOON: Final = timedelta(days=60)
_YOUNG: Final = timedelta(days=365)
_KEPT: Final = 10_000
_DOMAIN: Final = ("domain", "host", "name")
_BEGUN: Final = ("registered", "created", "creation_date", "registration")
_ENDS: Final = ("expires", "expiry", "expiration_date", "expiration")
_KINDS: Final = {
    "expired": ("have expired: anybody can register them", Severity.HIGH),
    "soon": (f"expire within {_SOON.days} days", Severity.MEDIUM),
    "young": (f"were registered within {_YOUNG.days} days: whoever was there before is not", Severity.MEDIUM),
}


class Registered(Struct, frozen=True):
    """When a domain was registered and when it expires, where that is known."""

    since: date | None
    until: date | None


def read_domains(path: str) -> dict[str, Registered]:
    """A table (CSV with a head): domain, registered, expires as ISO dates. Raises UsageError."""
    found: dict[str, Registered] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            names = {name.strip().lower(): name for name in rows.fieldnames or ()}
            domain, begun, ends = (
                next((names[one] for one in known if one in names), "") for known in (_DOMAIN, _BEGUN, _ENDS)
            )
            if not domain or not (begun or ends):
                raise UsageError(f"--domains {path}: no such columns", hint="domain, registered, expires")
            for row in rows:
                if len(found) >= _MOST:
                    raise UsageError(f"--domains {path}: more than {_MOST} rows", hint="give those of the list")
                found[str(row[domain]).strip().lower().rstrip(".")] = Registered(
                    _day(row.get(begun)), _day(row.get(ends))
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"--domains {path}: {str(error)[:120]}", hint="CSV in UTF-8: domain, registered, expires"
        ) from error
    return found


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(str(text or "").strip()[:10])
    except ValueError:
        return None


class Domains:
    """The sketch: how many addresses lead to domains of each kind, and the first of their rows."""

    def __init__(self, roles: Roles, known: dict[str, Registered], today: date | None = None) -> None:
        self._roles, self._known = roles, known
        self._today = today or datetime.now(UTC).date()
        self._rows: dict[str, list[int]] = {kind: [] for kind in _KINDS}
        self._many: Counter[str] = Counter()
        self._domains: dict[str, Counter[str]] = {kind: Counter() for kind in _KINDS}
        self._unknown = self._all = 0

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for number, url in enumerate(rows.cells.get(self._roles.url, []), rows.first):
            if not url:
                continue
            self._all += 1
            name = self._domain(str(url))
            if not name:
                self._unknown += 1
                continue
            kind = self._kind(self._known[name])
            if kind:
                self._many[kind] += 1
                self._domains[kind][name] += 1
                if len(self._rows[kind]) < _KEPT:
                    self._rows[kind].append(number)

    def _domain(self, url: str) -> str:
        """The domain of the table that a host belongs to, or nothing."""
        try:
            labels = (urlsplit(url).hostname or "").lower().rstrip(".").split(".")
        except ValueError:
            return ""
        return next((name for at in range(len(labels)) if (name := ".".join(labels[at:])) in self._known), "")

    def _kind(self, one: Registered) -> str:
        if one.until and one.until < self._today:
            return "expired"
        if one.until and one.until <= self._today + _SOON:
            return "soon"
        return "young" if one.since and one.since > self._today - _YOUNG else ""

    def join(self, other: Domains, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        self._all += other._all
        self._unknown += other._unknown
        self._many += other._many
        for kind, rows in self._rows.items():
            follow(rows, other._rows[kind], first, _KEPT)
            self._domains[kind] += other._domains[kind]

    def __getstate__(self) -> dict[str, Any]:
        """What the rows are held against does not travel between processes: who joins them has it."""
        return {**self.__dict__, "_known": {}}

    def finish(self) -> Outcome:
        """Domains that are, or could come to be, somebody else's."""
        groups = []
        for kind, (text, severity) in _KINDS.items():
            if self._many[kind]:
                most = ", ".join(f"{name} ({count})" for name, count in self._domains[kind].most_common(5))
                groups.append(
                    Group(
                        rule="DST-014", message=f"{self._many[kind]} of {self._all} addresses lead to domains that {text}",
                        rows=array(self._rows[kind]), shown=array(self._rows[kind][:3]), severity=severity,
                        facts=(f"{plural(len(self._domains[kind]), 'domain')}: {most}", f"as of {self._today}"),
                    )
                )  # fmt: skip
        gap = f"domains of {self._unknown} addresses that are not in the table" if self._unknown else ""
        return Outcome(test="domains", groups=tuple(groups), about=f"{self._all - self._unknown} addresses at {plural(len(self._known), 'domain')} of the table", not_tested=gap)  # fmt: skip
