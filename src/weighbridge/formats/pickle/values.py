"""Knows what a pickle talks about, as inert values: names, calls that would be made, containers, atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 72
_DEPTH = 5


class Name(Struct, frozen=True):
    """An imported name, such as `posix` `system`."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """`module.name` as one string."""
        return f"{self.module}.{self.name}"


class Made(Struct, frozen=True):
    """What a call gives back: the callable and its arguments. Nothing was called."""

    target: Value
    arguments: Value


class Items(Struct, frozen=True):
    """A container. `total` is the number of items it was given, -1 where that is no longer known.

    A dict holds keys and values in turn.
    """

    kind: str
    items: tuple[Value, ...]
    total: int

    @property
    def whole(self) -> bool:
        """Whether `items` holds everything."""
        return self.total == len(self.items)


class Persistent(Struct, frozen=True):
    """An object that the loader fetches by a persistent id."""

    identifier: Value


class Blob(Struct, frozen=True):
    """A long string or bytes constant: its first bytes, its length and where its content begins."""

    head: bytes
    length: int
    offset: int
    kind: str


class Unknown(Struct, frozen=True):
    """A value that exists only at run time, or that the machine no longer remembers."""

    why: str


Value: TypeAlias = bool | int | float | str | bytes | Name | Made | Items | Persistent | Blob | Unknown | None


def render(value: Value, *, limit: int = 160) -> str:
    """The value as a reader of Python would write it, cut at `limit` characters."""
    text = "".join(_pieces(value, 0))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _pieces(value: Value, depth: int) -> Iterator[str]:
    match value:
        case Name():
            yield printable(value.dotted)
        case Made():
            yield from _pieces(value.target, depth)
            yield from (["(…)"] if depth > _DEPTH else _enclosed("(", value.arguments, ")", depth))
        case Persistent():
            yield from ("<persistent ", *_pieces(value.identifier, depth + 1), ">")
        case Items():
            opening, closing = {"tuple": ("(", ")"), "list": ("[", "]")}.get(value.kind, ("{", "}"))
            yield from _enclosed(opening, value, closing, depth)
        case Blob():
            yield f"<{value.length} bytes {printable(value.head[:16].decode('latin-1'))}…>"
        case Unknown():
            yield f"<{value.why}>"
        case str():
            yield repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
        case bytes():
            yield repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
        case _:
            yield repr(value)


def _enclosed(opening: str, value: Value, closing: str, depth: int) -> Iterator[str]:
    if not isinstance(value, Items):
        yield from (opening, *_pieces(value, depth + 1), closing)
        return
    yield opening
    if depth <= _DEPTH:
        for number, item in enumerate(value.items):
            if number:
                yield ": " if value.kind == "dict" and number % 2 else ", "
            yield from _pieces(item, depth + 1)
    if not value.whole or depth > _DEPTH:
        yield ", …" if value.items and depth <= _DEPTH else "…"
    yield closing


def walk(value: Value) -> Iterator[Value]:
    """The value and everything inside it, each once, without recursion."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield current
        match current:
            case Made():
                waiting += [current.arguments, current.target]
            case Items():
                waiting += reversed(current.items)
            case Persistent():
                waiting.append(current.identifier)


def arguments_of(value: Value) -> tuple[Value, ...]:
    """The items of an argument tuple; empty where it is not one."""
    return value.items if isinstance(value, Items) else ()


def mapping(value: Value) -> dict[str, Value]:
    """The string keys of a dict value with their values."""
    if not isinstance(value, Items) or value.kind != "dict":
        return {}
    pairs = zip(value.items[::2], value.items[1::2], strict=False)
    return {key: item for key, item in pairs if isinstance(key, str)}
