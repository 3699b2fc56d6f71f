"""Knows how data becomes one report: its files are inspected like any others, and its content is asked whether it was poisoned."""

from __future__ import annotations

import os
from glob import escape
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.datasets import recheck
from weighbridge.datasets.columns import EMPTY, Wish
from weighbridge.datasets.examine import Asked, Examined, Example, Told, examine
from weighbridge.datasets.table import columnar_kind
from weighbridge.datasets.url_lists import NOT_ASKED
from weighbridge.formats.columnar import ColumnarFile
from weighbridge.inspection import declared
from weighbridge.inspection.deep import together
from weighbridge.inspection.far import far_history
from weighbridge.inspection.far_data import BUDGET, brought
from weighbridge.inspection.manifested import Since
from weighbridge.inspection.manifested import findings as not_as_signed
from weighbridge.inspection.plan import Options, scan
from weighbridge.policy import Policy, decide
from weighbridge.rules.finding import finding
from weighbridge.schema import (
    Coverage,
    Evidence,
    Fact,
    Finding,
    LimitExceeded,
    Location,
    MalformedInput,
    Reason,
    SourceError,
    Status,
    Unavailable,
    UsageError,
    WeighbridgeError,
)
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Report

_SHOWN: Final = 160
_AROUND: Final = 60
_REASONS: Final = ((LimitExceeded, Reason.LIMIT), (MalformedInput, Reason.MALFORMED), (Unavailable, Reason.UNSUPPORTED))
_READ: Final = frozenset({Reason.UNSUPPORTED, Reason.NONE})


class Done(Struct, frozen=True):
    """The report, and what was examined, for a copy without the suspicious rows."""

    report: Report
    examined: tuple[Examined, ...]


def inspect_far_dataset(
    address: str, wish: Wish, *, policy: Policy | None = None, options: Options | None = None,
    asked: Asked | None = None, budget: int = BUDGET, history: int = 0,
) -> Done:  # fmt: skip
    """As `inspect_dataset`, for data behind an address: of its tables as much is brought here as `budget` bytes allow.

    Of a data set on a hub the latest `history` commits are read too, with as many bytes of their versions again. What was left
    there is said, and the report is not complete. Raises SourceError, UsageError.
    """
    chosen, given = policy or Policy(), options or Options()
    if history:
        kept = far_history(address, given, most=history, budget=budget)
        asked = replace(asked or Asked(), history=kept)
    with brought(address, given, budget) as here:
        try:
            done = inspect_dataset(here.folder, wish, policy=chosen, options=given, asked=asked)
        except UsageError:
            if not here.left:
                raise
            # Nothing of it fits the budget: that is no verdict about the data.
            raise SourceError(f"{here.shown}: {here.left[0].detail}", hint="--max-fetched takes more") from None
        report = here.renamed(done.report)
        if not here.single:
            report = together(report, scan((address,), policy=chosen, options=given), chosen)
    known = {entry.path: entry for entry in report.coverage} | {entry.path: entry for entry in here.left}
    made = replace(report, coverage=tuple(known.values()), verdict=chosen.pending())
    return Done(decide(made, chosen), ())


def inspect_dataset(
    path: str, wish: Wish, *, policy: Policy | None = None, options: Options | None = None,
    asked: Asked | None = None, changes: Since | None = None, sample: int = 0,
) -> Done:  # fmt: skip
    """Inspect a file or folder of data, as `asked`. Of what `changes` says to be the same nothing is inspected.

    `sample` addresses of a list are asked what they hold now: nothing else here uses the network.

    Raises SourceError where it does not exist, UsageError where it is no data.
    """
    chosen = policy or Policy()
    if os.path.isdir(os.path.join(path, ".git")):
        # Its history is read commit by commit; the files that hold it are nothing that anybody loads.
        given = options or Options()
        options = replace(given, excluded=(*given.excluded, ".git/*"))
    only: frozenset[str] | None = None
    if changes is not None:
        given = options or Options()
        options = replace(given, excluded=(*given.excluded, *(escape(name) for name in changes.same)))
        only = frozenset(changes.to_inspect)
    report = scan((path,), policy=chosen, options=options)
    # A file that only is what it was has nothing to be examined, and a folder may have nothing else.
    examined = tuple(examine(path, wish, replace(asked or Asked(), only=only))) if only is None or only else ()
    if sample:
        examined = tuple(_asked(one, wish, sample) for one in examined)
    findings = [*report.findings, *(made for one in examined for made in _findings(one))]
    if os.path.isdir(path) and only is None:
        findings += declared.findings(path, examined)
    facts = report.facts
    if changes is not None:
        findings += not_as_signed(path, changes)
        facts = (*facts, Fact(path=(path,), name="manifest", value=printable(changes.told())))
    known = {entry.path: entry for entry in report.coverage}
    for entry in (entry for one in examined for entry in _coverage(one, known)):
        known[entry.path] = entry
    made = replace(
        report, findings=tuple(sorted(dict.fromkeys(findings), key=Finding.sort_key)), coverage=tuple(known.values()),
        profiles=tuple(one.profile for one in examined), facts=facts, verdict=chosen.pending(),
    )  # fmt: skip
    return Done(decide(made, chosen), examined)


