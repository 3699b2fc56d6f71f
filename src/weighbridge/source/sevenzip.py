"""Knows the 7z container: its header, and folders packed with the common coders.

Source: 7-Zip SDK `7zFormat.txt`. Coders read: copy, LZMA, LZMA2, deflate, bzip2, with BCJ x86 and delta
filters. Others (PPMd, AES, BCJ2) end in a `METHOD` or `ENCRYPTED` oddity, never in silence.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.schema import MalformedInput
from weighbridge.source.blob import Blob, Budget, BytesBlob, Slice, Spool, chunks
from weighbridge.source.decompress import damaged
from weighbridge.source.names import name_anomalies
from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAGIC = b"7z\xbc\xaf\x27\x1c"
_START = struct.Struct("<6sBBIQQI")
_AES = b"\x06\xf1\x07\x01"
_PIECE = 1 << 20


class _Folder(Struct):
    """Coders in the order of decoding, where the packed bytes lie, and how many come out."""

    coders: list[tuple[bytes, bytes]]
    sizes: list[int]
    start: int = 0
    packed: int = 0
    simple: bool = True


class _Reader:
    """Walks header bytes; every read is checked against what is left."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise MalformedInput("the 7z header is cut off", offset=self.at)
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        first, mask, value = self.byte(), 0x80, 0
        for position in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * position)
            value |= self.byte() << (8 * position)
            mask >>= 1
        return value

    def count(self) -> int:
        """A number of things that follow, each at least one bit long."""
        value = self.number()
        if value > 8 * (len(self.data) - self.at) + 64:
            raise MalformedInput("the 7z header claims more than it holds", offset=self.at)
        return value

    def bits(self, count: int) -> list[bool]:
        packed = self.take((count + 7) // 8)
        return [bool(packed[i // 8] & 0x80 >> i % 8) for i in range(count)]

    def defined(self, count: int) -> list[bool]:
        return [True] * count if self.byte() else self.bits(count)


class SevenZipTree(Unchecked):
    """A 7z archive over a blob."""

    format = "7z"

    def __init__(self, blob: Blob, budget: Budget) -> None:
        self._blob, self._budget = blob, budget
        self._anomalies: list[Anomaly] = []
        self._folders: list[_Folder] = []
        self._streams: list[tuple[int, int, int]] = []
        self._entries: list[Entry] = []
        self._unpacked: dict[int, Blob] = {}
        self._read_header()
        self._anomalies += name_anomalies(self._entries)

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        yield from self._entries

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        if entry.handle < 0:
            return BytesBlob(b"")
        folder, start, size = self._streams[entry.handle]
        if folder not in self._unpacked:
            self._unpacked[folder] = self._unpack(self._folders[folder], entry.name)
        return Slice(self._unpacked[folder], start, size)

    def _read_header(self) -> None:
        start = self._blob.read(0, _START.size)
        if len(start) < _START.size or start[:6] != MAGIC:
            raise MalformedInput("no 7z signature")
        _, _, _, _, offset, size, _ = _START.unpack(start)
        if size > self._budget.limits.header or offset > self._blob.size - _START.size - size:
            raise MalformedInput("the 7z header lies outside the file", offset=12)
        end = _START.size + offset + size
        if end < self._blob.size:
            self._note(Oddity.TRAILING, "", f"{self._blob.size - end} bytes after the archive", end)
        data = self._blob.read(_START.size + offset, size)
        for _ in range(4):
            if data[:1] != b"\x17":
                break
            self._folders = []
            self._streams_info(_Reader(data[1:]))
            if not self._folders:
                raise MalformedInput("the packed 7z header has no folder")
            unpacked = self._unpack(self._folders[0], "header")
            data = unpacked.read(0, min(unpacked.size, self._budget.limits.header))
        self._folders, self._streams = [], []
        if data[:1] == b"\x01":
            self._header(_Reader(data[1:]))

    def _header(self, reader: _Reader) -> None:
        kind = reader.byte()
        if kind == 0x02:
            while reader.byte():
                reader.take(reader.number())
            kind = reader.byte()
        if kind == 0x03:
            self._streams_info(reader)
            kind = reader.byte()
        if kind == 0x04:
            self._streams_info(reader)
            kind = reader.byte()
        if kind == 0x05:
            self._files(reader)

    def _streams_info(self, reader: _Reader) -> None:
        position, packed = _START.size, list[int]()
        counts: list[int] = []
        while (kind := reader.byte()) != 0:
            if kind == 0x06:
                position += reader.number()
                packed = self._pack_sizes(reader)
            elif kind == 0x07:
                self._folder_info(reader)
            elif kind == 0x08:
                counts = self._substreams(reader)
        for folder, size in zip(self._folders, packed, strict=False):
            folder.start, folder.packed = position, size
            position += size
        if not counts:
            self._streams = [(number, 0, folder.sizes[-1]) for number, folder in enumerate(self._folders)]

    def _pack_sizes(self, reader: _Reader) -> list[int]:
        count, sizes = reader.count(), list[int]()
        while (kind := reader.byte()) != 0:
            if kind == 0x09:
                sizes = [reader.number() for _ in range(count)]
            elif kind == 0x0A:
                reader.take(4 * sum(reader.defined(count)))
        return sizes

    def _folder_info(self, reader: _Reader) -> None:
        while (kind := reader.byte()) != 0:
            if kind == 0x0B:
                count = reader.count()
                if reader.byte():
                    raise MalformedInput("external 7z folders are not read")
                self._folders = [self._folder(reader) for _ in range(count)]
            elif kind == 0x0C:
                for folder in self._folders:
                    folder.sizes = [reader.number() for _ in folder.coders]
            elif kind == 0x0A:
                reader.take(4 * sum(reader.defined(len(self._folders))))

    def _folder(self, reader: _Reader) -> _Folder:
        coders, inputs, outputs = [], 0, 0
        for _ in range(min(reader.count(), 32)):
            flags = reader.byte()
            method = reader.take(flags & 15)
            into, out = (reader.number(), reader.number()) if flags & 0x10 else (1, 1)
            coders.append((method, reader.take(reader.number()) if flags & 0x20 else b""))
            inputs, outputs = inputs + into, outputs + out
        for _ in range(max(0, outputs - 1)):
            reader.number(), reader.number()
        if inputs - max(0, outputs - 1) > 1:
            for _ in range(min(64, inputs - outputs + 1)):
                reader.number()
        return _Folder(coders=coders, sizes=[0], simple=inputs == outputs == len(coders))

    def _substreams(self, reader: _Reader) -> list[int]:
        counts = [1] * len(self._folders)
        self._streams = []
        kind = reader.byte()
        if kind == 0x0D:
            counts = [reader.count() for _ in self._folders]
            kind = reader.byte()
        for number, (folder, count) in enumerate(zip(self._folders, counts, strict=True)):
            start = 0
            for position in range(count):
                last = position == count - 1
                size = folder.sizes[-1] - start if last or kind != 0x09 else reader.number()
                self._streams.append((number, start, max(0, size)))
                start += size
        if kind == 0x09:
            kind = reader.byte()
        while kind != 0:
            missing = sum(counts)
            reader.take(4 * sum(reader.defined(missing))) if kind == 0x0A else reader.take(reader.number())
            kind = reader.byte()
        return counts or [0]

    def _files(self, reader: _Reader) -> None:
        count = min(reader.count(), self._budget.limits.members)
        names: list[str] = []
        empty = [False] * count
        while (kind := reader.byte()) != 0:
            body = _Reader(reader.take(reader.number()))
            if kind == 0x11 and not body.byte():
                text = body.data[1:].decode("utf-16-le", "replace")
                names = text.split("\0")[:count]
            elif kind == 0x0E:
                empty = body.bits(count)
        streams = iter(range(len(self._streams)))
        for number in range(count):
            name = names[number] if number < len(names) else f"member {number}"
            handle = -1 if empty[number] else next(streams, -1)
            size = self._streams[handle][2] if handle >= 0 else 0
            encrypted = handle >= 0 and any(
                method == b"\x06\xf1\x07\x01" for method, _ in self._folders[self._streams[handle][0]].coders
            )
            kind_of = Kind.FOLDER if handle < 0 and name.endswith("/") else Kind.FILE
            self._entries.append(Entry(name=name, size=size, kind=kind_of, handle=handle, encrypted=encrypted))

    def _unpack(self, folder: _Folder, name: str) -> Blob:
        if any(method.startswith(_AES) for method, _ in folder.coders):
            self._note(Oddity.ENCRYPTED, name, "packed with AES", folder.start)
            raise MalformedInput("encrypted with a password", offset=folder.start)
        stage = decoder_for(folder) if folder.simple else None
        if stage is None:
            methods = ", ".join(method.hex() for method, _ in folder.coders)
            self._note(Oddity.METHOD, name, f"7z coders {methods}", folder.start)
            raise MalformedInput(f"7z coders {methods} have no reader here", offset=folder.start)
        spool = Spool(self._pieces(stage, folder), self._budget)
        if spool.error is not None and damaged(spool.error):
            self._note(Oddity.CUT, name, f"decompression fails after {spool.size} bytes", folder.start)
        elif spool.error is not None:
            raise spool.error
        return spool

    def _pieces(self, decoder: Any, folder: _Folder) -> Iterator[tuple[bytes, int]]:
        left, consumed = folder.sizes[-1], 0
        for piece in chunks(self._blob, folder.start, folder.start + folder.packed):
            consumed += len(piece)
            pending = piece
            while left > 0:
                produced = decoder.decompress(pending, min(_PIECE, left))[:left]
                pending = b""
                left -= len(produced)
                yield produced, consumed
                if (
                    decoder.eof
                    or (decoder.needs_input and not produced)
                    or (decoder.needs_input and len(produced) < _PIECE)
                ):
                    break

    def _note(self, oddity: Oddity, name: str, detail: str, offset: int) -> None:
        self._anomalies.append(Anomaly(oddity=oddity, name=name, detail=detail, offset=offset))


class _Copy:
    """The coder that changes nothing."""

    eof = False
    needs_input = True

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        del max_length
        return data


class _Deflate:
    """Raw deflate with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-15)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def decoder_for(folder: _Folder) -> Any:
    """A decoder for the folder's chain of coders, or None where one of them has no reader."""
    methods = [method for method, _ in folder.coders]
    if methods == [b"\x00"]:
        return _Copy()
    if methods == [b"\x04\x02\x02"]:
        return bz2.BZ2Decompressor()
    if methods == [b"\x04\x01\x08"]:
        return _Deflate()
    filters: list[dict[str, int]] = []
    for method, properties in folder.coders:
        found = _filter(method, properties)
        if found is None:
            return None
        filters.append(found)
    packers = {lzma.FILTER_LZMA1, lzma.FILTER_LZMA2}
    filters.sort(key=lambda found: found["id"] in packers)
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    except lzma.LZMAError:
        return None


def _filter(method: bytes, properties: bytes) -> dict[str, int] | None:
    if method == b"\x21" and properties:
        bits = min(properties[0], 36)
        return {"id": lzma.FILTER_LZMA2, "dict_size": (2 | bits & 1) << (bits // 2 + 11)}
    if method == b"\x03\x01\x01" and len(properties) >= 5:
        packed = properties[0]
        size = int.from_bytes(properties[1:5], "little")
        return {
            "id": lzma.FILTER_LZMA1,
            "dict_size": max(4096, size),
            "lc": packed % 9,
            "lp": packed // 9 % 5,
            "pb": packed // 45,
        }
    if method in {b"\x03\x03\x01\x03", b"\x04"}:
        return {"id": lzma.FILTER_X86}
    if method == b"\x03":
        return {"id": lzma.FILTER_DELTA, "dist": (properties[0] if properties else 0) + 1}
    return None
