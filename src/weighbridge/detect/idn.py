"""Knows names of hub repositories that could be taken for others (IDN), wherever a repository is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.place import in_document, in_text
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, LinesSubject, SourceSubject, TreeSubject
    from weighbridge.names.lookalike import Names
    from weighbridge.schema import Finding

_REPOSITORY: Final = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}\Z")
_KEYS: Final = frozenset(
    {
        "base_model_name_or_path",
        "base_model",
        "_name_or_path",
        "model_name_or_path",
        "repo_id",
        "model",
        "adapter",
        "lora",
    }
)
_LOADS: Final = frozenset(
    {
        "from_pretrained",
        "hf_hub_download",
        "snapshot_download",
        "load_dataset",
        "pipeline",
        "SentenceTransformer",
        "LLM",
    }
)
_CARD: Final = re.compile(r"^base_model:\s*(?:\n\s*-\s*)?[\"']?([\w.-]+/[\w.-]+)", re.MULTILINE)


def complaint(repository: str, names: Names) -> tuple[str, str] | None:
    """(rule, message) about a repository named `owner/name`; None where the name is its own."""
    if not _REPOSITORY.match(repository):
        return None
    owner, _, name = repository.partition("/")
    inside = names.internal(owner, name)
    if inside:
        return "IDN-006", f"{printable(repository)} has the internal name {inside}, and {printable(owner)} is not you"
    alike = names.owner(owner)
    if alike:
        return "IDN-002", f"{printable(owner)} looks like {alike.known} ({alike.kind})"
    same = names.model(owner, name)
    if same:
        return "IDN-001", f"{printable(repository)} has the name of {same.known}"
    return None


def detect_document(subject: DocumentSubject, names: Names) -> Iterator[Finding]:
    """Bases and parts that a configuration names."""
    for path, key, value in walk(subject.document.roots):
        if key in _KEYS and isinstance(value, str) and (found := complaint(value, names)):
            yield in_document(found[0], subject, path, key, value, found[1])


def detect_source(subject: SourceSubject, names: Names) -> Iterator[Finding]:
    """Repositories that a program loads."""
    for call in subject.module.calls:
        if call.name.rpartition(".")[2] not in _LOADS:
            continue
        given = [*call.arguments[:1], *(k.value for k in call.keywords if k.name in {"repo_id", "model", "path"})]
        for value in given:
            if isinstance(value, str) and (found := complaint(value, names)):
                yield in_text(found[0], subject.location, subject.text, call.line, found[1], near=value)


def detect_card(subject: LinesSubject, names: Names) -> Iterator[Finding]:
    """The base model that a card declares."""
    if not subject.text.startswith("---"):
        return
    for match in _CARD.finditer(subject.text[: 1 << 16]):
        found = complaint(match[1], names)
        if found:
            line = subject.text.count("\n", 0, match.start(1)) + 1
            yield in_text(found[0], subject.location, subject.text, line, found[1])


def detect_address(subject: TreeSubject, names: Names) -> Iterator[Finding]:
    """The repository that is being scanned, where it lies on a hub."""
    address = subject.location.path[0]
    if subject.format == "folder" and address.startswith("hf://"):
        name = address[5:].removeprefix("datasets/").removeprefix("spaces/").partition("@")[0]
        found = complaint(name, names)
        if found:
            yield finding(found[0], subject.location, found[1])
