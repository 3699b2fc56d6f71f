"""Holds what tests find in rows against those who added them, and judges the history of a data set itself.

Commits that only exchange labels, that come in bursts, that let a pointer lead elsewhere, and rows that are gone again soon
after a release can be told apart without looking at any row. A contributor is suspected by a comparison with all others, with
shrinkage: few rows say little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from weighbridge.datasets.binomial import at_least
from weighbridge.datasets.groups import Group
from weighbridge.datasets.history import day
from weighbridge.schema import Picture, Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from weighbridge.datasets.history import Change, Contributions

_MANY: Final = 20
_CONCENTRATED: Final = 0.7
_SUSPICIOUS: Final = frozenset({"DST-017", "DST-018", "DST-022", "DST-024", "DST-025"})
_LEAST: Final = 5
_CHANCE: Final = 1e-6
_PRIOR: Final = 20.0  # rows of a contributor that are believed to be like everybody's before any is seen
_HOUR: Final = 3600
_BURST: Final = 30
_SHOWN: Final = 5
_BINS: Final = 24
_NAMED: Final = 8


def told(history: Contributions) -> list[Group]:
    """What the history itself says, whatever stands in the rows."""
    return [
        *history.fleeting, *_label_only(history), *_altered(history), *_repointed(history), *_bursts(history), *_forced(history)
    ]  # fmt: skip


def _label_only(history: Contributions) -> Iterator[Group]:
    for one in history.changes:
        count = len(one.relabelled)
        if count < _MANY or one.added > count / 4:
            continue
        (pair, times), *_ = Counter(one.relabelled).most_common(1)
        aimed = times >= _CONCENTRATED * count
        text = f", {times} of them “{pair[0]}” to “{pair[1]}”" if aimed else ""
        yield Group(
            rule="DST-027", message=f"{one.who} exchanged {plural(count, 'label')} in {one.short}{text}, and added next to nothing",
            facts=tuple(_facts(one)), severity=Severity.HIGH if aimed else Severity.MEDIUM,
        )  # fmt: skip


def _altered(history: Contributions) -> Iterator[Group]:
    """Programs that prepare data, changed by somebody who came for that alone."""
    for at, one in enumerate(history.changes):
        if one.loaders and one.first and at and (one.added or one.gone or one.relabelled):
            yield Group(
                rule="DST-036", facts=tuple(_facts(one)),
                message=f"{one.who}, whose first commit it is, changed {', '.join(one.loaders[:3])} together with data in {one.short}",
            )  # fmt: skip


def _repointed(history: Contributions) -> Iterator[Group]:
    for at, one in enumerate(history.changes):
        if one.remotes and at:
            yield Group(
                rule="DST-034", facts=tuple(_facts(one)), severity=Severity.MEDIUM,
                message=f"{one.who} changed where data is fetched from ({', '.join(one.remotes[:3])}) in {one.short}",
            )  # fmt: skip
        elif one.pointers and one.first and at:
            yield Group(
                rule="DST-034", facts=tuple(_facts(one)), severity=Severity.MEDIUM,
                message=f"{one.who}, whose first commit it is, let {', '.join(one.pointers[:3])} point to other data in {one.short}",
            )  # fmt: skip


def _bursts(history: Contributions) -> Iterator[Group]:
    """Many commits of one person within an hour, none of whom was known before."""
    times: dict[str, list[Change]] = defaultdict(list)
    for one in history.changes:
        if one.added and len(one.commit.parents) == 1:
            times[one.who].append(one)
    for who, changes in times.items():
        ordered = sorted(one.commit.committer.at for one in changes)
        most = max(
            (sum(start <= at < start + _HOUR for at in ordered[n:]) for n, start in enumerate(ordered)), default=0
        )
        if most >= _BURST and len(times) > 1:
            rows = sum(one.added for one in changes)
            yield Group(
                rule="DST-027", severity=Severity.LOW,
                message=f"{who} made {most} commits to the data within an hour",
                facts=(f"{plural(rows, 'row')} in {plural(len(changes), 'commit')}",),
            )  # fmt: skip


def _forced(history: Contributions) -> Iterator[Group]:
    if history.forced:
        yield Group(
            rule="DST-027", severity=Severity.LOW,
            message=f"the history was rewritten {plural(len(history.forced), 'time')}, as the log of references says",
            facts=tuple(f"{name}: {line}" for name, line in history.forced[:_SHOWN]),
        )  # fmt: skip


def _facts(one: Change) -> Iterator[str]:
    commit = one.commit
    yield f"{one.short} on {day(one)}: {commit.message.splitlines()[0][:80] if commit.message else 'without a message'}"
    yield f"{plural(one.added, 'row')} added, {one.gone} gone, {len(one.relabelled)} with another label"
    if one.first:
        yield f"the first commit of {commit.author.name or one.who}"
    if commit.signed is False:
        yield "unsigned"
    if commit.author.mail != commit.committer.mail:
        yield f"committed by {commit.committer.name} <{commit.committer.mail}>"


# --- rows that tests found, and whose they are


class Attribution:
    """Rows of the present version by number, each with the commit that it came in; grows with the pass over them."""

    def __init__(self, history: Contributions) -> None:
        self._history = history
        self._by: list[str] = []
        self._commits: list[str] = []

    def add(self, texts: Sequence[str]) -> None:
        """Take some rows."""
        for text in texts:
            change = self._history.of(text)
            self._by.append(change.who if change else "")
            self._commits.append(change.short if change else "")

    def fact(self, rows: Sequence[int]) -> str:
        """Whose rows of a group are, in one line; empty where that is not known."""
        by = Counter(who for row in rows if (who := self._by[row]))
        if not by:
            return ""
        commits = {self._commits[row] for row in rows if self._commits[row]}
        people = ", ".join(f"{who} ({times})" for who, times in by.most_common(3))
        more = f" and {len(by) - 3} more" if len(by) > 3 else ""
        return f"they came from {people}{more}, in {plural(len(commits), 'commit')}"

    def judged(self, groups: Iterable[Group]) -> list[Group]:
        """Contributors whose rows are suspicious far more often than those of all others."""
        bad = {row for group in groups if group.rule in _SUSPICIOUS for row in group.rows if row < len(self._by)}
        rows, hits = Counter(filter(None, self._by)), Counter(self._by[row] for row in bad)
        found = []
        for who, count in hits.most_common():
            others, of_others = len(bad) - count, sum(rows.values()) - rows[who]
            usual = (others + 0.5) / (of_others + 1) if of_others > 0 else 1.0
            if not who or count < _LEAST or at_least(count, rows[who], min(1.0, usual)) > _CHANCE:
                continue
            likely = (count + _PRIOR * usual) / (rows[who] + _PRIOR)
            found.append(
                Group(
                    rule="DST-027", severity=Severity.HIGH if likely >= 0.2 or count >= 0.5 * len(bad) else Severity.MEDIUM,
                    message=f"{count} of {plural(rows[who], 'row')} by {who} are suspicious, and {usual:.2%} of everybody else's",
                    facts=tuple(self._about(who, count, rows[who], likely)),
                    rows=tuple(sorted(row for row in bad if self._by[row] == who)),
                    shown=tuple(sorted(row for row in bad if self._by[row] == who))[:3],
                )
            )  # fmt: skip
        return found

    def _about(self, who: str, count: int, of: int, likely: float) -> Iterator[str]:
        yield f"with what is known of everybody, {likely:.0%} of what {who} adds is likely to be suspicious ({count} of {of} seen)"
        mine = [one for one in self._history.changes if one.who == who]
        unsigned = sum(not one.commit.signed for one in mine)
        yield f"{plural(len(mine), 'commit')}, {unsigned} unsigned, the first on {day(mine[0])}: {', '.join(one.short for one in mine[:_SHOWN])}"


def timeline(history: Contributions, groups: Iterable[Group]) -> Picture | None:
    """Who added rows when: contributors down, time across, darker for more; red where they were found to be suspicious."""
    shares = history.shares()
    people = [who for who, count in shares.most_common(_NAMED) if count]
    accused = [who for who in shares if any(who in one.message for one in groups if one.rule == "DST-027")]
    people = [*people, *(who for who in accused if who not in people)][: _NAMED + 4]
    times = [one.commit.committer.at for one in history.changes if one.added]
    if not people or not times:
        return None
    start, width = min(times), max(1, max(times) - min(times))
    cells: Counter[tuple[int, int]] = Counter()
    for one in history.changes:
        if one.who in people:
            cells[people.index(one.who), min(_BINS - 1, (one.commit.committer.at - start) * _BINS // width)] += (
                one.added
            )
    most = max(cells.values(), default=1) or 1
    colours = bytearray()
    for row, who in enumerate(people):
        for column in range(_BINS):
            strength = min(1.0, (cells[row, column] / most) ** 0.4) if cells[row, column] else 0.0
            light = int(245 - 190 * strength)
            colours += bytes(
                (max(light, 190), light, light) if who in accused else (light, light, min(255, light + 40))
            )
    days = tuple(
        f"{datetime.fromtimestamp(start + width * at // _BINS, UTC):%Y-%m-%d}" if at % 6 == 0 else ""
        for at in range(_BINS)
    )
    return Picture(
        caption="rows added, by contributor and time; red: rows that tests found suspicious", width=_BINS, height=len(people),
        colours=bytes(colours), rows=tuple(people), columns=days,
    )  # fmt: skip


def summary(history: Contributions) -> str:
    """The history in one line."""
    commits = history.changes
    unsigned = sum(not one.commit.signed for one in commits)
    differ = sum(one.commit.author.mail != one.commit.committer.mail for one in commits)
    merges = sum(len(one.commit.parents) > 1 for one in commits)
    people = len({one.who for one in commits})
    return (
        f"{plural(len(commits), 'commit')} by {people} {'person' if people == 1 else 'people'}, {merges} merges, {unsigned} unsigned, "
        f"{differ} committed by somebody else than their author; {plural(sum(one.added for one in commits), 'row')} added"
    )
