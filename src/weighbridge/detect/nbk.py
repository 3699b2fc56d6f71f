"""Knows what is wrong with notebooks (NBK). Unsafe loads in cells come from the same table as those in files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.cod import detect_source
from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import quoted
from weighbridge.detect.sec import find_secrets
from weighbridge.formats.commands import commands
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import NotebookSubject, SourceSubject
    from weighbridge.formats.notebook import Cell
    from weighbridge.schema import Finding

_ACTIVE: Final = re.compile(
    r"<iframe\b[^>]*\bsrc\s*=\s*[\"']?https?://|<script\b[^>]*\bsrc\s*=\s*[\"']?https?://|\bon(?:error|load)\s*=\s*[\"'][^\"']*(?:fetch|document\.|eval|import)|\bautoplay\b[^>]*https?://|fetch\(\s*[\"']https?://",
    re.IGNORECASE,
)
_LIBRARY_HOSTS: Final = re.compile(
    r"https?://(?:cdn\.(?:plot\.ly|pydata\.org|jsdelivr\.net|bokeh\.org|datatables\.net)|cdnjs\.cloudflare\.com|unpkg\.com|www\.youtube\.com|player\.vimeo\.com|www\.gstatic\.com|colab\.research\.google\.com|localhost|127\.0\.0\.1|d3js\.org|requirejs\.org)"
)
_LOADS: Final = frozenset({"COD-001", "COD-002", "COD-003", "COD-005", "COD-006", "COD-007", "COD-011"})
_BLANKS: Final = re.compile(r"[ \t]{200,}\S")


def detect_notebook(subject: NotebookSubject) -> Iterator[Finding]:
    """Commands, outputs and hidden cells."""
    for cell in subject.notebook.cells:
        yield from _commands(subject, cell)
        if _BLANKS.search(cell.source):
            place = subject.location.inside(f"cell {cell.number}")
            yield finding("NBK-003", place, "code stands behind hundreds of blanks")
    for output in subject.notebook.outputs:
        place = subject.location.inside(f"cell {output.cell}")
        if output.kind in {"text/html", "application/javascript", "image/svg+xml"}:
            match = _ACTIVE.search(output.text)
            if match and not _LIBRARY_HOSTS.search(output.text[match.start() : match.start() + 400]):
                shown = printable(output.text[match.start() : match.start() + 120])
                yield finding("NBK-002", place, "an output holds active content", evidence=[shown])
        secret = next(iter(find_secrets(output.text)), "")
        if secret:
            yield finding("NBK-005", place, f"an output shows {secret}")
    for cell in subject.notebook.cells:
        secret = next(iter(find_secrets(cell.source)), "")
        if secret:
            yield finding("NBK-005", subject.location.inside(f"cell {cell.number}"), f"a cell holds {secret}")


def _commands(subject: NotebookSubject, cell: Cell) -> Iterator[Finding]:
    place = subject.location.inside(f"cell {cell.number}")
    for first, text in cell.commands:
        for command in commands(text, line=first):
            doing = shell.fetches_and_runs(command.text) or shell.installs_from_elsewhere(command.text)
            if doing:
                message = f"the cell {doing}"
                yield finding("NBK-001", place, message, evidence=[quoted(cell.source, command.line)])


def detect_cell(subject: SourceSubject) -> Iterator[Finding]:
    """Unsafe loads of a cell, under the family of notebooks as well."""
    if not subject.notebook:
        return
    for found in detect_source(subject):
        if found.rule in _LOADS and found.severity in {Severity.HIGH, Severity.CRITICAL}:
            yield finding("NBK-004", found.location, f"{found.message} ({found.rule})", evidence=found.evidence)
