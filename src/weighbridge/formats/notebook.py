"""Knows Jupyter notebooks: code without its magics, shell commands, outputs. Source: nbformat 4 schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHELL_CELL: Final = re.compile(r"%%(?:bash|sh|script|cmd|powershell|system|!)\b")
_MAGIC: Final = re.compile(r"^(\s*)(?:[\w, ]+=\s*)?([!%]{1,2})(.*)$")
_PACKAGES: Final = re.compile(r"(?:pip3?|conda|mamba|uv|npm)\b")
_CELLS: Final = 20_000


class Cell(Struct, frozen=True, kw_only=True):
    """A code cell. `python` keeps the line numbers of `source`; `commands` are (line, command text)."""

    number: int
    source: str
    python: str
    commands: tuple[tuple[int, str], ...]


class Output(Struct, frozen=True):
    """Something that a cell left behind: its MIME type and text."""

    cell: int
    kind: str
    text: str


class Notebook(Struct, frozen=True, kw_only=True):
    """A notebook with the cells and outputs that matter, and text cells."""

    cells: tuple[Cell, ...]
    outputs: tuple[Output, ...]
    prose: tuple[tuple[int, str], ...]


def read_notebook(document: dict[str, Any]) -> Notebook:
    """The cells of a parsed notebook of format 3 or 4."""
    cells: list[Cell] = []
    outputs: list[Output] = []
    prose: list[tuple[int, str]] = []
    for number, raw in enumerate(_cells(document), 1):
        if number > _CELLS:
            break
        source = _text(raw.get("source", raw.get("input", "")))
        if raw.get("cell_type") == "code":
            cells.append(_cell(number, source))
            outputs += _outputs(number, raw.get("outputs"))
        else:
            prose.append((number, source))
    return Notebook(cells=tuple(cells), outputs=tuple(outputs), prose=tuple(prose))


def _cells(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = document.get("worksheets")
    groups = [document.get("cells")]
    groups += [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    for group in groups:
        yield from (cell for cell in group if isinstance(cell, dict)) if isinstance(group, list) else ()


def _cell(number: int, source: str) -> Cell:
    first, _, rest = source.partition("\n")
    if _SHELL_CELL.match(first.strip()):
        return Cell(number=number, source=source, python="", commands=((2, rest),))
    if first.strip().startswith("%%"):
        keeps_python = re.match(r"%%(?:time|timeit|capture|prun)\b", first.strip())
        return Cell(number=number, source=source, python=f"\n{rest}" if keeps_python else "", commands=())
    python, shell = [], []
    for line_number, line in enumerate(source.split("\n"), 1):
        match = _MAGIC.match(line)
        if match is None or (match[2] == "%" and not match[3][:1].isalpha()):
            python.append(line)
            continue
        python.append(f"{match[1]}pass")
        if match[2] in {"!", "!!"} or _PACKAGES.match(match[3]) or match[3].startswith(("sx ", "system ")):
            shell.append((line_number, match[3]))
    return Cell(number=number, source=source, python="\n".join(python), commands=tuple(shell))


def _outputs(number: int, raw: object) -> Iterator[Output]:
    for output in raw if isinstance(raw, list) else []:
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        for kind, value in data.items() if isinstance(data, dict) else ():
            yield Output(number, str(kind), _text(value))
        if "text" in output:
            yield Output(number, "text/plain", _text(output["text"]))


def _text(value: object) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
