"""Knows the outline of a Python file that names nothing dangerous: what it imports, which functions call which names.

Searched for line by line, not parsed: a large package is made of thousands of such files, and only the ways through
them matter. The source is kept, compressed: where data turns out to flow through a file, it is read in full after all. A file with anything that could matter is read in full (`python_source`).
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from weighbridge.formats.behaviour import Behaviour
from weighbridge.formats.python_source import CALL_BACK, MODULE

_IMPORT: Final = re.compile(
    r"^[ \t]*+(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]{0,8000}\)|[^\n#;]{1,2000})|import[ \t]+([^\n#;]{1,500}))",
    re.MULTILINE,
)
_DEFINED: Final = re.compile(r"^([ \t]*+)(def|async[ \t]+def|class)[ \t]+(\w+)", re.MULTILINE)
_CALLED: Final = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*+)[ \t]*+\(")
_CHAINED: Final = re.compile(r"\)\.([A-Za-z_]\w*+)[ \t]*+\(")
# What is handed to a function that calls it, at once or soon.
_HANDED: Final = re.compile(
    r"\b(?:" + "|".join(sorted(CALL_BACK)) + r")[ \t]*+\(((?:[^()\n]|\n(?![ \t]*(?:def|class)\b)){1,200})"
)
_ARGUMENT: Final = re.compile(r"(?:\A|[,=\[(])\s*([A-Za-z_][\w.]*+)\s*(?=[,)\]]|\Z)")
_NAME: Final = re.compile(r"([\w.]+)(?:[ \t]+as[ \t]+(\w+))?")
_MARGIN: Final = re.compile(r"^(?![ \t)\]}#@]|$)", re.MULTILINE)
_TEXT: Final = re.compile(r"\"\"\"(?:[^\"]++|\"(?!\"\"))*+(?:\"\"\"|\Z)|'''(?:[^']++|'(?!''))*+(?:'''|\Z)|#[^\n]*+")
_KEYWORDS: Final = frozenset(
    {
        "if",
        "elif",
        "while",
        "for",
        "return",
        "and",
        "or",
        "not",
        "in",
        "print",
        "assert",
        "with",
        "lambda",
        "yield",
        "await",
        "def",
        "class",
        "except",
    }
)


def read_outline(source: str) -> Behaviour:
    """Imports and call graph of a file: module level, functions, and methods under the name of their class."""
    lines = source.count("\n") + 1
    packed = zlib.compress(source.encode("utf-8", "surrogatepass"), 1)
    # Examples in documentation are no calls.
    source = _TEXT.sub("''", source)
    names, imports = _imported(source)
    functions: dict[str, list[str]] = {MODULE: []}
    classes: dict[str, tuple[str, ...]] = {}
    starts = list(_DEFINED.finditer(source))
    functions[MODULE] += _calls(source[: starts[0].start()] if starts else source, names)
    owner = ""
    for number, match in enumerate(starts):
        body = source[match.end() : starts[number + 1].start() if number + 1 < len(starts) else len(source)]
        # What stands at the margin behind a body runs with the module.
        first = body.find("\n") + 1
        margin = _MARGIN.search(body, first) if first else None
        cut = margin.start() if margin else len(body)
        functions[MODULE] += _calls(body[cut:], names)
        if match[2] == "class":
            owner = match[3] if not match[1] else owner
            classes.setdefault(match[3], ())
            scope = f"{match[3]}.<body>"
            functions[MODULE].append(scope)
        else:
            owner = owner if match[1] else ""
            scope = f"{owner}.{match[3]}" if owner else match[3]
        functions.setdefault(scope, []).extend(_calls(body[:cut], names))
    return Behaviour(
        calls=(),
        functions={scope: tuple(dict.fromkeys(called)) for scope, called in functions.items()},
        classes=classes,
        returns={},
        imports=tuple(dict.fromkeys(imports)),
        texts=(),
        lines=lines,
        longest=0,
        junk=0.0,
        escapes=0.0,
        hot=(),
        shown={},
        packed=packed,
        names={here: full for here, full in names.items() if "." in full},
    )


def _imported(source: str) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    modules: list[str] = []
    for match in _IMPORT.finditer(source):
        if match[1]:
            modules.append(match[1])
            joint = "" if match[1].endswith(".") else "."
            if match[2].strip() == "*":
                modules.append(f"{match[1]}{joint}*")
            for name, alias in _NAME.findall(match[2].strip("()")):
                names[alias or name] = f"{match[1]}{joint}{name}"
                modules.append(f"{match[1]}{joint}{name}")
        else:
            for name, alias in _NAME.findall(match[3]):
                modules.append(name)
                names[alias or name.partition(".")[0]] = name if alias else name.partition(".")[0]
    return names, modules


def _calls(text: str, names: dict[str, str]) -> list[str]:
    found = []
    named = _CALLED.findall(text)
    if ")." in text:
        named += [f"?.{name}" for name in _CHAINED.findall(text)]
    if not CALL_BACK.isdisjoint(name.rpartition(".")[2] for name in named):
        for match in _HANDED.finditer(text):
            named += _ARGUMENT.findall(match[1])
    for name in dict.fromkeys(named):
        if name not in _KEYWORDS:
            root, dot, rest = name.partition(".")
            found.append(f"{names.get(root, root)}{dot}{rest}")
    return found
