"""Knows shell commands wherever they are written: scripts, Dockerfiles, notebooks, workflows, instructions in prose.

This is no shell: lines are joined at backslashes and cut at `;`, `&&`, `||` and newlines, quotes are respected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE: Final = 8192
_LINES: Final = 100_000
_CUT: Final = re.compile(r"""((?:[^;&|'"\\]|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|(?<!&)&(?!&)|(?<!\|)\|(?!\|)|['"])+)""")
_WORD: Final = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*"|['"])+""")
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)\s*([\w+-]*)")
_SHELLS: Final = frozenset({"", "sh", "bash", "shell", "console", "zsh", "powershell", "ps1", "cmd", "bat", "terminal"})


class Command(Struct, frozen=True):
    """One command: the line it begins on (from 1), its text with pipes, and its words without quotes."""

    line: int
    text: str
    words: tuple[str, ...]


def commands(text: str, *, line: int = 1) -> Iterator[Command]:
    """The commands of a piece of shell. `line` is the number of its first line."""
    joined, started = "", line
    for number, raw in enumerate(text.split("\n")[:_LINES], line):
        piece = raw.strip()[:_LINE]
        if not joined:
            started = number
        if piece.endswith("\\") and len(joined) < _LINE:
            joined += piece[:-1] + " "
            continue
        joined += piece
        if joined and not joined.startswith("#"):
            yield from _split(joined, started)
        joined = ""
    if joined:
        yield from _split(joined, started)


def _split(text: str, line: int) -> Iterator[Command]:
    for match in _CUT.finditer(text[:_LINE]):
        part = match[1].strip()
        if part:
            yield Command(line, part, tuple(word.strip("'\"") for word in _WORD.findall(part)))


def fenced(text: str) -> Iterator[tuple[int, str]]:
    """(first line, text) of the code blocks in Markdown that a person would paste into a terminal."""
    inside, start, kept = False, 0, list[str]()
    wanted = False
    for number, line in enumerate(text.split("\n")[:_LINES], 1):
        fence = _FENCE.match(line)
        if fence and not inside:
            inside, wanted, start, kept = True, fence[1].lower() in _SHELLS, number + 1, []
        elif fence:
            inside = False
            if wanted and kept:
                yield start, "\n".join(kept)
        elif inside:
            kept.append(line.removeprefix("$ ").removeprefix("> "))
    if inside and wanted and kept:
        yield start, "\n".join(kept)
