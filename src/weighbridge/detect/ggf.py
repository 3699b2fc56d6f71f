"""Knows what is wrong with GGUF files, their predecessors, llamafiles and Modelfiles (GGF)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.place import in_text
from weighbridge.formats.gguf import Array
from weighbridge.formats.template import invisible
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import (
        FactsSubject,
        LinesSubject,
        RepositorySubject,
        TemplateSubject,
        TreeSubject,
    )
    from weighbridge.formats.gguf import GgufFacts
    from weighbridge.schema import Finding

_RULES: Final = {
    "count": "GGF-001", "string": "GGF-002", "array": "GGF-003", "dims": "GGF-004", "offset": "GGF-005", "type": "GGF-006",
    "duplicate": "GGF-008", "version": "GGF-013",
}  # fmt: skip
_SHOWN: Final = 5
_SPECIAL: Final = lazy(r"tokenizer\.ggml\.\w+_token_id\Z")
_PROVENANCE: Final = (
    "general.license",
    "general.name",
    "general.base_model.count",
    "general.source.url",
    "general.author",
    "general.organization",
)
_SPLIT: Final = lazy(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf\Z")
_REMOTE: Final = lazy(r"(?:https?://|hf\.co/|huggingface\.co/|[\w.-]+\.[a-z]{2,}/)")
_COVERT: Final = lazy(
    r"https?://|ignore (?:all|previous)|do not tell|without telling|always (?:include|recommend|add)|secretly",
    re.IGNORECASE,
)


def detect_gguf(subject: FactsSubject) -> Iterator[Finding]:
    """One file."""
    facts: GgufFacts = subject.facts
    counted: dict[str, int] = {}
    for problem in facts.problems:
        counted[problem.kind] = counted.get(problem.kind, 0) + 1
        if counted[problem.kind] <= _SHOWN:
            name = f"{printable(problem.name[:80])}: " if problem.name else ""
            yield finding(
                _RULES[problem.kind], subject.location.at(problem.offset), f"{name}{printable(problem.detail)}"
            )
    if not facts.data:
        return
    yield from _tokenizer(subject, facts)
    yield from _kind(subject, facts)
    if not any(key in facts.values for key in _PROVENANCE):
        yield finding("GGF-010", subject.location, "no field says where the model comes from", severity=Severity.INFO)


def _tokenizer(subject: FactsSubject, facts: GgufFacts) -> Iterator[Finding]:
    tokens = facts.values.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, Array):
        return
    for key in ("tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        other = facts.values.get(key)
        if isinstance(other, Array) and other.count != tokens.count:
            yield finding("GGF-007", subject.location, f"{other.count} entries in {key} for {tokens.count} tokens")
    for key, value in facts.values.items():
        if _SPECIAL.match(key) and type(value) is int and not 0 <= value < tokens.count and value != 0xFFFFFFFF:
            yield finding(
                "GGF-007", subject.location, f"{printable(key)} is {value}, and there are {tokens.count} tokens"
            )


def _kind(subject: FactsSubject, facts: GgufFacts) -> Iterator[Finding]:
    kind = facts.values.get("general.type", "model")
    if kind not in {"model", "mmproj"}:
        yield finding("GGF-014", subject.location, f"general.type is {printable(str(kind))!r}, not a model")


def detect_template(subject: TemplateSubject) -> Iterator[Finding]:
    """A chat template in a GGUF file that reaches for Python, under the format's own rule as well."""
    from weighbridge.detect.tpl import detect_template as judge  # noqa: PLC0415  # GGUF templates are few

    if not subject.origin.startswith("tokenizer.chat_template"):
        return
    for found in judge(subject):
        if found.rule in {"TPL-001", "TPL-003", "TPL-004"}:
            message = f"{subject.origin}: {found.message}"
            severity = None if found.rule == "TPL-001" else Severity.HIGH
            yield finding("GGF-009", subject.location, message, evidence=found.evidence, severity=severity)
            return


def detect_archive(subject: TreeSubject) -> Iterator[Finding]:
    """A zip behind a program that holds a model and its arguments."""
    names = {entry.name for entry in subject.entries}
    if ".args" in names and any(name.endswith(".gguf") for name in names):
        yield finding("GGF-016", subject.location, "a program with a model and its arguments inside")


def detect_modelfile(subject: LinesSubject) -> Iterator[Finding]:
    """A Modelfile of Ollama."""
    for number, line in enumerate(subject.text.split("\n"), 1):
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip().strip('"')
        if word.upper() in {"FROM", "ADAPTER"}:
            if rest.startswith(("/", "~")) or ".." in rest.split("/"):
                yield in_text(
                    "GGF-018", subject.location, subject.text, number, f"{word} leads outside: {printable(rest)}"
                )
            elif _REMOTE.match(rest) and "@sha256:" not in rest and not rest.startswith("registry.ollama.ai/"):
                yield in_text("GGF-018", subject.location, subject.text, number, f"{word} fetches {printable(rest)}")
    hidden = next(iter(invisible(subject.text)), None)
    if hidden:
        yield in_text("GGF-018", subject.location, subject.text, hidden[0], f"an invisible character ({hidden[1]})")
    match = _COVERT.search(subject.text)
    if match and re.search(
        r"^\s*(?:SYSTEM|TEMPLATE|MESSAGE)\b", subject.text[: match.start()], re.MULTILINE | re.IGNORECASE
    ):
        at = subject.text.count("\n", 0, match.start()) + 1
        yield in_text(
            "GGF-018", subject.location, subject.text, at, "the prompt carries an address or covert instructions"
        )


def detect_splits(subject: TreeSubject | RepositorySubject) -> Iterator[Finding]:
    """Parts of a split model: all of them, and of one set."""
    names = {entry.name for entry in subject.entries} if hasattr(subject, "entries") else set(subject.names)
    groups: dict[tuple[str, str], set[int]] = {}
    for name in names:
        match = _SPLIT.match(name)
        if match:
            groups.setdefault((match["stem"], match["count"]), set()).add(int(match["number"]))
    for (stem, count), numbers in sorted(groups.items()):
        missing = sorted(set(range(1, int(count) + 1)) - numbers)
        if missing:
            yield finding("GGF-012", subject.place(f"{stem}-*-of-{count}.gguf"), f"parts {missing[:5]} are missing")
