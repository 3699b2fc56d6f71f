"""Knows JSON, YAML and TOML, read strictly into plain data: what a tolerant parser hides is a problem of its own.

YAML is read from libyaml's events, never constructed: a tag is a fact, an alias is a second way to the same node.
Sources: RFC 8259, YAML 1.1 (as PyYAML resolves it), TOML 1.0.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_NODES: Final = 4_000_000
_EVENTS: Final = 2_000_000
_DEPTH: Final = 200
_DIGITS: Final = 4000
_SHOWN: Final = 50
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,50}\Z")
_COMMENT: Final = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)

Path: TypeAlias = tuple[Any, ...]  # (parent path, key), () at the root


class Problem(Struct, frozen=True):
    """Something that two parsers may read in two ways: its kind, and where or what."""

    kind: str
    detail: str


class Tag(Struct, frozen=True):
    """An explicit YAML tag on a node, at a line that counts from 1."""

    tag: str
    line: int
    value: str


class Document(Struct, frozen=True, kw_only=True):
    """Plain data of one file. `roots` holds one entry for each YAML document, one in all other cases."""

    carrier: str
    roots: tuple[Any, ...]
    problems: tuple[Problem, ...] = ()
    tags: tuple[Tag, ...] = ()
    growth: int = 0

    @property
    def root(self) -> Any:
        """The first document; None where there is none."""
        return self.roots[0] if self.roots else None


def read_json(text: str) -> Document:
    """A JSON document; comments and trailing commas are tolerated and noted. Raises MalformedInput for anything else."""
    problems: list[Problem] = []
    if text.startswith("\ufeff"):
        problems.append(Problem("bom", "the text begins with a byte order mark"))
        text = text[1:]
    try:
        root = _json(text, problems)
    except json.JSONDecodeError as error:
        plain = _uncommented(_uncommented(text))  # a comma may be the last once a comment behind it is gone
        if plain == text:
            raise MalformedInput(f"not JSON: {error.msg} in line {error.lineno}", offset=error.pos) from error
        try:
            root = _json(plain, problems)
        except ValueError:
            raise MalformedInput(f"not JSON: {error.msg} in line {error.lineno}", offset=error.pos) from error
        problems.append(Problem("comment", "comments or trailing commas, which strict parsers refuse"))
    return Document(carrier="json", roots=(root,), problems=tuple(problems[:_SHOWN]))


def _uncommented(text: str) -> str:
    """A text without comments and trailing commas. Strings are passed over, not taken apart: there may be millions."""
    kept, last = [], 0
    for match in _COMMENT.finditer(text):
        if match[1] is None:
            kept.append(text[last : match.start()])
            last = match.end()
    return "".join([*kept, text[last:]]) if kept else text


def _json(text: str, problems: list[Problem]) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    problems.append(Problem("duplicate", key))
                seen.add(key)
        return table

    def constant(name: str) -> float:
        problems.append(Problem("constant", name))
        return float(name.replace("Infinity", "inf"))

    def integer(digits: str) -> int | str:
        if len(digits) <= _DIGITS:
            return int(digits)
        problems.append(Problem("number", f"an integer of {len(digits)} digits"))
        return digits

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except RecursionError as error:
        raise LimitExceeded("the JSON text is nested too deeply", limit="depth") from error


def read_toml(text: str) -> Document:
    """A TOML document. Raises MalformedInput."""
    import tomllib  # noqa: PLC0415  # few artifacts hold TOML

    try:
        return Document(carrier="toml", roots=(tomllib.loads(text),))
    except tomllib.TOMLDecodeError as error:
        raise MalformedInput(f"not TOML: {error}") from error
    except RecursionError as error:
        raise LimitExceeded("the TOML text is nested too deeply", limit="depth") from error


def read_yaml(text: str) -> Document:
    """All documents of a YAML stream. Raises MalformedInput, LimitExceeded."""
    import yaml  # noqa: PLC0415  # few artifacts hold YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    try:
        for number, event in enumerate(yaml.parse(text, Loader=loader)):
            if number > _EVENTS:
                raise LimitExceeded(f"more than {_EVENTS} YAML events", limit="members")
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise MalformedInput(f"not YAML: {getattr(error, 'problem', None) or 'bad text'}{where}") from error
    except (RecursionError, ValueError) as error:
        raise MalformedInput(f"not YAML: {error}") from error
    return builder.document()


class _Builder:
    """Turns YAML events into plain data. An anchor that is used again counts towards the growth."""

    def __init__(self) -> None:
        self._roots: list[Any] = []
        self._open: list[tuple[Any, list[Any], str]] = []
        self._anchors: dict[str, Any] = {}
        self._tags: list[Tag] = []
        self._problems: list[Problem] = []
        self._sizes: dict[int, int] = {}
        self._kept: list[Any] = []
        self._aliases = 0
        self._growth = 0

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind in {"MappingStartEvent", "SequenceStartEvent"}:
            if len(self._open) >= _DEPTH:
                raise LimitExceeded(f"YAML nested deeper than {_DEPTH}", limit="depth")
            self._note(event, "")
            container: Any = {} if kind == "MappingStartEvent" else []
            self._kept.append(container)
            self._open.append((container, [], event.anchor or ""))
            if event.anchor:
                self._anchors[event.anchor] = container
        elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
            container, parts, _ = self._open.pop()
            self._fill(container, parts)
            self._sizes[id(container)] = min(1 << 62, 1 + sum(self._sizes.get(id(part), 1) for part in parts))
            self._add(container)
        elif kind == "ScalarEvent":
            self._note(event, event.value)
            value = _scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = value
            self._add(value)
        elif kind == "AliasEvent":
            self._aliases += 1
            value = self._anchors.get(event.anchor)
            self._growth = min(1 << 62, self._growth + self._sizes.get(id(value), 1))
            self._add(value)

    def _note(self, event: Any, value: str) -> None:
        if event.tag and event.tag != "!" and len(self._tags) < 1000:
            self._tags.append(Tag(str(event.tag), event.start_mark.line + 1, value[:200]))

    def _fill(self, container: Any, parts: list[Any]) -> None:
        if isinstance(container, list):
            container.extend(parts)
            return
        for key, value in zip(parts[::2], parts[1::2], strict=False):
            name = key if isinstance(key, str) else "true" if key is True else _named(key)
            if name == "<<" and isinstance(value, dict):
                for inner, item in value.items():
                    container.setdefault(inner, item)
                continue
            if name in container and len(self._problems) < _SHOWN:
                self._problems.append(Problem("duplicate", name))
            container[name] = value

    def _add(self, value: Any) -> None:
        if self._open:
            self._open[-1][1].append(value)
        else:
            self._roots.append(value)

    def document(self) -> Document:
        return Document(
            carrier="yaml",
            roots=tuple(self._roots),
            problems=tuple(self._problems),
            tags=tuple(self._tags),
            growth=self._growth,
        )


def _named(key: Any) -> str:
    """A key that is no text. A container is never written out: aliases would unfold in it."""
    return f"({type(key).__name__} as key)" if isinstance(key, (dict, list)) else str(key)


def _scalar(event: Any) -> Any:
    if event.style or (event.tag and "str" in event.tag):
        return event.value
    text: str = event.value
    known = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None, "": None}
    if text in known:
        return known[text]
    if _INTEGER.match(text):
        return int(text)
    return text


def walk(root: Any, *, limit: int = _NODES) -> Iterator[tuple[Path, Any, Any]]:
    """(path of the parent, key, value) of everything below a root, each container once. Tables of numbers are passed over.

    Raises LimitExceeded beyond `limit` nodes.
    """
    waiting: list[tuple[Path, Any]] = [((), root)]
    seen: set[int] = set()
    count = 0
    while waiting:
        path, current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        items = current.items() if isinstance(current, dict) else enumerate(current)
        for key, value in items:
            count += 1
            if count > limit:
                raise LimitExceeded(f"more than {limit} nodes in one document", limit="members")
            if isinstance(value, (dict, list)):
                waiting.append(((path, key), value))
            elif type(value) in {int, float}:
                continue
            yield path, key, value
            if isinstance(value, (dict, list)):
                continue


def shown(path: Path, key: object = None) -> str:
    """A path as a person writes it: `a.b[2].c`."""
    parts: list[object] = [] if key is None else [key]
    while path:
        path, part = path
        parts.append(part)
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in reversed(parts))
    return text.removeprefix(".")
