"""Knows what a Jinja template can reach, from its syntax tree with constants folded. Nothing is rendered or compiled.

Source: Jinja 3.1 `jinja2.nodes`; transformers `utils/chat_template_utils.py` for the extra tags.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH: Final = 1 << 20
_NODES: Final = 200_000
_FOLDED: Final = 1 << 14
_HIDDEN: Final = re.compile(r"[\u180e\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e01ef]")


class Access(Struct, frozen=True):
    """An attribute, item, filter or name that the template asks for. `kind` says which."""

    kind: str
    name: str
    line: int


class Branch(Struct, frozen=True):
    """A condition on what somebody wrote: the constants it looks for, and the text that follows where it holds."""

    line: int
    looks_for: tuple[str, ...]
    says: str


class Growth(Struct, frozen=True):
    """A loop, product or power with a constant size."""

    line: int
    kind: str
    size: int


class TemplateFacts(Struct, frozen=True, kw_only=True):
    """What a template does. `literals` are texts that it prints, with their line."""

    accesses: tuple[Access, ...]
    includes: tuple[Access, ...]
    branches: tuple[Branch, ...]
    dates: tuple[Branch, ...]
    growth: tuple[Growth, ...]
    literals: tuple[tuple[int, str], ...]
    constants: tuple[tuple[int, str], ...]
    invisible: tuple[tuple[int, str], ...]


def read_template(text: str) -> TemplateFacts:
    """Parse a template. Raises MalformedInput where Jinja cannot, LimitExceeded where it is too large."""
    if len(text) > _LENGTH:
        raise LimitExceeded(f"a template of {len(text)} characters", limit="header")
    return _Reader(_parse(text)).facts(text)


def _parse(text: str) -> Any:
    from jinja2 import Environment, TemplateError, nodes  # noqa: PLC0415  # only templates need it
    from jinja2.ext import Extension  # noqa: PLC0415

    class Generation(Extension):
        """The tag of transformers that marks what the assistant says."""

        tags = {"generation"}  # noqa: RUF012  # as the base class has it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    environment = Environment(  # noqa: S701  # parsed, never rendered
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do", "jinja2.ext.i18n", Generation],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.parse(text)
    except TemplateError as error:
        line = getattr(error, "lineno", 0)
        raise MalformedInput(f"not a Jinja template: {error} in line {line}") from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise MalformedInput(f"not a Jinja template: {type(error).__name__}") from error


class _Reader:
    """One walk over the tree."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._folded: dict[int, Any] = {}
        self._content: set[str] = set()

    def facts(self, text: str) -> TemplateFacts:
        accesses: list[Access] = []
        includes: list[Access] = []
        branches: list[Branch] = []
        dates: list[Branch] = []
        growth: list[Growth] = []
        literals: list[tuple[int, str]] = []
        constants: list[tuple[int, str]] = []
        for node, depth in _walk(self._tree):
            kind = type(node).__name__
            if kind in {"Include", "Import", "FromImport", "Extends"}:
                includes.append(Access(kind, str(self.fold(getattr(node, "template", None)) or "?"), node.lineno))
            elif kind == "If":
                found = self._branch(node)
                branches += [found] if found else []
                dates += self._dated(node)
            elif kind == "TemplateData":
                literals.append((node.lineno, node.data))
            elif kind == "Output":
                literals += [(node.lineno, t) for t in map(self.fold, node.nodes) if isinstance(t, str)]
            elif kind == "Const" and isinstance(node.value, str):
                constants.append((node.lineno, node.value))
            elif kind in {"Add", "Concat"} and isinstance(self.fold(node), str):
                constants.append((node.lineno, self.fold(node)))
            accesses += self._access(node, kind)
            growth += self._growth(node, kind, depth)
        return TemplateFacts(
            accesses=tuple(accesses),
            includes=tuple(includes),
            branches=tuple(branches),
            dates=tuple(dates),
            growth=tuple(growth),
            literals=tuple(literals),
            constants=tuple(constants),
            invisible=tuple(invisible(text)),
        )

    def _access(self, node: Any, kind: str) -> Iterator[Access]:
        if kind == "Getattr":
            yield Access("attribute", node.attr, node.lineno)
        elif kind == "Getitem":
            key = self.fold(node.arg)
            if isinstance(key, str):
                yield Access("item", key, node.lineno)
        elif kind == "Filter":
            yield Access("filter", node.name, node.lineno)
            for argument in [*node.args, *(pair.value for pair in node.kwargs)]:
                value = self.fold(argument)
                if isinstance(value, str):
                    yield Access(f"filter {node.name}", value, node.lineno)
        elif kind == "Name":
            yield Access("name", node.name, node.lineno)

    def _growth(self, node: Any, kind: str, depth: int) -> Iterator[Growth]:
        if kind == "Call" and type(node.node).__name__ == "Name" and node.node.name == "range":
            sizes = [self.fold(argument) for argument in node.args]
            known = [size for size in sizes if isinstance(size, int)]
            if known and len(known) == len(sizes):
                span = known[1] - known[0] if len(known) > 1 else known[0]
                yield Growth(node.lineno, "loop", max(0, span) ** max(1, depth))
        elif kind == "Mul":
            left, right = self.fold(node.left), self.fold(node.right)
            for number, other in ((left, right), (right, left)):
                if isinstance(number, int) and isinstance(other, (str, list)):
                    yield Growth(node.lineno, "product", number * max(1, len(other)))
                elif isinstance(number, int) and number > _FOLDED:
                    yield Growth(node.lineno, "product", number)
        elif kind == "Pow":
            base, power = self.fold(node.left), self.fold(node.right)
            if isinstance(power, int) and (not isinstance(base, int) or power > 64):
                yield Growth(node.lineno, "power", power)

    def _branch(self, node: Any) -> Branch | None:
        """A condition that looks for a constant in the content of a message and then says something of its own."""
        wanted = []
        reads_content = False
        for inner, _ in _walk(node.test):
            kind = type(inner).__name__
            if kind == "Const" and isinstance(inner.value, str):
                wanted.append(inner.value)
            reads_content |= (kind == "Getitem" and self.fold(inner.arg) == "content") or (
                kind == "Getattr" and inner.attr == "content"
            )
            reads_content |= kind == "Name" and any(word in inner.name for word in ("content", "query", "prompt"))
        wanted = [text for text in wanted if text not in {"content", "role"}]
        if not (reads_content and wanted):
            return None
        return Branch(node.lineno, tuple(wanted), " ".join(self._said(node.body)))

    def _said(self, body: list[Any]) -> Iterator[str]:
        for part in body:
            for inner, _ in _walk(part):
                kind = type(inner).__name__
                if kind == "TemplateData":
                    yield inner.data
                elif kind == "Const" and isinstance(inner.value, str) and " " in inner.value:
                    yield inner.value

    def _dated(self, node: Any) -> Iterator[Branch]:
        names = {inner.name for inner, _ in _walk(node.test) if type(inner).__name__ == "Name"}
        compared = [inner for inner, _ in _walk(node.test) if type(inner).__name__ == "Compare"]
        if compared and names & {"strftime_now", "now", "date_string", "today"}:
            consts = [i.value for i, _ in _walk(node.test) if type(i).__name__ == "Const" and isinstance(i.value, str)]
            yield Branch(node.lineno, tuple(consts), " ".join(self._said(node.body)))

    def fold(self, node: Any) -> Any:
        """The constant that an expression comes to; None where it has none. Strings are folded up to 16 KiB."""
        if node is None:
            return None
        known = self._folded.get(id(node), self)
        if known is not self:
            return known
        value = self._fold(node)
        self._folded[id(node)] = value
        return value

    def _fold(self, node: Any) -> Any:  # one line for each kind of node
        kind = type(node).__name__
        if kind == "Const":
            return node.value
        if kind in {"Add", "Concat"}:
            parts = [self.fold(n) for n in (node.nodes if kind == "Concat" else (node.left, node.right))]
            if all(isinstance(part, str) for part in parts) and sum(map(len, parts)) < _FOLDED:
                return "".join(parts)
            return sum(parts) if all(type(part) is int for part in parts) else None
        if kind == "Mul":
            left, right = self.fold(node.left), self.fold(node.right)
            return left * right if type(left) is type(right) is int and abs(left * right) < 1 << 62 else None
        if kind in {"List", "Tuple"}:
            parts = [self.fold(item) for item in node.items]
            return parts if all(isinstance(part, (str, int)) for part in parts) else None
        if kind == "Filter" and node.node is not None:
            return self._filtered(node)
        if kind == "Neg":
            value = self.fold(node.node)
            return -value if type(value) is int else None
        return None

    def _filtered(self, node: Any) -> Any:
        value = self.fold(node.node)
        arguments = [self.fold(argument) for argument in node.args]
        if node.name == "join" and isinstance(value, list) and all(isinstance(part, str) for part in value):
            glue = arguments[0] if arguments and isinstance(arguments[0], str) else ""
            return glue.join(value)[:_FOLDED]
        if not isinstance(value, str):
            return None
        if node.name in {"lower", "upper", "trim", "string", "safe", "e", "escape"}:
            return {"lower": value.lower(), "upper": value.upper(), "trim": value.strip()}.get(node.name, value)
        if node.name == "reverse":
            return value[::-1]
        if node.name == "replace" and len(arguments) == 2 and all(isinstance(a, str) for a in arguments):
            return value.replace(arguments[0], arguments[1])[:_FOLDED] if arguments[0] else None
        if node.name == "format" and all(isinstance(a, (str, int)) for a in arguments):
            try:
                return (value % tuple(arguments))[:_FOLDED] if "*" not in value and len(value) < _FOLDED else None
            except (TypeError, ValueError, MemoryError, OverflowError):
                return None
        return None


def _walk(tree: Any) -> Iterator[tuple[Any, int]]:
    """Nodes with the number of loops around them, without recursion. Raises LimitExceeded for huge trees."""
    waiting = [(tree, 0)]
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _NODES:
            raise LimitExceeded(f"a template of more than {_NODES} nodes", limit="members")
        yield node, depth
        inside = depth + (type(node).__name__ == "For")
        waiting += [(child, inside) for child in node.iter_child_nodes()]


def invisible(text: str) -> Iterator[tuple[int, str]]:
    """(line, name) of characters that a reader cannot see and a tokenizer does.

    Tags, variation selectors beyond the emoji one, zero-width and direction characters. Joiners inside emoji and
    scripts that need them are left out, and so is a byte order mark at the very start.
    """
    if text.isascii():
        return
    line, counted = 1, 0
    for match in _HIDDEN.finditer(text):
        at, character = match.start(), match[0]
        if character == "\ufeff" and not at:
            continue
        line += text.count("\n", counted, at)
        counted = at
        yield line, unicodedata.name(character, f"U+{ord(character):04X}")
