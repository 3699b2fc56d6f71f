"""Finds pages that were edited for a snapshot: changed shortly before it, put back shortly after it, far more often than on other days.

A snapshot keeps what the site no longer holds; whoever knows its date edits for it (Carlini et al. 2024, arXiv 2302.10149).
Indexes of crawls have visits in place of edits: pages of one site that were another at one visit, and as before at the next.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.datasets.groups import Group
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from weighbridge.formats.page_history import Page

_DAY: Final = 86400.0
_BEFORE: Final = 3.0  # days
_AFTER: Final = 14.0
_FEWEST: Final = 5
_CHANCE: Final = 1e-4
_DUMPED: Final = (1, 20)  # days of a month on which Wikimedia begins its dumps
_SHARE: Final = 0.5
_NAMED: Final = 3


class Edit(Struct, frozen=True):
    """A version that was taken back: of which page, by whom, from when to when (seconds since 1970)."""

    page: str
    author: str
    since: float
    until: float


class Seen(Struct, frozen=True, kw_only=True):
    """A history: how many pages and versions, what was taken back, and the groups that stand out."""

    pages: int
    versions: int
    edits: int
    first: float
    last: float
    groups: tuple[tuple[Group, tuple[Edit, ...]], ...]


def taken_back(page: Page) -> Iterable[Edit]:
    """Versions whose successor is the page as it was before them."""
    versions = [one for at, one in enumerate(page.versions) if not at or one.digest != page.versions[at - 1].digest]
    for before, one, after in zip(versions, versions[1:], versions[2:], strict=False):
        if before.digest == after.digest:
            yield Edit(page.name, one.author, one.time, after.time)


def look_at_edits(pages: Iterable[Page], snapshots: Sequence[date]) -> Seen:
    """A history of edits. Without dates, the days on which dumps usually begin are tried."""
    edits: list[Edit] = []
    many, versions, first, last = 0, 0, math.inf, -math.inf
    for page in pages:
        many, versions = many + 1, versions + len(page.versions)
        if page.versions:
            first, last = min(first, page.versions[0].time), max(last, page.versions[-1].time)
        edits.extend(one for one in taken_back(page) if one.until - one.since <= (_BEFORE + _AFTER) * _DAY)
    if not versions:
        return Seen(pages=many, versions=0, edits=0, first=0.0, last=0.0, groups=())
    days = _days(first, last)
    held: dict[date, list[Edit]] = {day: [] for day in days}
    for one in edits:
        for day in _covered(one):
            if day in held:
                held[day].append(one)
    tried = [day for day in days if day in snapshots] if snapshots else [day for day in days if day.day in _DUMPED]
    groups = []
    for day in tried:
        mine = held[day]
        others = [len(found) for other, found in held.items() if abs((other - day).days) > _AFTER]
        usual = (sum(others) + 1) / (len(others) + 1)
        chance = _at_least(len(mine), usual) * len(tried)
        if len(mine) >= _FEWEST and chance < _CHANCE:
            groups.append((_edited(day, mine, usual, chance), tuple(mine)))
    return Seen(pages=many, versions=versions, edits=len(edits), first=first, last=last, groups=tuple(groups))


def look_at_visits(pages: Iterable[Page]) -> Seen:
    """An index of crawls: sites most of whose pages were others at one visit alone, in one month."""
    changed: dict[tuple[str, str], list[Edit]] = defaultdict(list)
    known: Counter[str] = Counter()
    many, versions, edits, first, last = 0, 0, 0, math.inf, -math.inf
    for page in pages:
        many, versions = many + 1, versions + len(page.versions)
        first, last = min(first, page.versions[0].time), max(last, page.versions[-1].time)
        site = page.name.partition(")")[0]
        if len(page.versions) >= 3:
            known[site] += 1
        for one in taken_back(page):
            edits += 1
            changed[site, f"{datetime.fromtimestamp(one.since, UTC):%Y-%m}"].append(one)
    groups = [
        (_visited(site, month, found, known[site]), tuple(found))
        for (site, month), found in changed.items()
        if len({one.page for one in found}) >= max(_FEWEST, _SHARE * known[site])
    ]
    if not versions:
        first = last = 0.0
    return Seen(pages=many, versions=versions, edits=edits, first=first, last=last, groups=tuple(groups))


def _days(first: float, last: float) -> list[date]:
    begin, end = (datetime.fromtimestamp(one, UTC).date() for one in (first, last))
    return [begin + timedelta(days=at) for at in range(min((end - begin).days + 1, 40_000))]


def _covered(edit: Edit) -> Iterator[date]:
    """The days shortly before whose beginning a version was put there, and shortly after it taken back."""
    moment = math.ceil(edit.since / _DAY) * _DAY
    while moment - _BEFORE * _DAY <= edit.since and moment < edit.until:
        if edit.until <= moment + _AFTER * _DAY:
            yield datetime.fromtimestamp(moment, UTC).date()
        moment += _DAY


def _at_least(count: int, usual: float) -> float:
    """P(X >= count) of a Poisson distribution."""
    term, total = math.exp(-usual), 0.0
    for number in range(count):
        total += term
        term *= usual / (number + 1)
    return max(1e-300, 1 - total) if count else 1.0


def _edited(day: date, edits: list[Edit], usual: float, chance: float) -> Group:
    authors = Counter(one.author for one in edits if one.author).most_common(_NAMED)
    said = ", ".join(f"{name} ({count})" for name, count in authors)
    return Group(
        rule="DST-016", message=f"{plural(len({one.page for one in edits}), 'page')} were changed in the {_BEFORE:.0f} days before {day} and put back within {_AFTER:.0f} days after it",
        score=float(len(edits)),
        facts=(f"{len(edits)} edits; on other days {usual:.1f} on average, p = {chance:.1e} (Poisson)", *((f"most by {said}",) if said else ())),
    )  # fmt: skip


def _visited(site: str, month: str, edits: list[Edit], known: int) -> Group:
    shown = ".".join(reversed(site.split(",")))
    return Group(
        rule="DST-016", message=f"{plural(len({one.page for one in edits}), 'page')} of {shown} were others in {month} alone, and as before at the next visit",
        score=float(len(edits)), facts=(f"of {plural(known, 'page')} of this site with three visits or more",),
    )  # fmt: skip