def _asked(one: Examined, wish: Wish, sample: int) -> Examined:
    """A list of addresses, with what some of them hold now."""
    if one.table is None:
        raise UsageError("this is no list of addresses", hint="--recheck takes a table with a column of them")
    outcome = recheck.recheck(one.table, wish, sample, recheck.guarded())
    rows = one.table.rows_at(sorted({row for group in outcome.groups for row in group.shown}))
    told = [
        Told(group, tuple(Example(rows[row].path, rows[row].line, str(next(iter(rows[row].cells.values())))) for row in group.shown if row in rows))
        for group in outcome.groups
    ]  # fmt: skip
    profile = replace(
        one.profile, tested=(*one.profile.tested, f"{outcome.test}: {outcome.about}"),
        untested=tuple(line for line in one.profile.untested if line != NOT_ASKED),
    )  # fmt: skip
    return replace(one, profile=profile, told=(*one.told, *told))


def _findings(one: Examined) -> Iterator[Finding]:
    for told in one.told:
        yield _finding(one, told)
    for path in one.files:
        if columnar_kind(path):
            yield from _extensions(path)


def _finding(one: Examined, told: Told) -> Finding:
    group, examples = told.group, told.examples
    at = examples[0] if examples else None
    place = Location(path=(at.path,), line=at.line) if at else Location(path=(one.profile.name,))
    lines = [Evidence(text=fact) for fact in group.facts]
    lines += [
        Evidence(text=f"{_row(place, example.path, example.line)}: {_shown(example.text, group.mark)}", culprit=True)
        for example in examples
    ]
    more = len(group.rows) - len(examples)
    if more > 0 and examples:
        lines.append(Evidence(text=f"and {more} more"))
    return finding(group.rule, place, group.message, evidence=lines, severity=group.severity, why=group.why)


def _row(place: Location, path: str, line: int) -> str:
    return f"line {line}" if (path,) == place.path else f"{os.path.basename(path)}, line {line}"


def _shown(text: str, mark: str) -> str:
    """A row in one line, around what it is shown for."""
    at = text.lower().find(mark) if mark else -1
    start = max(0, at - _AROUND) if at > _SHOWN - _AROUND else 0
    cut = text[start : start + _SHOWN]
    return f"{'…' if start else ''}{cut}{'…' if start + _SHOWN < len(text) else ''}"


def _extensions(path: str) -> Iterator[Finding]:
    try:
        found = ColumnarFile(path, columnar_kind(path)).extensions()
    except (WeighbridgeError, ImportError):
        return  # reading its rows said so already
    for one in found:
        if one.pickled:
            message = f"the column {one.column} is of the type {one.name}, whose metadata older readers unpickle"
            yield finding(
                "DST-005",
                Location(path=(path,)),
                message,
                evidence=[f"{len(one.metadata)} bytes: {one.metadata[:60]!r}"],
            )


def _coverage(one: Examined, known: dict[tuple[str, ...], Coverage]) -> Iterator[Coverage]:
    """The account of the files: what could not be read is a gap, whatever the scan of its bytes said."""
    failed = dict(one.failed)
    rejected = dict(one.rejected)
    whole = next(iter(failed.values())) if failed and not failed.keys() & set(one.files) else None
    for path in dict.fromkeys((*one.files, *rejected)):
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        before = known.get((path,))
        error = failed.get(path) or whole
        entry = before or Coverage(path=(path,), format=one.profile.kind, size=size)
        if error is not None:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.UNREADABLE)
            yield replace(entry, status=Status.TRUNCATED, reason=reason, detail=error.message)
        elif path in rejected:
            bad = rejected[path]
            where = "; ".join(f"line {line}: {why}" for line, why in bad.places[:3])
            yield replace(
                entry,
                status=Status.TRUNCATED,
                reason=Reason.MALFORMED,
                detail=f"{bad.count} rows could not be read ({where})",
            )
        elif one.profile.kind == EMPTY or not one.profile.rows:
            yield replace(
                entry,
                status=Status.SKIPPED,
                reason=Reason.EMPTY,
                detail="nothing is in its cells" if one.profile.rows else "there are no rows",
            )
        elif before is None or before.reason in _READ:
            yield replace(
                entry,
                format=one.profile.kind,
                size=size,
                inspected=size,
                status=Status.INSPECTED,
                reason=Reason.NONE,
                detail="",
            )
