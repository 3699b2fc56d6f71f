"""Knows how two versions of an artifact, or a derivative and its base, become one report: files, structure, tensors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.detect.derivation import kind_of
from weighbridge.detect.wgt import detect_comparison
from weighbridge.inspection.origin import judged
from weighbridge.inspection.plan import Options, collect
from weighbridge.inspection.structure import aspects, differences, training
from weighbridge.provenance import adapter
from weighbridge.provenance.digest import digests, members
from weighbridge.rules.finding import finding
from weighbridge.schema import Comparison, Difference, Location, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.policy import Policy
    from weighbridge.provenance.digest import FileDigest, Members
    from weighbridge.schema import Coverage, Finding, Report


class Order(Struct, frozen=True, kw_only=True):
    """What should have happened between the two: `frozen` is a regular expression over tensor names, `expected` a kind.

    `tensors` may be left out; `contents` says whether both are inspected, so that new findings show.
    """

    frozen: str = ""
    expected: str = ""
    tensors: bool = True
    contents: bool = True


def compared(old: str, new: str, order: Order, policy: Policy | None = None) -> Report:
    """Hold two versions against each other. Raises SourceError, MalformedInput, Unavailable, VerificationFailed."""
    left, right = members(old), members(new)
    before = {one.name: one for one in digests(left)}
    after = {one.name: one for one in digests(right)}
    if len(before) == len(after) == 1:
        # Two files are two versions of one thing, whatever they are called.
        before = {next(iter(after)): next(iter(before.values()))}
        left = type(left)(left.root, ((next(iter(after)), left.files[0][1]),))
    found = Comparison(
        old=old, new=new, files=tuple(_files(before, after)), structure=tuple(_structure(left, right, before, after))
    )
    if order.tensors:
        found = _with_tensors(found, order)
    findings = [*detect_comparison(found, frozen=order.frozen, expected=order.expected), *_training(old, new)]
    coverage: tuple[Coverage, ...] = ()
    if order.contents:
        fresh, coverage = _fresh(old, new)
        findings += fresh
    size = sum(one.size for one in after.values())
    return judged(new, findings, size=size, files=len(after), coverage=coverage, comparison=found, policy=policy)


def _files(before: dict[str, FileDigest], after: dict[str, FileDigest]) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None or old.sha256 != new.sha256:
            yield Difference(member=name, what="file", before=_named(old), after=_named(new))
        elif old.powers != new.powers:
            yield Difference(member=name, what="mode", before=f"{old.powers:o}", after=f"{new.powers:o}")


def _named(one: FileDigest | None) -> str:
    return f"{one.sha256[:12]} ({one.size} bytes)" if one is not None else ""


def _structure(
    left: Members, right: Members, before: dict[str, FileDigest], after: dict[str, FileDigest]
) -> Iterator[Difference]:
    old, new = dict(left.files), dict(right.files)
    for name in sorted(old.keys() & new.keys()):
        same_kind = os.path.splitext(old[name])[1] == os.path.splitext(new[name])[1]
        if before[name].sha256 != after[name].sha256 and same_kind:
            yield from differences(name, aspects(os.path.basename(old[name]), old[name]), aspects(name, new[name]))


def _with_tensors(found: Comparison, order: Order) -> Comparison:
    """The comparison with what changed in tensors; files without any are no fault unless something was expected of them."""
    if adapter.is_adapter(found.new) and not adapter.is_adapter(found.old):
        made = adapter.against(found.old, found.new)
        return replace(made, files=found.files, structure=found.structure)
    from weighbridge.provenance.tensors import compare  # noqa: PLC0415  # numpy takes a while

    try:
        made = kind_of(compare(found.old, found.new))
    except SourceError:
        if order.frozen or order.expected:
            raise
        return found
    return replace(made, files=found.files, structure=found.structure)


def _training(old: str, new: str) -> Iterator[Finding]:
    """Two checkpoints of one run: the later one goes on where the earlier one stood."""
    before, after = training(old), training(new)
    if before is None or after is None:
        return
    place = Location(path=(f"{new.rstrip('/')}/trainer_state.json",))
    (step, log), (later, longer) = before, after
    if later < step:
        yield finding("ADP-014", place, f"this checkpoint is at step {later}, and the earlier one at {step}")
    common = min(len(log), len(longer))
    first = next((number for number in range(common) if log[number] != longer[number]), None)
    if first is not None:
        lines = [f"earlier: {log[first]!r}"[:200], f"here: {longer[first]!r}"[:200]]
        yield finding("ADP-014", place, f"the histories differ from entry {first + 1} on", evidence=lines)


def _fresh(old: str, new: str) -> tuple[list[Finding], tuple[Coverage, ...]]:
    """Findings that the older version does not have, and what of the newer one could be inspected."""
    before, after = collect([old], Options()), collect([new], Options())
    alone = os.path.isfile(old) and os.path.isfile(new)
    known = {(one.rule, _inside(one.location.path, old, alone=alone)) for one in before.findings}
    fresh = [one for one in after.findings if (one.rule, _inside(one.location.path, new, alone=alone)) not in known]
    return fresh, after.coverage


def _inside(path: tuple[str, ...], root: str, *, alone: bool) -> tuple[str, ...]:
    return ("" if alone else path[0].removeprefix(root.rstrip("/")), *path[1:])
