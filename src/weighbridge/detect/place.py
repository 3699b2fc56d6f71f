"""Knows how a finding in a text is placed: the line that shows it, and that line as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.formats.document import shown
from weighbridge.rules.finding import finding
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from weighbridge.detect.subjects import DocumentSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding, Location, Severity

_WIDTH: Final = 160


def in_text(
    rule: str,
    location: Location,
    text: str,
    line: int,
    message: str,
    *,
    severity: Severity | None = None,
    why: str = "",
    near: str = "",
) -> Finding:
    """A finding at a line of a text (from 1), with that line as evidence; of a long line the part around `near`."""
    evidence = [quoted(text, line, near)]
    return finding(rule, replace(location, line=line), message, evidence=evidence, severity=severity, why=why)


def in_document(
    rule: str,
    subject: DocumentSubject,
    path: Path,
    key: object,
    value: object,
    message: str,
    *,
    severity: Severity | None = None,
) -> Finding:
    """A finding at a key of a document, with the key's path and value as evidence."""
    where = shown(path, key)
    line = line_of(subject.text, str(key), value if isinstance(value, str) else "")
    location = replace(subject.location, line=line) if line else subject.location
    text = printable(str(value))
    cut = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
    return finding(rule, location, message, evidence=[f"{printable(where)}: {cut}"], severity=severity)


def leaves(path: str) -> bool:
    """Whether a path is absolute, begins with a drive, or climbs out of its folder."""
    return path.startswith(("/", "\\")) or path[1:2] == ":" or ".." in path.replace("\\", "/").split("/")


def line_of(text: str, *needles: str) -> int:
    """The first line that holds all needles, else the first that holds the first of them; 0 where there is none."""
    wanted = [needle.split("\n")[0][:80] for needle in needles if needle]
    if not wanted:
        return 0
    fallback = 0
    position = text.find(wanted[0])
    for _ in range(1000):
        if position < 0:
            break
        start, end = text.rfind("\n", 0, position) + 1, text.find("\n", position)
        line = text[start : end if end >= 0 else len(text)]
        number = text.count("\n", 0, position) + 1
        fallback = fallback or number
        if all(needle in line for needle in wanted):
            return number
        position = text.find(wanted[0], position + 1)
    return fallback


def quoted(text: str, line: int, near: str = "") -> str:
    """A line of a text as evidence: its number and at most 160 visible characters, around `near` where it is long."""
    lines = text.split("\n", line)
    raw = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    at = max(0, raw.find(near) - _WIDTH // 2) if near and len(raw) > _WIDTH else 0
    cut = printable(raw[at : at + 4 * _WIDTH])
    shown_part = cut if len(cut) <= _WIDTH else cut[: _WIDTH - 1] + "…"
    return f"{line:>4} | {'…' if at else ''}{shown_part}"
