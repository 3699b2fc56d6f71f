"""Knows XML, through expat with every kind of entity refused: elements with their attributes, and what a DTD asks for.

Source: `xml.parsers.expat`; libexpat's own limits on amplification stay on beside ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from weighbridge.source import Blob

_CHUNK: Final = 1 << 16
_ELEMENTS: Final = 2_000_000
_KEPT: Final = 200_000
_DEPTH: Final = 512


class Element(Struct, frozen=True):
    """An element: its name without namespace, its attributes, its line and depth."""

    name: str
    attributes: dict[str, str]
    line: int
    depth: int


class Markup(Struct, frozen=True, kw_only=True):
    """A document: its elements in order, and the entities and external parts that its DTD declares."""

    root: str
    elements: tuple[Element, ...]
    entities: tuple[tuple[str, str, int], ...]
    instructions: tuple[tuple[str, str, int], ...]
    complete: bool


class _Refused(Exception):
    """A declaration that parsers act upon; what follows is not read."""


def read_markup(blob: Blob) -> Markup:
    """The elements of an XML document. Raises MalformedInput where it is none, LimitExceeded where it is too large."""
    from xml.parsers import expat  # noqa: PLC0415  # entities are refused below

    reader = _Reader(expat.ParserCreate(namespace_separator=" "))
    at, complete = 0, True
    try:
        while at < blob.size:
            piece = blob.read(at, _CHUNK)
            at += len(piece)
            reader.parser.Parse(piece, at >= blob.size)
            if not piece:
                break
    except _Refused:
        complete = False
    except expat.ExpatError as error:
        if not reader.elements:
            raise MalformedInput(f"not XML: {error}") from error
        complete = False
    return Markup(
        root=reader.elements[0].name if reader.elements else "",
        elements=tuple(reader.elements),
        entities=tuple(reader.entities),
        instructions=tuple(reader.instructions),
        complete=complete,
    )


class _Reader:
    def __init__(self, parser: Any) -> None:
        self.parser = parser
        self.elements: list[Element] = []
        self.entities: list[tuple[str, str, int]] = []
        self.instructions: list[tuple[str, str, int]] = []
        self._depth = self._count = 0
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ExternalEntityRefHandler = self._external
        parser.ProcessingInstructionHandler = self._instruction

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._count > _ELEMENTS:
            raise LimitExceeded(f"more than {_ELEMENTS} elements", limit="members")
        if self._depth > _DEPTH:
            raise LimitExceeded(f"elements nested deeper than {_DEPTH}", limit="depth")
        if len(self.elements) < _KEPT:
            plain = name.rpartition(" ")[2]
            self.elements.append(Element(plain, attributes, self.parser.CurrentLineNumber, self._depth))

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _entity(self, name: str, _: bool, value: str | None, __: Any, system: str | None, *___: Any) -> None:
        self.entities.append((name, system or (value or "")[:200], self.parser.CurrentLineNumber))
        raise _Refused

    def _doctype(self, name: str, system: str | None, *_: Any) -> None:
        if system and "://" in system and not system.startswith(("http://www.w3.org/", "https://www.w3.org/")):
            self.entities.append((f"DOCTYPE {name}", system, self.parser.CurrentLineNumber))

    def _external(self, *_: Any) -> int:
        return 1

    def _instruction(self, target: str, data: str) -> None:
        if len(self.instructions) < _KEPT:
            self.instructions.append((target, data[:500], self.parser.CurrentLineNumber))
