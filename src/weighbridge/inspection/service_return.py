"""Knows how what a fine-tuning service gives back is held against the job that was ordered and the base that was sent (ADP-015).

A service sees the data and returns weights that nobody else computed: what can be checked is that they differ from the base as
the job says, and nowhere else. What they learned is for the tests of behaviour.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.inspection.compared import Order, compared
from weighbridge.policy import Policy, decide
from weighbridge.provenance.digest import digests, members
from weighbridge.rules.finding import finding
from weighbridge.schema import Finding, Location, Severity
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.job import Job
    from weighbridge.schema import Change, Comparison, Report

_FITTING: Final = {
    "lora": {"low-rank merge", "adapter of low rank", "rank-one edit"}, "full": {"full fine-tune", "part of the layers"},
    "head": {"head only"}, "quantised": {"quantised and back"},
}  # fmt: skip
_WORDS: Final = {
    "lora": "a low-rank adapter",
    "full": "full fine-tuning",
    "head": "training of the head",
    "quantised": "quantisation",
}
_VOCABULARY: Final = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|shared|embeddings?|lm_head)\b")
_HEAD: Final = re.compile(r"(?:^|\.)(?:lm_head|classifier|score|cls|head|qa_outputs|pooler)\b")
_WEIGHTS: Final = re.compile(
    r"\.(?:safetensors|bin|pt|pth|gguf)\Z|\.index\.json\Z|(?:^|/)(?:adapter_config\.json|README\.md|trainer_state\.json|training_args\.bin)\Z"
)
_IDLE: Final = re.compile(r"\b(?:_name_or_path|transformers_version|torch_dtype|dtype|use_cache|_commit_hash)\b")
_SHOWN: Final = 8


def held_to_job(base: str, job: Job, returned: str, policy: Policy | None = None) -> Report:
    """A comparison of a base with what came back, judged by the job. Raises what `compared` raises."""
    chosen = policy or Policy()
    report = compared(base, returned, Order(), chosen)
    found = report.comparison
    assert found is not None
    place = Location(path=(returned,))
    own = [*_method(found, job, place), *_modules(found, job, place)]
    # What was ordered is no finding, and what the job explains better is not told twice.
    explained = {"WGT-001"} if job.method == "lora" else set[str]()
    explained |= {"ADP-015"} if own else set()
    known = [one for one in report.findings if one.rule not in explained]
    made = [*known, *own, *_beside(found, place), *_evidence(base, job, place)]
    return decide(replace(report, findings=tuple(sorted(dict.fromkeys(made), key=Finding.sort_key))), chosen)


def _method(found: Comparison, job: Job, place: Location) -> Iterator[Finding]:
    """What was done, against what was ordered."""
    if found.kind == "nothing":
        yield finding(
            "ADP-015", place, "every tensor is that of the base: nothing was trained", severity=Severity.MEDIUM,
            why="what was paid for was not done, or what came back is something else than what was made",
        )  # fmt: skip
        return
    kind = found.kind.removesuffix(" and more")
    if job.method and found.kind and kind not in _FITTING[job.method]:
        yield finding(
            "ADP-015",
            place,
            f"{_WORDS[job.method]} was ordered, and this is: {found.kind}",
            evidence=_lines(found.changed),
        )
    wide = [one for one in found.changed if job.method == "lora" and job.rank and one.directions > job.rank]
    if wide:
        yield finding(
            "ADP-015", place, f"{plural(len(wide), 'tensor')} changed in more directions than the rank of the job, {job.rank}",
            evidence=_lines(wide),
        )  # fmt: skip


def _modules(found: Comparison, job: Job, place: Location) -> Iterator[Finding]:
    """Tensors that the job had no business with."""
    if found.kind == "unrelated weights":
        return
    foreign = [one for one in found.changed if not _may(one.name, job)]
    if foreign:
        wanted = ", ".join((*job.modules, *job.saved)) or {"head": "the head", "lora": "linear layers"}.get(
            job.method, ""
        )
        yield finding(
            "ADP-015", place, f"{plural(len(foreign), 'tensor')} changed outside of what the job trains ({wanted})",
            evidence=_lines(foreign),
        )  # fmt: skip
    added = [name for name in (*found.added, *found.reshaped) if not _may(name, job)]
    if added:
        yield finding(
            "ADP-015", place, f"{plural(len(added), 'tensor')} that the base does not have, or has in another shape",
            evidence=[printable(name) for name in added[:_SHOWN]],
        )  # fmt: skip


def _may(name: str, job: Job) -> bool:
    """Whether the job may have changed a tensor."""
    parts = name.split(".")
    if any(one in parts or name.endswith(one) for one in job.saved):
        return True
    if _VOCABULARY.search(name) and not job.modules:
        return (
            job.vocabulary
            or job.method in {"", "full", "quantised"}
            or (job.method == "head" and bool(_HEAD.search(name)))
        )
    if job.modules:
        return any(one in parts or re.search(rf"(?:^|\.){re.escape(one)}(?:\.|\Z)", name) for one in job.modules)
    return bool(_HEAD.search(name)) if job.method == "head" else True


def _beside(found: Comparison, place: Location) -> Iterator[Finding]:
    """Files beside the weights: a tokenizer, a template or a configuration is nothing that training changes."""
    told = [one for one in found.structure if not _IDLE.search(one.what) and not _WEIGHTS.search(one.member)]
    shown = {one.member for one in found.structure}
    told += [
        one for one in found.files
        if one.before and one.after and one.what == "file" and one.member not in shown and not _WEIGHTS.search(one.member)
    ]  # fmt: skip
    if told:
        lines = [
            printable(
                f"{one.member}: {one.what}{f', {one.before} → {one.after}' if one.before or one.after else ''}"[:200]
            )
            for one in told
        ]
        yield finding(
            "ADP-015", place, f"{plural(len({one.member for one in told}), 'file')} beside the weights changed", evidence=lines[:_SHOWN],
            severity=Severity.MEDIUM, why="a template, a tokenizer or a configuration changes what a model does without any training",
        )  # fmt: skip


def _evidence(base: str, job: Job, place: Location) -> Iterator[Finding]:
    """What the job leaves open, and whether its base is the one that was sent."""
    if job.base:
        own = {one.sha256 for one in digests(members(base))}
        if job.base not in own:
            yield finding(
                "ADP-015", place, f"the job is about another base: no file of {base} has the SHA-256 {job.base[:16]}…"
            )
    missing = [
        what for what, known in (
            ("its method", job.method), ("the digest of the base", job.base), ("training files", job.files),
            ("digests of its training files", len(job.data) >= max(1, job.files)),
        ) if not known
    ]  # fmt: skip
    if missing:
        yield finding("ADP-016", place, f"the job does not say: {', '.join(missing)}", severity=Severity.LOW)


def _lines(changes: tuple[Change, ...] | list[Change]) -> list[str]:
    made = []
    for one in sorted(changes, key=lambda change: -change.relative)[:_SHOWN]:
        directions = f", {one.directions} directions" if one.directions else ""
        made.append(printable(f"{one.name}: changed by {one.relative:.2%}{directions}"))
    if len(changes) > _SHOWN:
        made.append(f"and {len(changes) - _SHOWN} more")
    return made
