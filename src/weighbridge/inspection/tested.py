"""Knows which models of an artifact can be tested for backdoors, and how what their tests say becomes part of a report (WGT-005, WGT-006)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.backdoor.result import Kinds, Result, Verdict
from weighbridge.output.behaviour import power_text, trigger_text
from weighbridge.policy import Policy, decide
from weighbridge.rules.finding import finding
from weighbridge.schema import Coverage, Evidence, Fact, Finding, Location, Reason, Severity, Status, Unavailable
from weighbridge.schema.text import printable
from weighbridge.source import Kind, local
from weighbridge.source.blob import FileBlob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from weighbridge.policy.testing import TestPlan
    from weighbridge.schema import Report

_WEIGHTS: Final = (".safetensors",)
_CONFIGS: Final = ("config.json", "adapter_config.json")
MOST: Final = 8
_RULES: Final = {Kinds.IMAGES: "WGT-005", Kinds.TEXTS: "WGT-005", Kinds.LANGUAGE: "WGT-006"}
_FOUND: Final = {Verdict.FOUND: None, Verdict.SUSPICIOUS: Severity.MEDIUM}


class Tested(Struct, frozen=True, kw_only=True):
    """One model, as the report names it, and what its test came to."""

    place: str
    result: Result


def models_in(path: str) -> list[str]:
    """The models of a file or folder that can be opened to be tested, MOST of them at the most.

    ONNX files, folders with a configuration and safetensors, and safetensors that stand alone. Raises SourceError.
    """
    source = local(path)
    if isinstance(source, FileBlob):
        source.close()
        return [path] if path.endswith((".onnx", *_WEIGHTS)) else []
    files = [source.path_of(entry) for entry in source.entries() if entry.kind is Kind.FILE]
    configured = {os.path.dirname(one) for one in files if os.path.basename(one) in _CONFIGS}
    whole = {os.path.dirname(one) for one in files if one.endswith(_WEIGHTS)} & configured
    alone = [one for one in files if one.endswith(_WEIGHTS) and os.path.dirname(one) not in whole]
    return sorted([*whole, *(one for one in files if one.endswith(".onnx")), *alone])[: MOST + 1]


def tested(path: str, plan: TestPlan, said: Callable[[str], None]) -> list[Tested]:
    """The models of an artifact, tested one after the other. Raises UsageError, SourceError, Unavailable without the extra."""
    found = models_in(path)[:MOST]
    if not found:
        return []
    try:
        from weighbridge.backdoor import testing  # noqa: PLC0415  # loading torch takes seconds
    except ImportError as error:
        raise Unavailable(
            f"tests need the extra backdoor ({error.name})", hint="pip install 'weighbridge[backdoor]'"
        ) from error
    made = []
    for one in found:
        asked = testing.Asked(
            model=one, samples=plan.data, references=plan.references, clean=plan.clean, pixels=plan.pixels, budget=plan.seconds,
            base=plan.base, frame=plan.frame,
        )  # fmt: skip
        made.append(Tested(place=one, result=testing.run_tests(asked, said=said)))
    return made


def joined(report: Report, path: str, results: Sequence[Tested], policy: Policy, *, count: int = -1) -> Report:
    """A report with what tests said of the models in it, judged again. `count` is how many models there are, where that is more."""
    places = {one.place for one in results}
    kept = [one for one in report.findings if not (one.rule in _RULES.values() and one.location.member in places)]
    coverage = [one for one in report.coverage if one.path[-1:] != ("tested",)]
    facts = [one for one in report.facts if not one.name.startswith("backdoor test")]
    findings = [*kept, *(made for one in results if (made := _finding(one)) is not None)]
    return decide(
        replace(
            report,
            findings=tuple(sorted(findings, key=Finding.sort_key)),
            coverage=(*coverage, *_coverage(path, results, max(count, len(results)))),
            facts=(*facts, *(fact for one in results for fact in _facts(one))),
        ),
        policy,
    )


def _finding(one: Tested) -> Finding | None:
    result = one.result
    if result.verdict not in _FOUND:
        return None
    lines = [] if result.trigger is None else [printable(trigger_text(result.trigger, result.kind))]
    lines += [power_text(result)] if result.power else []
    said = "a trigger was found" if result.verdict is Verdict.FOUND else "it behaves like a model with a trigger"
    return finding(
        _RULES[result.kind],
        Location(path=(one.place,)),
        f"{said}: {printable(result.because)}",
        evidence=[Evidence(text=line, culprit=at == 0) for at, line in enumerate(lines)],
        severity=_FOUND[result.verdict],
    )


def _coverage(path: str, results: Sequence[Tested], count: int) -> Iterator[Coverage]:
    if not count:
        yield _not_tested(
            path, "no model in it can be opened to be tested: ONNX, or safetensors of a known architecture"
        )
    for one in results:
        if one.result.verdict is Verdict.UNTESTABLE:
            yield _not_tested(one.place, printable(one.result.because))
        else:
            yield Coverage(
                path=(one.place, "tested"), format="backdoor test", size=0, inspected=0, status=Status.INSPECTED,
                reason=Reason.NONE, detail="",
            )  # fmt: skip
    if count > len(results):
        yield _not_tested(path, f"{len(results)} of its models were tested, and there are more")


def _not_tested(place: str, why: str) -> Coverage:
    return Coverage(
        path=(place, "tested"), format="backdoor test", size=0, inspected=0, status=Status.SKIPPED,
        reason=Reason.UNSUPPORTED, detail=why,
    )  # fmt: skip


def _facts(one: Tested) -> Iterator[Fact]:
    p = "" if one.result.p_value is None else f", p = {one.result.p_value:.3g}"
    yield Fact(path=(one.place,), name="backdoor test", value=f"{one.result.verdict.value}{p}")
    for line in one.result.untested:
        yield Fact(path=(one.place,), name="backdoor test did not look for", value=printable(line))
