"""Knows the deep inspection: every stage that applies to an artifact, one after the other, in one report with one verdict.

The bytes, provenance and names come first; then what it depends on, what its code does in the sandbox, and whether its
models have a trigger. A stage that was to run and could not is named in the report, which is then not complete.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.inspection.tested import MOST, joined, models_in, tested
from weighbridge.policy import Policy, Settings, decide
from weighbridge.schema import (
    Coverage,
    Finding,
    LimitExceeded,
    MalformedInput,
    Reason,
    Report,
    Status,
    UsageError,
    WeighbridgeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from weighbridge.policy.testing import TestPlan

_OBSERVED: Final = 16


class Depth(Struct, frozen=True, kw_only=True):
    """What a deep inspection may use: a plan for the tests of models (none where nobody gave samples), and seconds in all."""

    plan: TestPlan | None = None
    seconds: float = 600.0


def deepened(
    report: Report, path: str, depth: Depth, settings: Settings, said: Callable[[str], None] = lambda _: None
) -> Report:
    """A report about a local file or folder with the later stages joined to it. Raises UsageError for a far artifact."""
    if not os.path.exists(path):
        raise UsageError(f"{path}: only what is on this machine is inspected deeply", hint="fetch it first")
    ends = time.monotonic() + depth.seconds
    policy = settings.policy
    for stage in (_depended, _observed):
        report = stage(report, path, settings, ends, said)
    return _tried(report, path, depth, policy, ends, said)


def _depended(report: Report, path: str, settings: Settings, _ends: float, said: Callable[[str], None]) -> Report:
    """What the artifact depends on, where files in it say so."""
    from weighbridge.dependencies.advisories import default_path  # noqa: PLC0415  # only deep inspections
    from weighbridge.formats.manifests import is_manifest  # noqa: PLC0415
    from weighbridge.inspection.audit import Order, audit  # noqa: PLC0415

    if not any(is_manifest(one.path[0].rpartition("/")[2]) for one in report.coverage if len(one.path) == 1):
        return report
    said("dependencies")
    order = Order(paths=(path,), advisories=default_path(), demands=settings.dependencies, names=settings.names)
    try:
        return together(report, audit(order, settings.policy).report, settings.policy)
    except WeighbridgeError as error:
        return _with(report, [_not_done(path, "dependencies", error)], settings.policy)


def _observed(report: Report, path: str, settings: Settings, ends: float, said: Callable[[str], None]) -> Report:
    """What the code in its files does when a library loads them, in the sandbox."""
    from weighbridge.inspection.loading import load, loadable  # noqa: PLC0415  # only deep inspections

    try:
        found = loadable(path)
    except UsageError:
        return report
    for at, one in enumerate(found):
        if at >= _OBSERVED or time.monotonic() > ends:
            more = LimitExceeded(f"{at} of {len(found)} files were loaded in the sandbox", limit="seconds")
            return _with(report, [_not_done(path, "loaded", more)], settings.policy)
        said(f"sandbox: {one}")
        try:
            with load(one, observe=True, policy=settings.policy) as done:
                report = together(report, done.report, settings.policy)
        except MalformedInput:
            continue  # no library would load it
        except WeighbridgeError as error:
            report = _with(report, [_not_done(one, "loaded", error)], settings.policy)
    return report


def _tried(report: Report, path: str, depth: Depth, policy: Policy, ends: float, said: Callable[[str], None]) -> Report:
    """Whether its models have a trigger."""
    count = len(models_in(path))
    if depth.plan is None:
        return report if not count else _with(report, [_no_samples(path)], policy)
    left = ends - time.monotonic()
    if left < 1:
        more = LimitExceeded("no time was left for backdoor tests", limit="seconds")
        return _with(report, [_not_done(path, "tested", more)], policy)
    plan = replace(depth.plan, budget=f"{min(left, depth.plan.seconds):.0f}s")
    try:
        results = tested(path, plan, said)
    except WeighbridgeError as error:
        return _with(report, [_not_done(path, "tested", error)], policy)
    return joined(report, path, results, policy, count=min(count, MOST + 1))


def _no_samples(path: str) -> Coverage:
    why = UsageError("no samples were given for its backdoor tests", hint="--data, or a table [[test]]")
    return _not_done(path, "tested", why)


def together(report: Report, other: Report, policy: Policy) -> Report:
    """Two reports about one artifact as one, judged again. What both say is said once."""
    known = {(one.rule, one.location.member) for one in report.findings}
    places = {one.path for one in report.coverage}
    facts = set(report.facts)
    more = [one for one in other.findings if (one.rule, one.location.member) not in known]
    whole = replace(
        report,
        findings=tuple(sorted([*report.findings, *more], key=Finding.sort_key)),
        coverage=(*report.coverage, *(one for one in other.coverage if one.path not in places)),
        facts=(*report.facts, *(one for one in other.facts if one not in facts)),
    )
    return decide(whole, policy)


def _with(report: Report, coverage: Iterable[Coverage], policy: Policy) -> Report:
    return decide(replace(report, coverage=(*report.coverage, *coverage)), policy)


def _not_done(place: str, stage: str, error: WeighbridgeError) -> Coverage:
    reason = Reason.LIMIT if isinstance(error, LimitExceeded) else Reason.UNSUPPORTED
    detail = f"{error.message} ({error.hint})" if error.hint else error.message
    return Coverage(
        path=(place, stage), format=stage, size=0, inspected=0, status=Status.SKIPPED, reason=reason, detail=detail
    )
