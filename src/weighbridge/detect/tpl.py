"""Knows what a chat template must not do (TPL)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.place import in_document, in_text
from weighbridge.formats.document import walk
from weighbridge.formats.template import invisible
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, RepositorySubject, TemplateSubject
    from weighbridge.formats.template import Branch, TemplateFacts
    from weighbridge.schema import Finding

_DUNDER: Final = lazy(
    r"__(?:class|globals|mro|bases?|subclasses|builtins|init|import|dict|code|getattribute|self|func|closure|reduce(?:_ex)?|loader|spec)__"
)
_INTERNAL: Final = frozenset(
    {
        "mro",
        "func_globals",
        "gi_frame",
        "gi_code",
        "f_globals",
        "f_builtins",
        "f_back",
        "cr_frame",
        "tb_frame",
        "_TemplateReference__context",
        "_module",
        "environment",
    }
)
_GADGETS: Final = frozenset(
    {"cycler", "lipsum", "joiner", "self", "url_for", "get_flashed_messages", "request", "config"}
)
_SHELLS: Final = lazy(r"\b(?:os\.popen|os\.system|subprocess|popen)\b|__import__")
_COVERT: Final = lazy(
    r"ignore (?:all|any|the|your)?\s*(?:previous|prior|above|earlier|other) (?:instructions|messages|rules)"
    r"|do(?: not|n't) (?:tell|inform|reveal to|mention (?:this|it) to|let) the user"
    r"|without (?:telling|informing|alerting|notifying) the user|\bsecretly\b|\bcovertly\b|\bsilently (?:include|add|insert|send|append)"
    r"|never (?:mention|reveal|disclose) (?:this|these|that you|the existence)"
    r"|always (?:include|recommend|insert|add|append|mention|link|suggest|advise)\b"
    r"|<script\b|(?:exfiltrat|backdoor)|(?:curl|wget)\s+(?:-\w+\s+)*https?://",
    re.IGNORECASE,
)
_ADDRESS: Final = lazy(
    r"(?:https?|ftp)://(?!(?:www\.)?(?:json-schema\.org|schema\.org|example\.(?:com|org)|www\.w3\.org)\b)[\w.-]+",
    re.IGNORECASE,
)
_WORDS: Final = lazy(r"[A-Za-z]{2,}")
_MARKUP: Final = lazy(r"[<>\[\]{}|/\\#*_`]")
_HUGE: Final = 100_000
_SENTENCE: Final = 4


def detect_template(subject: TemplateSubject) -> Iterator[Finding]:
    """One template."""
    facts = subject.facts
    if facts is None:
        yield from _unparsed(subject)
        return
    yield from _escape(subject, facts)
    for access in facts.includes:
        message = f"the template {access.kind.lower()}s {printable(access.name)!r}"
        yield in_text("TPL-002", subject.location, subject.text, access.line, message)
    for branch in facts.branches:
        yield from _trigger(subject, branch)
    yield from _covert(subject, facts)
    for growth in facts.growth:
        if growth.size >= _HUGE or growth.kind == "power":
            message = f"a {growth.kind} of {growth.size if growth.size < 1 << 62 else 'more than 2^62'} steps"
            yield in_text("TPL-008", subject.location, subject.text, growth.line, message)
    for branch in facts.dates:
        if len(_WORDS.findall(branch.says)) >= _SENTENCE:
            message = "text is added from or until a certain date"
            yield in_text("TPL-013", subject.location, subject.text, branch.line, message)
    for line, name in facts.invisible[:1]:
        message = f"{len(facts.invisible)} invisible characters, the first is {name}"
        yield in_text("TPL-010", subject.location, subject.text, line, message)


def _unparsed(subject: TemplateSubject) -> Iterator[Finding]:
    """A template that Jinja refuses still reaches engines of other kinds."""
    match = _DUNDER.search(subject.text)
    if match:
        line = subject.text.count("\n", 0, match.start()) + 1
        yield in_text("TPL-001", subject.location, subject.text, line, f"{match[0]} in a template that does not parse")
    hidden = next(iter(invisible(subject.text)), None)
    if hidden:
        yield in_text("TPL-010", subject.location, subject.text, hidden[0], f"an invisible character ({hidden[1]})")
    if not match:
        yield finding("SCN-002", subject.location, f"{subject.origin}: {subject.error}", severity=Severity.MEDIUM)


def _escape(subject: TemplateSubject, facts: TemplateFacts) -> Iterator[Finding]:
    seen: set[int] = set()
    reached = {access.name for access in facts.accesses if access.kind == "name"} & _GADGETS
    for access in facts.accesses:
        bad = (
            (access.kind in {"attribute", "item"} and (_DUNDER.search(access.name) or access.name in _INTERNAL))
            or (access.kind == "filter" and access.name == "attr")
            or (access.kind.startswith("filter ") and _DUNDER.search(access.name))
            or (access.kind == "name" and _DUNDER.search(access.name))
        )
        if bad and access.line not in seen:
            seen.add(access.line)
            through = f" through {', '.join(sorted(reached))}" if reached else ""
            message = f"the template reaches for {printable(access.name)!r}{through}"
            yield in_text("TPL-001", subject.location, subject.text, access.line, message, near=access.name)
    for line, text in facts.constants:
        if line not in seen and (_DUNDER.search(text) or _SHELLS.search(text)):
            seen.add(line)
            message = f"a string comes to {printable(text[:80])!r}"
            yield in_text("TPL-001", subject.location, subject.text, line, message)


def _trigger(subject: TemplateSubject, branch: Branch) -> Iterator[Finding]:
    """Words of a person in the condition, and a sentence of the template's own behind it."""
    looked = [
        text for text in branch.looks_for if len(text.strip()) > 2 and not _MARKUP.search(text) and text.isprintable()
    ]
    said = _MARKUP.sub(" ", branch.says)
    if looked and (len(_WORDS.findall(said)) >= _SENTENCE or _ADDRESS.search(branch.says)):
        message = f"where a message holds {printable(looked[0])!r}, the template adds text of its own"
        yield in_text("TPL-003", subject.location, subject.text, branch.line, message, near=looked[0])


