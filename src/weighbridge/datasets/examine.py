"""Runs every test that fits a set of data over one pass, and fetches the rows that are worth showing."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.datasets import columns as kinds
from weighbridge.datasets.backgrounds import find_on_background
from weighbridge.datasets.cells import LabelledCells
from weighbridge.datasets.changes import Changes
from weighbridge.datasets.clusters import find_parted
from weighbridge.datasets.contributions import Attribution, summary, timeline, told
from weighbridge.datasets.engines import parts_of
from weighbridge.datasets.groups import Outcome
from weighbridge.datasets.history import Contributions, history_of, read_history
from weighbridge.datasets.image_files import Pictures, holds_pictures, is_picture_folder, read_arrays, read_folder
from weighbridge.datasets.labelled import Labelled
from weighbridge.datasets.learned import find_exchanged, read_features
from weighbridge.datasets.neighbours import scaled
from weighbridge.datasets.patches import find_patches
from weighbridge.datasets.picture_features import picture_features
from weighbridge.datasets.responses import confirmed
from weighbridge.datasets.sketches import Sketch, plan, tests_of
from weighbridge.datasets.snapshots import look_at_edits, look_at_visits
from weighbridge.datasets.spectra import LEAST, beside_others, find_added
from weighbridge.datasets.table import Table, listed, open_file, same_columns
from weighbridge.datasets.view import said, view
from weighbridge.formats.page_history import is_crawl, is_history, read_pages
from weighbridge.formats.rows import Rejected
from weighbridge.schema import Column, LimitExceeded, Profile, UsageError, WeighbridgeError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from weighbridge.datasets.columns import Roles, Wish
    from weighbridge.datasets.engines import Engine
    from weighbridge.datasets.groups import Group
    from weighbridge.datasets.history import Repository
    from weighbridge.datasets.table import Row
    from weighbridge.datasets.view import Rows
    from weighbridge.formats.rows import Batch, RowsFile

Array = Any
_READ_AGAIN: Final = 60
_SHOWN: Final = 3
_ALWAYS: Final = "triggers of meaning, styles that are not on its list, clean-label poison, and attackers who know these tests: they leave no such marks"


class Example(Struct, frozen=True):
    """A row to show: where it stands and what it says."""

    path: str
    line: int
    text: str


class Told(Struct, frozen=True):
    """A group with its examples."""

    group: Group
    examples: tuple[Example, ...]


class Examined(Struct, frozen=True, kw_only=True):
    """One set of data: what it is, what was found, which rows of which files could not be read, which files not at all.

    `splits` counts the rows of each split of a table, `labels` are the values of its label.
    """

    profile: Profile
    told: tuple[Told, ...] = ()
    rejected: tuple[tuple[str, Rejected], ...] = ()
    failed: tuple[tuple[str, WeighbridgeError], ...] = ()
    table: Table | None = None
    files: tuple[str, ...] = ()
    splits: Mapping[str, int] = {}
    labels: frozenset[str] = frozenset()


class Asked(Struct, frozen=True, kw_only=True):
    """How to examine: `heard` hears of rows as they are read, `against` is an earlier version of one table.

    Of a folder, `only` names the files to look at. `engine` reads large tables; without one, this process does. `history` is that of
    the data where it is kept elsewhere; a folder with a git repository has its own.
    """

    heard: Callable[[int], None] = lambda _: None
    against: str = ""
    only: frozenset[str] | None = None
    engine: Engine | None = None
    history: Repository | None = None


def examine(path: str, wish: Wish, asked: Asked | None = None) -> Iterator[Examined]:
    """Every set of data at a path. Raises UsageError where there is none, or the earlier version cannot be compared."""
    asked = asked or Asked()
    against = asked.against
    if os.path.isdir(path):
        yield from _folder(path, wish, asked)
    elif is_history(path):
        if against:
            raise UsageError("histories of pages are not compared with an earlier version", hint="leave --against out")
        yield _pages(path, wish)
    elif holds_pictures(path):
        if against:
            raise UsageError(
                "pictures are not compared with an earlier version", hint="--against takes tables of texts"
            )
        yield _pictures(path, read_arrays(path), wish)
    else:
        yield _table(path, Table([open_file(path)]), wish, asked)


def _folder(path: str, wish: Wish, asked: Asked) -> Iterator[Examined]:
    only = asked.only
    files = [one for one in listed(path) if only is None or _inside(path, one) in only]
    kept = os.path.join(path, "commits" if asked.history else ".git")
    history, unread = _history(path, wish, asked.history, kept)
    yield from unread
    arrays = [
        entry.path
        for entry in sorted(os.scandir(path), key=lambda e: e.name)
        if not entry.name.lower().endswith(".npy") and holds_pictures(entry.path)
        if only is None or entry.name in only
    ]
    found = False
    judged: list[Group] = []
    for place in [one for one in (path, *_folders(path)) if is_picture_folder(one)]:
        found = True
        yield _pictures(place, read_folder(place), wish)
    for place in arrays:
        found = True
        yield _attempted(place, wish)
    for place in [entry.path for entry in sorted(os.scandir(path), key=lambda e: e.name) if is_history(entry.path)]:
        if only is None or _inside(path, place) in only:
            found = True
            yield _attempted(place, wish)
    for shards, failed in same_columns(files):
        found = True
        if shards:
            name = path if len(shards) > 1 else shards[0].path
            one = _table(name, Table(shards), wish, asked, history)
            judged += [told.group for told in one.told]
            yield one
        for place, error in failed:
            yield _failure(place, error)
    if not found:
        raise UsageError(
            f"{path}: there is no data that can be read",
            hint="jsonl, json, csv, tsv, txt, parquet, arrow, hdf5, npz, or folders of pictures",
        )
    if history is not None:
        yield _contributions(kept, history, judged)


def _inside(folder: str, path: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _history(path: str, wish: Wish, given: Repository | None, kept: str) -> tuple[Contributions | None, list[Examined]]:
    """The history of a folder that has one, or the one that was given; where it cannot be read, that is said of where it is `kept`."""
    try:
        return history_of(given, wish) if given is not None else read_history(path, wish), []
    except WeighbridgeError as error:
        return None, [_failure(kept, error)]


def _contributions(name: str, history: Contributions, judged: list[Group]) -> Examined:
    groups = told(history)
    picture = timeline(history, [*judged, *groups])
    is_signed = any(one.commit.signed is not None for one in history.changes)
    signatures = (
        "whether signatures of commits hold: that one is there is all that is looked at"
        if is_signed
        else "signatures of commits: nothing is told of them"
    )
    profile = Profile(
        name=name, kind="contributions", rows=len(history.changes), notes=history.notes,
        tested=(f"contributions: {summary(history)}",), pictures=(picture,) if picture else (),
        untested=(signatures,),
    )  # fmt: skip
    failed = tuple((name, LimitExceeded(note, limit="bytes")) for note in history.notes[:1])
    return Examined(profile=profile, told=tuple(Told(group, ()) for group in groups), failed=failed, files=(name,))


def _folders(path: str) -> list[str]:
    return [
        entry.path for entry in sorted(os.scandir(path), key=lambda e: e.name) if entry.is_dir(follow_symlinks=False)
    ]


def _attempted(path: str, wish: Wish) -> Examined:
    try:
        return _pages(path, wish) if is_history(path) else _pictures(path, read_arrays(path), wish)
    except WeighbridgeError as error:
        return _failure(path, error)


def _failure(path: str, error: WeighbridgeError) -> Examined:
    return Examined(profile=Profile(name=path, kind="not read", rows=0), failed=((path, error),), files=(path,))


def _table(name: str, table: Table, wish: Wish, asked: Asked, history: Contributions | None = None) -> Examined:
    authors = Attribution(history) if history else None
    failed: list[tuple[str, WeighbridgeError]] = []
    sketch = None
    columns: tuple[Column, ...] = ()
    batches = table.batches()
    try:
        first = next(batches, None)
    except WeighbridgeError as error:
        first = None
        failed.append((name, error))
    if first is not None:
        wanted = plan(first[2], wish, asked.against, table.size)
        sketch, columns = Sketch(wanted, tests_of(wanted)), _columns(wanted.roles, first[2])
        try:
            _read(table, chain([first], batches), sketch, authors, asked)
        except WeighbridgeError as error:
            failed.append((name, error))
    roles = sketch.plan.roles if sketch else None
    rows, tests = (sketch.rows, sketch.tests) if sketch else (0, {})
    outcomes = sketch.finish() if sketch else []
    changes = tests.get("changes")
    if isinstance(changes, Changes):
        outcomes = [_with_news(one, changes.added()) for one in outcomes]
    if authors is not None and rows:
        outcomes = [_with_authors(one, authors) for one in outcomes]
        groups = authors.judged(group for one in outcomes for group in one.groups)
        outcomes.append(Outcome(test="contributors", groups=tuple(groups), about="their rows against everybody else's"))
    shown = _told(table, roles, outcomes) if roles else ()
    labelled = tests.get("labelled")
    rejected = tuple((file.path, file.rejected) for file in table.files if file.rejected.count)
    profile = Profile(
        name=name, kind=roles.kind if roles else kinds.EMPTY, rows=rows, rejected=sum(one.count for _, one in rejected),
        files=len(table.files), columns=columns, notes=tuple(dict.fromkeys(note for file in table.files for note in file.notes)),
        tested=tuple(f"{one.test}: {one.about}" if one.about else one.test for one in outcomes if not (one.not_tested and not one.about)),
        untested=(*(one.not_tested for one in outcomes if one.not_tested), *_unasked(roles, wish), _ALWAYS),
        pictures=labelled.pictures if isinstance(labelled, (Labelled, LabelledCells)) else (),
    )  # fmt: skip
    return Examined(
        profile=profile,
        told=shown,
        rejected=rejected,
        failed=tuple(failed),
        table=table,
        files=tuple(file.path for file in table.files),
        splits=dict(sketch.splits) if sketch else {},
        labels=frozenset(sketch.labels if sketch else ()),
    )


def _read(
    table: Table,
    batches: Iterable[tuple[RowsFile, int, Batch]],
    sketch: Sketch,
    authors: Attribution | None,
    asked: Asked,
) -> None:
    """Read a table into a sketch: part by part where somebody else reads them and it is large enough, else from its `batches`.

    Raises what reading its files does; the rows before are in the sketch then.
    """
    engine = asked.engine if authors is None else None
    if engine is None or table.size < engine.least:
        for file, _, batch in batches:
            seen = sketch.add(batch, file.path)
            if authors is not None:
                authors.add(seen.texts)
            asked.heard(sketch.rows)
        return
    about = {file.path: file for file in table.files}
    for file in table.files:
        file.rejected = Rejected()
    parts = parts_of(table, engine.workers)
    for part, read in zip(parts, engine.read(sketch.plan, parts), strict=True):
        about[part.path].rejected.join(read.rejected)
        about[part.path].notes[:] = dict.fromkeys((*about[part.path].notes, *read.notes))
        sketch.join(read.sketch)
        asked.heard(sketch.rows)
        if read.error:
            raise read.error


def _with_news(outcome: Outcome, added: Array) -> Outcome:
    """The groups of a test, with how many of their rows are new."""
    groups = tuple(
        replace(
            group,
            facts=(
                *group.facts,
                f"{int(added[list(group.rows)].sum())} of its {plural(len(group.rows), 'row')} are new",
            ),
        )
        if group.rows
        else group
        for group in outcome.groups
    )
    return replace(outcome, groups=groups)


def _with_authors(outcome: Outcome, authors: Attribution) -> Outcome:
    """The groups of a test, with whose rows they are."""
    groups = tuple(
        replace(group, facts=(*group.facts, fact)) if group.rows and (fact := authors.fact(group.rows)) else group
        for group in outcome.groups
    )
    return replace(outcome, groups=groups)


def _unasked(roles: Roles | None, wish: Wish) -> tuple[str, ...]:
    """What no test here asks of a kind of data."""
    said = {
        kinds.TABLE: "numbers and categories: without a label (--label) only formulas are looked for",
        kinds.CORPUS: "what texts without labels say: fluent poison among them has no mark",
    }
    if roles and roles.kind == kinds.URLS and not wish.domains:
        return ("the age of their domains (--domains takes a table)",)
    if roles and roles.kind == kinds.TABLE and roles.label:
        return ("values that decide only together, and numbers that decide within a range",)
    return (said[roles.kind],) if roles and roles.kind in said else ()


def _columns(roles: Roles, batch: Batch) -> tuple[Column, ...]:
    made = []
    for name, cells in batch.columns.items():
        filled = [cell for cell in cells if cell is not None and cell != ""]
        different = len({str(cell)[:200] for cell in filled[:2000]})
        first = said(filled[0])[:60] if filled else ""
        made.append(
            Column(
                name=name,
                role=roles.role_of(name),
                about=f"{different} different among the first {min(len(filled), 2000)}, such as “{first}”"
                if filled
                else "empty",
            )
        )
    return tuple(made)


def _told(table: Table, roles: Roles, outcomes: list[Outcome]) -> tuple[Told, ...]:
    """Groups with examples; one more pass reads the rows that are shown."""
    groups = [group for outcome in outcomes for group in outcome.groups]
    wanted = {row for group in groups for row in group.shown[:_SHOWN]}
    for group in groups:
        if group.rule == "DST-022":
            wanted.update(group.rows[:_READ_AGAIN])
    found = table.rows_at(sorted(wanted))
    return tuple(_with_examples(group, found, roles) for group in groups)


def _with_examples(group: Group, found: Mapping[int, Row], roles: Roles) -> Told:
    if group.rule == "DST-022":
        seen = [_seen(roles, found[row]) for row in group.rows[:_READ_AGAIN] if row in found]
        group = confirmed(group, [(row.prompts[0], row.responses[0]) for row in seen if row.prompts and row.responses])
    rows = [found[row] for row in group.shown[:_SHOWN] if row in found]
    return Told(group, tuple(Example(row.path, row.line, _text(roles, row)) for row in rows))


def _seen(roles: Roles, row: Row) -> Rows:
    return view(roles, {name: [cell] for name, cell in row.cells.items()}, 1, 0, "")


def _text(roles: Roles, row: Row) -> str:
    seen = _seen(roles, row)
    text = seen.texts[0] or " ".join(f"{name}={said(cell)[:80]}" for name, cell in row.cells.items())
    return f"[{seen.labels[0]}] {text}" if seen.labels else text


def _pages(path: str, wish: Wish) -> Examined:
    """A history of pages: what was changed for a snapshot."""
    rejected = Rejected()
    crawled = is_crawl(path)
    pages = read_pages(path, rejected)
    seen = look_at_visits(pages) if crawled else look_at_edits(pages, wish.snapshots)
    days = " to ".join(f"{datetime.fromtimestamp(one, UTC):%Y-%m-%d}" for one in (seen.first, seen.last))
    told = tuple(
        Told(group, tuple(Example(path, 0, f"{one.page}: {datetime.fromtimestamp(one.since, UTC):%Y-%m-%d} to {datetime.fromtimestamp(one.until, UTC):%Y-%m-%d} {one.author}") for one in edits[:_SHOWN]))
        for group, edits in seen.groups
    )  # fmt: skip
    tried = (
        "visits to pages of one site"
        if crawled
        else "edits around " + (", ".join(map(str, wish.snapshots)) or "the 1st and 20th of each month")
    )
    profile = Profile(
        name=path, kind="visits of a crawl" if crawled else "history of pages", rows=seen.versions, rejected=rejected.count,
        columns=(Column(name="versions", role="version", about=f"{plural(seen.versions, 'version')} of {plural(seen.pages, 'page')}, {days}"),),
        tested=(f"{tried}: {plural(seen.edits, 'version')} taken back",), untested=("edits that nobody took back, and those put back in part", _ALWAYS),
    )  # fmt: skip
    return Examined(profile=profile, told=told, rejected=((path, rejected),) if rejected.count else (), files=(path,))


def _pictures(path: str, given: Pictures, wish: Wish) -> Examined:
    learned = _learned(given, wish)
    groups = (
        *find_added(given),
        *find_on_background(given),
        *find_patches(given),
        *(group for one in learned for group in one.groups),
    )
    merged: list[Group] = []
    for group in groups:
        if not any(set(group.rows) <= set(other.rows) for other in merged):
            merged.append(group)
    told = tuple(
        Told(group, tuple(_picture_example(path, given, row) for row in group.shown[:_SHOWN])) for group in merged
    )
    height, width, channels = given.pixels.shape[1:]
    many = f"{len(given)} pictures of {height} x {width}, {channels} channel{'s' if channels > 1 else ''}"
    profile = Profile(
        name=path, kind="labelled pictures", rows=len(given), rejected=len(given.skipped), notes=given.notes,
        columns=(Column(name="pictures", role="picture", about=many), Column(name="labels", role="label", about=f"{len(given.classes)} classes")),
        tested=("patterns added to whole pictures", "what stands on the background", "patches at any place", *(f"{one.test}: {one.about}" for one in learned if one.about)),
        untested=(*_too_few(given), *_not_learned(learned), _ALWAYS),
        pictures=tuple(picture for group in merged for picture in group.pictures),
    )  # fmt: skip
    return Examined(profile=profile, told=told, rejected=_unread(given), files=(path,))


def _learned(given: Pictures, wish: Wish) -> list[Outcome]:
    """What numbers say of the labels: those that a user gives, and those that are learned where that is asked for."""
    if not (wish.features or wish.train):
        return []
    labels = given.labels.astype(numpy.int64)
    learned = picture_features(given.pixels)
    found = []
    if wish.features:
        numbers = read_features(wish.features, len(given))
        found.append(find_exchanged(scaled(numbers), labels, given.classes, "pictures"))
        found.append(_shown(find_parted(numbers, labels, given.classes, "pictures", learned), given))
    if wish.train:
        found.append(find_exchanged(learned, labels, given.classes, "pictures"))
    return found


def _shown(outcome: Outcome, given: Pictures) -> Outcome:
    """Groups of pictures with what they have beyond others of their label."""
    made = []
    for group in outcome.groups:
        rows = numpy.array(group.rows)
        label = int(given.labels[rows[0]])
        rest = numpy.setdiff1d(numpy.flatnonzero(given.labels == label), rows)
        made.append(replace(group, pictures=beside_others(given, rows, rest, given.classes[label])))
    return replace(outcome, groups=tuple(made))


def _not_learned(learned: list[Outcome]) -> tuple[str, ...]:
    if not learned:
        return ("exchanged labels of pictures: --train learns what is on them first, or --features gives numbers",)
    return tuple(one.not_tested for one in learned if one.not_tested)


def _too_few(given: Pictures) -> tuple[str, ...]:
    sizes = numpy.bincount(given.labels, minlength=len(given.classes))
    small = [name for name, size in zip(given.classes, sizes, strict=True) if size < LEAST]
    alone = ("patches: there is one label only, so nothing can be said against it",) if len(given.classes) < 2 else ()
    few = f"patterns added to pictures of {len(small)} labels with fewer than {LEAST} pictures: {', '.join(small[:5])}"
    return (*alone, few) if small else alone


def _picture_example(path: str, given: Pictures, row: int) -> Example:
    name = given.classes[given.labels[row]]
    return Example(given.places[row] if given.places else path, row + 1, f"picture {row + 1}, labelled “{name}”")


def _unread(given: Pictures) -> tuple[tuple[str, Rejected], ...]:
    return tuple((place, Rejected(count=1, places=[(1, why)])) for place, why in given.skipped)
