"""Knows the structure of HDF5 files: groups, links, datasets with their storage, attributes. No dataset is opened.

Links, external storage and virtual datasets are stated, never followed. Source: HDF5 File Format Specification 3.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.hdf5_heaps import DenseLinks, global_object, local_text
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_OBJECTS: Final = 200_000
_DEPTH: Final = 128
_MESSAGES: Final = 100_000
_TEXT: Final = 16 << 20
_SPACE, _LINK_INFO, _TYPE, _LINK, _EXTERNAL, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUE, _SYMBOLS, _ATTRIBUTE_INFO = (
    1, 2, 3, 6, 7, 8, 11, 12, 16, 17, 21,
)  # fmt: skip
_SOFT: Final = 1
_EXTERNAL_LINK: Final = 64
_VIRTUAL: Final = 3
_STRING, _OPAQUE, _ENUMERATED, _VARIABLE = 3, 5, 8, 9
_CHUNKED: Final = 2
_SINGLE: Final = 1


class Link(Struct, frozen=True):
    """A name in a group that is no object: `kind` is soft or external."""

    path: str
    kind: str
    file: str
    target: str


class Chunks(Struct, frozen=True, kw_only=True):
    """Pieces of one shape: where they are listed, and how: in a tree (0), or as the fourth version of layouts says (1 to 5).

    A single piece that is filtered has its stored size and the filters it left out here. `whole_edges`: pieces that reach over the end are not filtered.
    """

    shape: tuple[int, ...]
    index: int
    listing: int
    size: int = 0
    skipped: int = 0
    whole_edges: bool = False


class Dataset(Struct, frozen=True, kw_only=True):
    """A dataset: its shape, element size, the files its bytes lie in, the files it is put together from, its filters.

    `address` is where the bytes begin in the file when they lie there in one piece, else -1. `numbers` is the type as
    numpy writes it (`<f4`, `|i1`), with `<bf2` for bfloat16; empty where the items are no plain numbers. `varies` says that
    the items are texts of any length. `chunks` says how the bytes lie in pieces, where they do.
    """

    path: str
    shape: tuple[int, ...]
    item: int
    type_class: int
    layout: int
    stored: int
    external: tuple[str, ...]
    sources: tuple[str, ...]
    filters: tuple[int, ...]
    address: int = -1
    numbers: str = ""
    varies: bool = False
    chunks: Chunks | None = None


class Attribute(Struct, frozen=True):
    """An attribute: where, its name, the class of its type, and its text where it is one."""

    path: str
    name: str
    type_class: int
    text: str
    head: bytes


class Hdf5Facts(Struct, frozen=True, kw_only=True):
    """A file. `unread` says which parts of its structure were not understood.

    Addresses count from `base`; they are `offsets` bytes wide, and sizes `lengths`.
    """

    userblock: int
    base: int
    offsets: int
    lengths: int
    end: int
    links: tuple[Link, ...]
    datasets: tuple[Dataset, ...]
    attributes: tuple[Attribute, ...]
    groups: int
    unread: tuple[str, ...]


class _Message(Struct, frozen=True):
    kind: int
    at: int
    size: int


def read_hdf5(blob: Blob) -> Hdf5Facts:
    """The structure of a file. Raises MalformedInput where there is no superblock or root group."""
    return _Reader(Window(blob)).facts()


class _Reader:
    def __init__(self, window: Window) -> None:
        self._w = window
        self._base = self._superblock()
        self._links: list[Link] = []
        self._datasets: list[Dataset] = []
        self._attributes: list[Attribute] = []
        self._unread: list[str] = []
        self._groups = 0

    def _superblock(self) -> int:
        at = 0
        while self._w.bytes(at, 8) != SIGNATURE:
            at = 512 if not at else at * 2
            if at > 1 << 24:
                raise MalformedInput("no HDF5 signature")
        version = self._w.uint(at + 8, 1)
        if version > 3:
            raise MalformedInput(f"superblock version {version}", offset=at + 8)
        self._offsets = self._w.uint(at + (13 if version < 2 else 9), 1)
        self._lengths = self._w.uint(at + (14 if version < 2 else 10), 1)
        if self._offsets not in {2, 4, 8} or self._lengths not in {2, 4, 8}:
            raise MalformedInput("odd sizes of offsets and lengths", offset=at + 9)
        place = at + (24 if version == 0 else 28 if version == 1 else 12)
        base = self._w.uint(place, self._offsets)
        self._end = self._w.uint(place + 2 * self._offsets, self._offsets)
        root_at = place + (4 * self._offsets if version < 2 else 3 * self._offsets)
        self._root = self._w.uint(root_at + (self._offsets if version < 2 else 0), self._offsets)
        self.userblock = at
        return base or at

    @property
    def _none(self) -> int:
        return (1 << 8 * self._offsets) - 1

    def facts(self) -> Hdf5Facts:
        waiting: list[tuple[str, int, int]] = [("", self._root, 0)]
        seen: set[int] = set()
        while waiting:
            path, address, depth = waiting.pop()
            if address in seen or address == self._none:
                continue
            seen.add(address)
            if len(seen) > _OBJECTS:
                raise LimitExceeded(f"more than {_OBJECTS} objects", limit="members")
            if depth > _DEPTH:
                raise LimitExceeded(f"groups nested deeper than {_DEPTH}", limit="depth")
            try:
                children = list(self._object(path, address))
            except MalformedInput as error:
                if not path:
                    raise
                self._unread.append(f"{path}: {error.message}")
                continue
            waiting += [(f"{path}/{name}", child, depth + 1) for name, child in children]
        return Hdf5Facts(
            userblock=self.userblock,
            base=self._base,
            offsets=self._offsets,
            lengths=self._lengths,
            end=self._end,
            links=tuple(self._links),
            datasets=tuple(self._datasets),
            attributes=tuple(self._attributes),
            groups=self._groups,
            unread=tuple(self._unread),
        )

    def _object(self, path: str, address: int) -> Iterator[tuple[str, int]]:
        messages = list(self._messages(self._base + address))
        kinds = {message.kind for message in messages}
        for message in messages:
            if message.kind == _ATTRIBUTE:
                self._attribute(path, message.at, message.size)
            elif message.kind == _ATTRIBUTE_INFO:
                self._dense_attributes(path, message)
        if _LAYOUT in kinds:
            self._dataset(path, messages)
            return
        self._groups += 1
        for message in messages:
            if message.kind == _SYMBOLS:
                yield from self._symbols(path, message)
            elif message.kind == _LINK:
                yield from self._link(path, message.at, message.size)
            elif message.kind == _LINK_INFO:
                yield from self._dense_links(path, message)

    # Object headers

    def _messages(self, at: int) -> Iterator[_Message]:
        if self._w.bytes(at, 4) == b"OHDR":
            chunks = [self._second_header(at)]
        elif self._w.uint(at, 1) == 1:
            size = self._w.uint(at + 8, 4)
            chunks = [(at + 16, at + 16 + size, 0)]
        else:
            raise MalformedInput("no object header", offset=at)
        count = 0
        while chunks:
            start, end, flags = chunks.pop()
            new = self._w.bytes(at, 4) == b"OHDR"
            head = (6 if flags & 4 else 4) if new else 8
            while end - start >= head:
                self._w.step()
                count += 1
                if count > _MESSAGES:
                    raise LimitExceeded("an object with too many messages", limit="members")
                kind = self._w.uint(start, 1 if new else 2)
                size = self._w.uint(start + (1 if new else 2), 2)
                body = start + head
                if size > end - body:
                    raise MalformedInput("a header message is cut", offset=start)
                if kind == _CONTINUE:
                    chunks.append(self._continued(body, flags, new=new))
                else:
                    yield _Message(kind, body, size)
                start = body + size

    def _second_header(self, at: int) -> tuple[int, int, int]:
        flags = self._w.uint(at + 5, 1)
        place = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = self._w.uint(place, width)
        if size > self._w.size - place:
            raise MalformedInput("an object header is cut", offset=at)
        return place + width, place + width + size, flags

    def _continued(self, body: int, flags: int, *, new: bool) -> tuple[int, int, int]:
        start = self._base + self._w.uint(body, self._offsets)
        length = self._w.uint(body + self._offsets, self._lengths)
        if length > self._w.size - start:
            raise MalformedInput("a continued header lies outside", offset=body)
        return (start + 4, start + length - 4, flags) if new else (start, start + length, flags)

    # Groups

    def _symbols(self, path: str, message: _Message) -> Iterator[tuple[str, int]]:
        tree = self._w.uint(message.at, self._offsets)
        heap = self._base + self._w.uint(message.at + self._offsets, self._offsets)
        if tree == self._none:
            return
        waiting, seen = [self._base + tree], set[int]()
        while waiting:
            node = waiting.pop()
            self._w.step()
            if node in seen:
                continue
            seen.add(node)
            if self._w.bytes(node, 4) == b"SNOD":
                yield from self._symbol_node(path, node, heap)
                continue
            if self._w.bytes(node, 4) != b"TREE":
                raise MalformedInput("no tree node", offset=node)
            used = self._w.uint(node + 6, 2)
            at = node + 8 + 2 * self._offsets + self._lengths
            for number in range(used):
                child = self._w.uint(at + number * (self._offsets + self._lengths), self._offsets)
                waiting.append(self._base + child)

    def _symbol_node(self, path: str, node: int, heap: int) -> Iterator[tuple[str, int]]:
        step = 2 * self._offsets + 24
        for number in range(self._w.uint(node + 6, 2)):
            self._w.step()
            at = node + 8 + number * step
            name = local_text(self._w, heap, self._w.uint(at, self._offsets), self._base, self._offsets, self._lengths)
            cache = self._w.uint(at + 2 * self._offsets, 4)
            if cache == 2:
                where = self._w.uint(at + 2 * self._offsets + 8, 4)
                target = local_text(self._w, heap, where, self._base, self._offsets, self._lengths)
                self._links.append(Link(f"{path}/{name}", "soft", "", target))
            else:
                yield name, self._w.uint(at + self._offsets, self._offsets)

    def _link(self, path: str, at: int, size: int) -> Iterator[tuple[str, int]]:
        end = at + size
        flags = self._w.uint(at + 1, 1)
        place = at + 2
        kind = 0
        if flags & 8:
            kind = self._w.uint(place, 1)
            place += 1
        place += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = self._w.uint(place, width)
        place += width
        if length > end - place:
            raise MalformedInput("a link name is cut", offset=at)
        name = self._w.text(place, length)
        place += length
        if kind == 0:
            yield name, self._w.uint(place, self._offsets)
            return
        value = self._w.uint(place, 2)
        if value > end - place - 2:
            raise MalformedInput("a link value is cut", offset=at)
        raw = self._w.bytes(place + 2, value)
        if kind == _SOFT:
            self._links.append(Link(f"{path}/{name}", "soft", "", raw.decode("utf-8", "replace")))
        elif kind == _EXTERNAL_LINK:
            file, _, target = raw[1:].partition(b"\0")
            self._links.append(
                Link(f"{path}/{name}", "external", file.decode("utf-8", "replace"), target.rstrip(b"\0").decode("utf-8", "replace"))
            )  # fmt: skip
        else:
            self._unread.append(f"{path}/{name}: link type {kind}")

    def _dense_links(self, path: str, message: _Message) -> Iterator[tuple[str, int]]:
        flags = self._w.uint(message.at + 1, 1)
        at = message.at + 2 + (8 if flags & 1 else 0)
        for start, size in self._dense(path, at, record_skip=4):
            yield from self._link(path, start, size)

    def _dense_attributes(self, path: str, message: _Message) -> None:
        flags = self._w.uint(message.at + 1, 1)
        at = message.at + 2 + (2 if flags & 1 else 0)
        for start, size in self._dense(path, at, record_skip=0):
            self._attribute(path, start, size)

    def _dense(self, path: str, at: int, *, record_skip: int) -> Iterator[tuple[int, int]]:
        heap, index = self._w.uint(at, self._offsets), self._w.uint(at + self._offsets, self._offsets)
        if self._none in {heap, index}:
            return
        dense = DenseLinks(self._w, self._base, self._offsets, self._lengths)
        yield from dense.objects(self._base + heap, self._base + index, record_skip)
        self._unread += [f"{path}: {note}" for note in dense.unread]

    # Datasets

    def _dataset(self, path: str, messages: list[_Message]) -> None:
        found = {message.kind: message for message in messages}
        shape = self._shape(found[_SPACE].at) if _SPACE in found else ()
        type_class, item = self._type(found[_TYPE].at) if _TYPE in found else (0, 0)
        layout, sources, stored = self._layout(found[_LAYOUT])
        start, stored = self._in_one_piece(found[_LAYOUT], stored)
        self._datasets.append(
            Dataset(
                path=path,
                shape=shape,
                item=item,
                type_class=type_class,
                layout=layout,
                stored=stored,
                external=tuple(self._external(found[_EXTERNAL])) if _EXTERNAL in found else (),
                sources=tuple(sources),
                filters=tuple(self._filters(found[_FILTERS])) if _FILTERS in found else (),
                address=start,
                numbers=self._numbers(found[_TYPE].at, item) if _TYPE in found else "",
                varies=type_class == _VARIABLE and self._w.uint(found[_TYPE].at + 1, 1) & 15 == 1,
                chunks=self._chunks(found[_LAYOUT]),
            )
        )

    def _shape(self, at: int) -> tuple[int, ...]:
        version, rank = self._w.uint(at, 1), self._w.uint(at + 1, 1)
        start = at + (8 if version == 1 else 4)
        return tuple(self._w.uint(start + number * self._lengths, self._lengths) for number in range(min(rank, 32)))

    def _type(self, at: int) -> tuple[int, int]:
        return self._w.uint(at, 1) & 15, self._w.uint(at + 4, 4)

    def _numbers(self, at: int, item: int) -> str:
        """The type of plain numbers. Floats count only in the layouts that are written: IEEE 754 and bfloat16."""
        kind, order = self._w.uint(at, 1) & 15, self._w.uint(at + 1, 1)
        if kind == _ENUMERATED and self._w.uint(at + 8, 1) & 15 == 0:
            return self._numbers(at + 8, item)
        sign = "|" if item == 1 else ">" if order & 1 else "<"
        if kind == 0 and item in {1, 2, 4, 8} and self._w.uint(at + 10, 2) == 8 * item:
            return f"{sign}{'i' if order & 8 else 'u'}{item}"
        if kind == 1 and not order & 0x40 and self._w.uint(at + 10, 2) == 8 * item:
            name = {(2, 5): "f2", (4, 8): "f4", (8, 11): "f8", (2, 8): "bf2"}.get((item, self._w.uint(at + 13, 1)))
            return f"{sign}{name}" if name else ""
        return ""

    def _in_one_piece(self, message: _Message, stored: int) -> tuple[int, int]:
        """(start in the file, bytes) of data that lie in one piece; (-1, `stored`) for others."""
        if self._w.uint(message.at, 1) < 3:
            return -1, stored
        kind = self._w.uint(message.at + 1, 1)
        if kind == 0:
            return message.at + 4, self._w.uint(message.at + 2, 2)
        address = self._w.uint(message.at + 2, self._offsets) if kind == 1 else self._none
        return self._placed(address), stored

    def _chunks(self, message: _Message) -> Chunks | None:
        version, at = self._w.uint(message.at, 1), message.at
        if version not in {3, 4, 5} or self._w.uint(at + 1, 1) != _CHUNKED:
            return None
        if version == 3:
            rank = self._w.uint(at + 2, 1)
            index = self._w.uint(at + 3, self._offsets)
            sides = at + 3 + self._offsets
            shape = tuple(self._w.uint(sides + 4 * number, 4) for number in range(max(0, min(rank, 33) - 1)))
            return Chunks(shape=shape, index=self._placed(index), listing=0)
        flags, rank, width = (self._w.uint(at + number, 1) for number in (2, 3, 4))
        shape = tuple(self._w.uint(at + 5 + width * number, width) for number in range(max(0, min(rank, 33) - 1)))
        place = at + 5 + width * rank
        listing = self._w.uint(place, 1)
        filtered = listing == _SINGLE and flags & 2
        size = self._w.uint(place + 1, self._lengths) if filtered else 0
        skipped = self._w.uint(place + 1 + self._lengths, 4) if filtered else 0
        place += 1 + {1: self._lengths + 4 if filtered else 0, 2: 0, 3: 1, 4: 5, 5: 6}.get(listing, 0)
        index = self._placed(self._w.uint(place, self._offsets))
        return Chunks(
            shape=shape, index=index, listing=listing, size=size, skipped=skipped, whole_edges=bool(flags & 1)
        )

    def _placed(self, address: int) -> int:
        """A place in the file, -1 where there is none."""
        return -1 if address == self._none else self._base + address

    def _layout(self, message: _Message) -> tuple[int, list[str], int]:
        version = self._w.uint(message.at, 1)
        if version < 3:
            return self._w.uint(message.at + 2, 1), [], -1
        kind = self._w.uint(message.at + 1, 1)
        if kind == 1:
            return kind, [], self._w.uint(message.at + 2 + self._offsets, self._lengths)
        if kind != _VIRTUAL:
            return kind, [], -1
        address = self._w.uint(message.at + 2, self._offsets)
        index = self._w.uint(message.at + 2 + self._offsets, 4)
        if address == self._none:
            return kind, [], -1
        start, size = global_object(self._w, self._base + address, index, self._lengths)
        return kind, self._virtual(start, size), -1

    def _virtual(self, start: int, size: int) -> list[str]:
        """File names of the mappings: each begins with a file and a dataset name; selections are passed over by search."""
        raw = self._w.bytes(start, min(size, 1 << 20))
        count = int.from_bytes(raw[1 : 1 + self._lengths], "little")
        first, _, rest = raw[1 + self._lengths :].partition(b"\0")
        names = [first.decode("utf-8", "replace")]
        # The selections between mappings have no length of their own; names are found by what they look like.
        for piece in rest.split(b"\0"):
            if len(names) < min(count, 64) and len(piece) > 3 and piece.isascii() and b"." in piece:
                names.append(piece.decode("ascii"))
        return names

    def _external(self, message: _Message) -> Iterator[str]:
        used = self._w.uint(message.at + 6, 2)
        heap = self._base + self._w.uint(message.at + 8, self._offsets)
        at = message.at + 8 + self._offsets
        for number in range(min(used, 1000)):
            place = self._w.uint(at + number * 3 * self._lengths, self._lengths)
            yield local_text(self._w, heap, place, self._base, self._offsets, self._lengths)

    def _filters(self, message: _Message) -> Iterator[int]:
        version, count = self._w.uint(message.at, 1), self._w.uint(message.at + 1, 1)
        at = message.at + (8 if version == 1 else 2)
        for _ in range(min(count, 32)):
            identifier = self._w.uint(at, 2)
            named = version == 1 or identifier >= 256
            length = self._w.uint(at + 2, 2) if named else 0
            place = at + (8 if named else 6)
            values = self._w.uint(place - 2, 2)
            length += -length % 8 if version == 1 else 0
            at = place + length + 4 * values + (4 if version == 1 and values % 2 else 0)
            yield identifier

    # Attributes

    def _attribute(self, path: str, at: int, size: int) -> None:
        version = self._w.uint(at, 1)
        name_size, type_size, space_size = (self._w.uint(at + 2 + 2 * number, 2) for number in range(3))
        place = at + (9 if version == 3 else 8)
        unit = 8 if version == 1 else 1
        name = self._w.text(place, name_size).rstrip("\0")
        type_at = place + name_size + -name_size % unit
        space_at = type_at + type_size + -type_size % unit
        data_at = space_at + space_size + -space_size % unit
        left = at + size - data_at
        if left < 0:
            raise MalformedInput("an attribute is cut", offset=at)
        kind, item = self._type(type_at)
        text, head = "", b""
        if kind == _STRING:
            text = self._w.text(data_at, min(left, _TEXT), most=_TEXT)
        elif kind == _VARIABLE and left >= 4 + self._offsets + 4:
            text = self._variable(data_at, left)
        elif kind == _OPAQUE or item == 1:
            head = self._w.bytes(data_at, min(left, 64))
        self._attributes.append(Attribute(path, name, kind, text, head))

    def _variable(self, at: int, left: int) -> str:
        parts = []
        step = 8 + self._offsets
        for number in range(min(left // step, 1000)):
            place = at + number * step
            address = self._w.uint(place + 4, self._offsets)
            if address in {0, self._none}:
                continue
            start, size = global_object(
                self._w, self._base + address, self._w.uint(place + 4 + self._offsets, 4), self._lengths
            )
            parts.append(self._w.text(start, size, most=_TEXT))
        return "\n".join(parts)