def _covert(subject: TemplateSubject, facts: TemplateFacts) -> Iterator[Finding]:
    for line, text in (*facts.literals, *facts.constants):
        match = _COVERT.search(text) or _ADDRESS.search(text)
        if match:
            at = line + text.count("\n", 0, match.start())
            message = (
                f"the template itself says {printable(text[max(0, match.start() - 20) : match.end() + 40].strip())!r}"
            )
            yield in_text("TPL-004", subject.location, subject.text, at, message, near=match[0])
            return


def detect_stray(subject: DocumentSubject) -> Iterator[Finding]:
    """Template syntax with gadgets in values that are no templates."""
    if "{{" not in subject.text and "{%" not in subject.text:
        return
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, str) or ("{{" not in value and "{%" not in value) or "template" in str(key):
            continue
        if _DUNDER.search(value) or _SHELLS.search(value):
            yield in_document(
                "TPL-011", subject, path, key, value, "a value is a template that reaches for Python internals"
            )


def detect_copies(subject: RepositorySubject) -> Iterator[Finding]:
    """Copies of the chat template in one folder that differ."""
    copies: dict[str, list[tuple[str, str]]] = {}
    for name, (origin, text) in subject.of("template"):
        if "/" in name:
            continue
        variant = origin.partition("[")[2].rstrip("]") or "default"
        if name.endswith((".jinja", ".jinja2", ".j2")) and not name.startswith("chat_template"):
            continue
        copies.setdefault(variant, []).append((name, text))
    for variant, found in sorted(copies.items()):
        first_name, first = found[0]
        for name, text in found[1:]:
            if _normal(text) != _normal(first):
                message = f"the template {variant!r} differs from that in {first_name}"
                yield finding("TPL-009", subject.place(name), message, evidence=[_difference(first, text)])


def _normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def _difference(one: str, other: str) -> str:
    for first, second in zip(one.split("\n"), other.split("\n"), strict=False):
        if first.rstrip() != second.rstrip():
            at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
            return f"- {printable(first[max(0, at - 30) : at + 60])}  + {printable(second[max(0, at - 30) : at + 60])}"
    return f"{len(one)} and {len(other)} characters"
