"""Knows the tests of a table as one sketch: made from its first rows, grown row by row or part by part, and finished once."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from msgspec import Struct

from weighbridge.datasets import columns as kinds
from weighbridge.datasets.annotators import Annotators
from weighbridge.datasets.cells import LabelledCells
from weighbridge.datasets.changes import Changes, Version
from weighbridge.datasets.columns import Roles, Wish, find_roles
from weighbridge.datasets.digests import text_digest
from weighbridge.datasets.domains import Domains, read_domains
from weighbridge.datasets.duplicates import Duplicates
from weighbridge.datasets.formulas import Formulas
from weighbridge.datasets.held_out import HeldOut, read_held_out
from weighbridge.datasets.hidden_text import HiddenText
from weighbridge.datasets.labelled import Labelled
from weighbridge.datasets.learned import GivenNumbers, LabelledNumbers, is_numbers
from weighbridge.datasets.near_duplicates import NearDuplicates
from weighbridge.datasets.passages import Passages
from weighbridge.datasets.preferences import Preferences
from weighbridge.datasets.responses import Responses
from weighbridge.datasets.table import Table, listed, same_columns, split_of
from weighbridge.datasets.url_lists import UrlList
from weighbridge.datasets.view import view
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.datasets.groups import Outcome
    from weighbridge.datasets.view import Rows
    from weighbridge.formats.rows import Batch

_LABELS: Final = 10_000
_TEXTS: Final = ("text", "prompt", "messages", "chosen")


class Test(Protocol):
    """A sketch that grows row by row. Nothing in it needs the rows in one process: sketches of parts are joined."""

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        ...

    def join(self, other: Self, first: int, /) -> None:
        """Take the sketch of the rows that follow, made apart; the first of them has the number `first`."""
        ...

    def finish(self) -> Outcome | tuple[Outcome, ...]:
        """What it comes to."""
        ...


class Plan(Struct, frozen=True, kw_only=True):
    """What is asked of a table, as its first rows and the user say. `against` is the path of an earlier version.

    `columns` are those beside the label, `numbers` those of them that hold numbers. `seed` decides what is drawn where not all can be read.
    """

    roles: Roles
    wish: Wish
    against: str = ""
    columns: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    seed: int = 0


def plan(batch: Batch, wish: Wish, against: str = "", size: int = 0) -> Plan:
    """The plan that the first rows of a table of `size` bytes ask for. Raises UsageError where they lack what the wish names."""
    roles = find_roles(batch.columns, wish)
    beside = tuple(name for name in batch.columns if name != roles.label)
    numbers = tuple(name for name in beside if is_numbers(batch.columns[name]))
    seed = text_digest(f"{size} {[(name, str(cells[:1])) for name, cells in batch.columns.items()]}")
    return Plan(roles=roles, wish=wish, against=against, columns=beside, numbers=numbers, seed=seed)


class Sketch:
    """The tests of one plan over the rows so far, how many are in each split, and their labels while these are few. `makers` are what `tests_of` gave, so that what they compare with is read once."""

    def __init__(self, given: Plan, makers: dict[str, Callable[[], Test]]) -> None:
        self.plan, self.rows = given, 0
        self.splits: Counter[str] = Counter()
        self.labels = set[str]()
        self.tests = {name: make() for name, make in makers.items()}

    def add(self, batch: Batch, path: str) -> Rows:
        """Take the next rows, from a file of this name."""
        seen = view(self.plan.roles, batch.columns, len(batch), self.rows, split_of(path))
        for test in self.tests.values():
            test.add(seen)
        self.rows += len(batch)
        self.splits[seen.split] += len(batch)
        if seen.labels and len(self.labels) < _LABELS:
            self.labels.update(seen.labels)
        return seen

    def join(self, other: Sketch) -> None:
        """Take the sketch of the rows that follow, of the same plan."""
        for name, test in self.tests.items():
            test.join(other.tests[name], self.rows)
        self.rows += other.rows
        self.splits += other.splits
        self.labels |= other.labels

    def finish(self) -> list[Outcome]:
        """What all tests come to. The sketch is used up."""
        return [one for test in self.tests.values() for one in _several(test.finish())] if self.rows else []


def tests_of(given: Plan) -> dict[str, Callable[[], Test]]:
    """How to begin each test of a plan; what rows are held against is read now.

    Raises UsageError, SourceError, MalformedInput, LimitExceeded where that cannot be read.
    """
    made = {**_fitting(given), **_wished(given)}
    if given.against:
        made["changes"] = partial(Changes, *read_earlier(given.against, given.wish))
    return made


def _fitting(given: Plan) -> dict[str, Callable[[], Test]]:
    """The tests that fit a kind of data."""
    roles = given.roles
    tests: dict[str, Callable[[], Test]] = {"formulas": Formulas}
    if roles.kind == kinds.CROWD:
        return {**tests, "annotators": partial(Annotators, roles)}
    if roles.kind == kinds.URLS:
        tests["addresses"] = partial(UrlList, roles)
    if any(getattr(roles, role) for role in _TEXTS):
        tests |= {"hidden": HiddenText, "duplicates": Duplicates, "versions": NearDuplicates}
    if roles.kind == kinds.LABELLED:
        tests["labelled"] = partial(Labelled, given.seed)
    if roles.kind == kinds.TABLE and roles.label:
        tests |= {"labelled": partial(LabelledCells, given.columns), "numbers": partial(LabelledNumbers, given.numbers)}
    if roles.kind in {kinds.CHAT, kinds.INSTRUCTION, kinds.PREFERENCE}:
        tests["responses"] = Responses
    if roles.kind == kinds.PREFERENCE:
        tests["preferences"] = Preferences
    if roles.kind == kinds.CORPUS:
        tests["passages"] = Passages
    return tests


def _wished(given: Plan) -> dict[str, Callable[[], Test]]:
    """The tests that somebody gave something for."""
    roles, wish = given.roles, given.wish
    tests: dict[str, Callable[[], Test]] = {}
    if wish.features:
        if not roles.label or roles.kind == kinds.CROWD:
            raise UsageError(
                "--features are held against labels, and there are none", hint="--label names their column"
            )
        tests["features"] = partial(GivenNumbers, wish.features)
    if wish.domains and roles.url:
        tests["domains"] = partial(Domains, roles, read_domains(wish.domains))
    if wish.held_out:
        tests["held out"] = partial(HeldOut, *read_held_out(wish.held_out))
    return tests


def read_earlier(path: str, wish: Wish) -> tuple[Version, str]:
    """A sketch of an earlier version, with its name. Raises UsageError where it is not one table of texts."""
    found, roles = Version(), None
    shards = [shards for shards, _ in same_columns(listed(path) if os.path.isdir(path) else [path]) if shards]
    if len(shards) != 1:
        raise UsageError(
            f"{path}: not one table", hint="--against takes a file, or a folder of files with the same columns"
        )
    for file, first, batch in Table(shards[0]).batches():
        roles = roles or find_roles(batch.columns, wish)
        found.add(view(roles, batch.columns, len(batch), first, split_of(file.path)))
    if roles is None or not any(getattr(roles, role) for role in _TEXTS):
        raise UsageError(f"{path}: there are no texts in it", hint="--text names the column")
    return found, os.path.basename(path.rstrip("/"))


def _several(outcome: Any) -> tuple[Outcome, ...]:
    return outcome if isinstance(outcome, tuple) else (outcome,)
