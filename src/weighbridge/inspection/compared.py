"""Knows how two versions of an artifact, or a derivative and its base, become one report: files, structure, tensors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.detect.derivation import kind_of
from weighbridge.detect.wgt import detect_comparison
from weighbridge.inspection.origin import judged
from weighbridge.inspection.plan import Options, collect
from weighbridge.inspection.structure import aspects, differences, training
from weighbridge.provenance import adapter
from weighbridge.provenance.digest import POWERS, members
from weighbridge.rules.finding import finding
from weighbridge.schema import Comparison, Difference, Location, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.policy import Policy
    from weighbridge.schema import Coverage, Finding, Report


_BLOCK: Final = 1 << 20


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
    before, after = dict(members(old).files), dict(members(new).files)
    if len(before) == len(after) == 1 and os.path.isfile(old) and os.path.isfile(new):
        # Two files are two versions of one thing, whatever they are called.
        before = {next(iter(after)): next(iter(before.values()))}
    files = tuple(_files(before, after))
    structure = tuple(_structure(before, after, {one.member for one in files}))
    found = Comparison(old=old, new=new, files=files, structure=structure)
    if order.tensors:
        found = _with_tensors(found, order)
    findings = [*detect_comparison(found, frozen=order.frozen, expected=order.expected), *_training(old, new)]
    coverage: tuple[Coverage, ...] = ()
    if order.contents:
        fresh, coverage = _fresh(old, new)
        findings += fresh
    size = sum(os.path.getsize(path) for path in after.values())
    return judged(new, findings, size=size, files=len(after), coverage=coverage, comparison=found, policy=policy)


def _files(before: dict[str, str], after: dict[str, str]) -> Iterator[Difference]:
    """Files that are not the same, by their bytes: nothing needs to be hashed for that."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            yield Difference(member=name, what="file", before=_sized(old), after=_sized(new))
            continue
        at = _first_difference(old, new)
        if at >= 0:
            yield Difference(
                member=name, what="file", before=_sized(old), after=f"{_sized(new)}, other from byte {at} on"
            )
        one, other = (os.stat(path).st_mode & POWERS for path in (old, new))
        if one != other:
            yield Difference(member=name, what="mode", before=f"{one:o}", after=f"{other:o}")


def _sized(path: str | None) -> str:
    return f"{os.path.getsize(path)} bytes" if path is not None else ""


def _first_difference(old: str, new: str) -> int:
    """The first byte that differs, -1 where all are the same."""
    with open(old, "rb", buffering=0) as left, open(new, "rb", buffering=0) as right:
        at = 0
        while True:
            one, other = left.read(_BLOCK), right.read(_BLOCK)
            if one != other:
                low, high = 0, min(len(one), len(other))
                while low < high:
                    middle = (low + high + 1) // 2
                    low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
                return at + low
            if not one:
                return -1
            at += len(one)


def _structure(before: dict[str, str], after: dict[str, str], changed: set[str]) -> Iterator[Difference]:
    for name in sorted(before.keys() & after.keys() & changed):
        old, new = before[name], after[name]
        if os.path.splitext(old)[1] == os.path.splitext(new)[1]:
            yield from differences(name, aspects(os.path.basename(old), old), aspects(name, new))


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
