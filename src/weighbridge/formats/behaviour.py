"""Knows what is kept of a Python file for a look at its whole package: calls that can matter, the call graph, its texts.

A package has hundreds of thousands of calls; what is kept is bounded by what a reader asks for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.formats.python_source import Call, PythonModule, Text

_KEPT_TEXT: Final = 400
_TEXTS: Final = 400
_LINE: Final = 160
_BLANKS: Final = " " * 150
_WORD: Final = re.compile(r"\b[A-Za-z_]\w*\b")
_JUNK: Final = re.compile(
    r"(?:[Il1]{6,}|[O0o]{6,}|_{0,3}[0-9a-fA-FxX]{10,}|_{4,}\w{0,3}|(?=\w*\d\w*[A-Za-z]\w*\d)[A-Za-z0-9]{20,})\Z"
)
_ESCAPE: Final = re.compile(r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[0-7]{3}")


class Behaviour(Struct, frozen=True, kw_only=True):
    """One file. `hot` are lines with code behind many blanks, `junk` and `escapes` shares (0 to 1) of identifiers and text.

    `longest` is the length of the longest line in characters, `shown` holds the lines of calls and texts, cut.
    `packed` is the source, compressed, of a file that only its outline was read of, empty for all others.
    `names` maps what is imported from other modules, by the name it has here, to its full name.
    `mark` is the first line with a mark that the caller knows, 0 where there is none.
    """

    calls: tuple[Call, ...]
    functions: dict[str, tuple[str, ...]]
    classes: dict[str, tuple[str, ...]]
    returns: dict[str, tuple[str, ...]]
    imports: tuple[str, ...]
    texts: tuple[Text, ...]
    lines: int
    longest: int
    junk: float
    escapes: float
    hot: tuple[int, ...]
    shown: dict[int, str]
    mark: int = 0
    packed: bytes = b""
    names: dict[str, str] = {}


def behaviour(
    module: PythonModule,
    source: str,
    home: frozenset[str],
    matters: Callable[[str], bool],
    telling: Callable[[Sequence[Text]], list[Text]],
    marked: Callable[[str], re.Match[str] | None],
) -> Behaviour:
    """What is kept of a file: calls whose name or arguments' origins matter, and the texts that `telling` picks.

    `home` are the folders that the file lies in: a call below one of them may be of the same package.
    """
    known: dict[str, bool] = {}

    def cached(name: str) -> bool:
        if name not in known:
            known[name] = matters(name)
        return known[name]

    defined = module.functions.keys() | module.classes.keys()
    calls = tuple(
        call
        for call in module.calls
        if cached(call.name)
        or any(map(cached, call.origins))
        or (
            (call.origins or call.values)
            and any(
                name in defined or name.startswith((".", "self.")) or name.partition(".")[0] in home
                for name in (call.name, call.method)
            )
        )
    )
    texts = telling(module.texts)
    lines = source.split("\n")
    hot = (
        [number for number, line in enumerate(lines, 1) if _BLANKS in line.expandtabs(8) and _is_hidden(line)]
        if _BLANKS in source or "\t" * 19 in source
        else []
    )
    runs = "exec" in source or "eval" in source
    mark = marked(source) if runs or "__pyarmor__" in source else None
    first = source.count("\n", 0, mark.start()) + 1 if mark else 0
    return Behaviour(
        mark=first,
        calls=calls,
        functions=module.functions,
        classes=module.classes,
        returns=module.returns,
        imports=module.imports,
        names={here: full for here, full in module.names.items() if "." in full},
        texts=tuple(type(text)(text.line, text.value[:_KEPT_TEXT]) for text in texts[:_TEXTS]),
        lines=module.lines,
        longest=max(map(len, lines), default=0),
        junk=_junk(source) if runs else 0.0,
        escapes=4 * len(_ESCAPE.findall(source[: 1 << 18])) / max(1, min(len(source), 1 << 18)) if runs else 0.0,
        hot=tuple(hot[:4]),
        shown=_shown(lines, {call.line for call in calls} | {text.line for text in texts} | {*hot[:4], first}),
    )


def _shown(lines: list[str], numbers: set[int]) -> dict[int, str]:
    return {number: lines[number - 1].strip()[:_LINE] for number in numbers if 0 < number <= len(lines)}


def _is_hidden(line: str) -> bool:
    """Whether code stands on both sides of a long gap, outside of a string or comment that merely has one."""
    before, _, after = line.expandtabs(8).partition(_BLANKS)
    return bool(before.strip()) and bool(after.strip().strip("\\")) and before.lstrip()[:1] not in {"#", '"', "'"}


def _junk(source: str) -> float:
    distinct = set(_WORD.findall(source[: 1 << 18]))
    return sum(bool(_JUNK.match(word)) for word in distinct) / len(distinct) if len(distinct) > 10 else 0.0
