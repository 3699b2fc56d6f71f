"""Knows the zip format as its several readers see it: central directory, local headers, and the difference.

Source: PKWARE APPNOTE 6.3.10. Every entry of the central directory is a member, duplicates included, and
so is a local entry that no directory mentions: whichever of them a loader picks has been looked at.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.schema import MalformedInput
from weighbridge.source.blob import Blob, Budget, Slice, Spool, chunks
from weighbridge.source.decompress import Trailing, damaged, decompressed
from weighbridge.source.names import name_anomalies
from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END64 = struct.Struct("<4sQ2H2L4Q")
_METHODS = {0: "", 8: "deflate", 12: "bz2", 14: "zip-lzma", 93: "zstd", 95: "xz"}
_ENCRYPTED, _DESCRIPTOR, _PATCH, _STRONG, _UTF8 = 0x1, 0x8, 0x20, 0x40, 0x800
_CHECKED = 64 << 20
_CENTRAL_STEP = 1 << 20
_DESCRIPTOR_ROOM = 24


class _Record(Struct, frozen=True):
    """One entry as both headers tell it. `data` is where its bytes begin, `end` where they end."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    data: int
    external: int

    @property
    def end(self) -> int:
        return self.data + self.packed


class ZipTree:
    """A zip archive over a blob."""

    format = "zip"

    def __init__(self, blob: Blob, budget: Budget) -> None:
        self._blob, self._budget = blob, budget
        self._anomalies: list[Anomaly] = []
        self._records: list[_Record] = []
        self._shift = 0
        self._zip64_gap = 0
        self._other_ends: list[int] = []
        self._read_directory()

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        for number, record in enumerate(self._records):
            yield self._entry(number, record)

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        record = self._records[entry.handle]
        codec = _METHODS.get(record.method)
        if codec is None:
            self._note(Oddity.METHOD, record, f"method {record.method}")
            raise MalformedInput(
                f"{record.name}: compression method {record.method} has no reader here", offset=record.header
            )
        if not codec:
            blob: Blob = Slice(self._blob, record.data, record.packed)
        else:
            spool = Spool(self._pieces(codec, record), self._budget)
            self._settle(spool, record)
            blob = spool
        return blob

    def stored_at(self, entry: Entry) -> int | None:
        """Where the bytes of a member begin that was stored without compression; None for others."""
        record = self._records[entry.handle]
        return None if _METHODS.get(record.method) is None or _METHODS[record.method] else record.data

    def verify(self, entry: Entry, blob: Blob) -> None:
        """See `Tree.verify`."""
        record = self._records[entry.handle]
        if blob.size <= _CHECKED and not record.flags & _ENCRYPTED:
            self._check_crc(blob, record)

    def flag_is_false(self, entry: Entry) -> None:
        """Note that a member marked as encrypted could be read without a key."""
        self._note(Oddity.FALSE_FLAG, self._records[entry.handle], "marked as encrypted, and the bytes are plain")

    # Reading the structure

    def _read_directory(self) -> None:
        end_at = self._find_end()
        if end_at < 0:
            self._note_at(Oddity.CUT, "", "no end of central directory", 0)
            self._walk_locals(0, self._blob.size)
            if not self._records:
                raise MalformedInput("the zip archive has no directory and no entries")
            return
        count, size, offset, comment = self._read_end(end_at)
        directory_end = end_at - self._zip64_gap
        actual = directory_end - size
        self._shift = actual - offset if 0 <= actual - offset <= self._blob.size else 0
        if self._shift:
            self._note_at(Oddity.PREFIX, "", f"{self._shift} bytes before the archive", 0)
        tail = self._blob.size - (end_at + _END.size + comment)
        if tail > 0:
            self._note_at(Oddity.TRAILING, "", f"{tail} bytes after the archive", self._blob.size - tail)
        self._read_central(offset + self._shift, directory_end, count)
        self._anomalies += name_anomalies(self.entries())
        self._compare_layout(offset + self._shift)
        self._compare_ends()

    def _find_end(self) -> int:
        tail_size = min(self._blob.size, 65557 + 4096)
        start = self._blob.size - tail_size
        tail = self._blob.read(start, tail_size)
        found: list[tuple[int, bool]] = []
        at = tail.rfind(b"PK\x05\x06")
        while at >= 0 and len(found) < 64:
            if at + _END.size <= len(tail):
                comment = _END.unpack_from(tail, at)[-1]
                found.append((at, at + _END.size + comment <= len(tail)))
            at = tail.rfind(b"PK\x05\x06", 0, at)
        fitting = [start + at for at, fits in found if fits]
        self._other_ends = fitting[1:]
        return fitting[0] if fitting else -1

    def _read_end(self, at: int) -> tuple[int, int, int, int]:
        _, _, _, _, count, size, offset, comment = _END.unpack(self._blob.read(at, _END.size))
        locator = self._blob.read(at - 20, 20) if at >= 20 else b""
        if locator[:4] == b"PK\x06\x07":
            where = struct.unpack_from("<Q", locator, 8)[0]
            for candidate in (where, at - 20 - _END64.size):
                record = self._blob.read(candidate, _END64.size)
                if len(record) == _END64.size and record[:4] == b"PK\x06\x06":
                    *_, count, size, offset = _END64.unpack(record)
                    self._zip64_gap = at - candidate
                    break
        return count, size, offset, comment

    def _read_central(self, at: int, end: int, count: int) -> None:
        limits = self._budget.limits
        if end - at > limits.header or end < at:
            raise MalformedInput("the central directory has an impossible size", offset=at)
        data = self._blob.read(at, end - at)
        position = 0
        while position + _CENTRAL.size <= len(data) and data[position : position + 4] == b"PK\x01\x02":
            if len(self._records) >= limits.members:
                self._note_at(Oddity.TOO_MANY, "", f"more than {limits.members} members", at + position)
                break
            position = self._central_entry(data, position)
        if len(self._records) != count and count != 0xFFFF:
            self._note_at(
                Oddity.HEADERS_DIFFER, "", f"directory says {count} members and lists {len(self._records)}", at
            )

    def _central_entry(self, data: bytes, position: int) -> int:
        fields = _CENTRAL.unpack_from(data, position)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, external, header = (
            fields[10],
            fields[11],
            fields[12],
            fields[15],
            fields[16],
        )
        start = position + _CENTRAL.size
        raw = data[start : start + name_length]
        extra = data[start + name_length : start + name_length + extra_length]
        size, packed, header = _zip64(extra, size, packed, header)
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        self._add(name, raw, flags, method, crc, packed, size, header + self._shift, external)
        return int(start + name_length + extra_length + comment_length)

    def _add(
        self,
        name: str,
        raw: bytes,
        flags: int,
        method: int,
        crc: int,
        packed: int,
        size: int,
        header: int,
        external: int,
    ) -> None:  # the fields of one record
        local = self._blob.read(header, _LOCAL.size)
        if len(local) < _LOCAL.size or local[:4] != b"PK\x03\x04":
            record = _Record(name, flags, method, crc, packed, size, header, header, external)
            self._note(Oddity.HEADERS_DIFFER, record, "no local header where the directory points")
            return
        (_, _, l_flags, l_method, _, _, l_crc, l_packed, l_size, l_name, l_extra) = _LOCAL.unpack(local)
        data = header + _LOCAL.size + l_name + l_extra
        record = _Record(name, flags | l_flags, method, crc, packed, size, header, data, external)
        self._records.append(record)
        self._compare(
            record,
            raw,
            self._blob.read(header + _LOCAL.size, l_name),
            l_method,
            (l_crc, l_packed, l_size),
            flags,
            l_flags,
        )

    def _compare(
        self,
        record: _Record,
        raw: bytes,
        local_raw: bytes,
        method: int,
        sizes: tuple[int, int, int],
        flags: int,
        local_flags: int,
    ) -> None:  # both headers, field by field
        if raw != local_raw:
            self._note(Oddity.HEADERS_DIFFER, record, f"local name is {local_raw.decode('utf-8', 'replace')!r}")
        if method != record.method:
            self._note(Oddity.HEADERS_DIFFER, record, f"local method {method}, central {record.method}")
        if (flags ^ local_flags) & (_ENCRYPTED | _STRONG | _PATCH):
            self._note(Oddity.FALSE_FLAG, record, f"local flags 0x{local_flags:x}, central 0x{flags:x}")
        elif (flags & (_PATCH | _STRONG)) and not flags & _ENCRYPTED:
            self._note(Oddity.FALSE_FLAG, record, f"flags 0x{flags:x}")
        expected = (record.crc, record.packed, record.size)
        for what, local, central in zip(("checksum", "packed size", "size"), sizes, expected, strict=True):
            if local not in {central, 0xFFFFFFFF} and not (local_flags & _DESCRIPTOR and local == 0):
                self._note(Oddity.HEADERS_DIFFER, record, f"local {what} {local}, central {central}")

    def _compare_layout(self, directory: int) -> None:
        position = self._shift
        for record in sorted(self._records, key=lambda r: (r.header, r.data)):
            if record.header < position:
                self._note(Oddity.OVERLAP, record, f"begins at {record.header}, inside what precedes it")
            elif record.header - position > _DESCRIPTOR_ROOM:
                self._gap(position, record.header)
            position = max(position, record.end)
        if directory - position > _DESCRIPTOR_ROOM:
            self._gap(position, directory)
        elif position > directory:
            self._note_at(Oddity.OVERLAP, "", "members run into the directory", directory)

    def _compare_ends(self) -> None:
        """Note ends of directory other than the one that was used, unless they belong to a zip stored as a member."""
        for at in self._other_ends:
            if not any(record.data <= at < record.end for record in self._records):
                self._note_at(Oddity.SECOND_DIRECTORY, "", f"another end of directory at {at}", at)

    def _gap(self, start: int, end: int) -> None:
        before = len(self._records)
        self._walk_locals(start, end)
        found = len(self._records) - before
        detail = f"{end - start} bytes" + (f", with {found} entries that no directory lists" if found else "")
        self._note_at(Oddity.HIDDEN, "", detail, start)

    def _walk_locals(self, start: int, end: int) -> None:
        """Add local entries that lie in [start, end), as a streaming reader would find them."""
        while start + _LOCAL.size <= end and len(self._records) < self._budget.limits.members:
            window = self._blob.read(start, min(_CENTRAL_STEP, end - start))
            found = window.find(b"PK\x03\x04")
            if found < 0:
                start += max(1, len(window) - 3)
                continue
            start += found
            local = self._blob.read(start, _LOCAL.size)
            if len(local) < _LOCAL.size:
                return
            (_, _, flags, method, _, _, crc, packed, size, name_length, extra_length) = _LOCAL.unpack(local)
            raw = self._blob.read(start + _LOCAL.size, name_length)
            data = start + _LOCAL.size + name_length + extra_length
            packed = min(packed, end - data) if packed or not flags & _DESCRIPTOR else end - data
            if data > end:
                return
            self._records.append(
                _Record(raw.decode("utf-8", "replace"), flags, method, crc, packed, size, start, data, 0)
            )
            start = data + packed

    # One member

    def _entry(self, number: int, record: _Record) -> Entry:
        mode = record.external >> 16
        link = mode & 0o170000 == 0o120000
        kind = Kind.FOLDER if record.name.endswith("/") and not record.size else Kind.LINK if link else Kind.FILE
        target = self._blob.read(record.data, min(record.packed, 4096)).decode("utf-8", "replace") if link else ""
        return Entry(
            name=record.name,
            size=record.size,
            kind=kind,
            at=record.header,
            encrypted=bool(record.flags & _ENCRYPTED),
            target=target,
            handle=number,
        )

    def _pieces(self, codec: str, record: _Record) -> Iterator[tuple[bytes, int]]:
        if codec != "zip-lzma":
            yield from decompressed(codec, self._blob, record.data, record.end)
            return
        head = self._blob.read(record.data, 9)
        if len(head) < 9:
            raise EOFError("the LZMA properties are cut off")
        properties, dictionary = head[4], int.from_bytes(head[5:9], "little")
        filters = [
            {
                "id": lzma.FILTER_LZMA1,
                "dict_size": max(4096, min(dictionary, 64 << 20)),
                "lc": properties % 9,
                "lp": properties // 9 % 5,
                "pb": properties // 45,
            }
        ]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        consumed = 9
        for piece in chunks(self._blob, record.data + 9, record.end):
            consumed += len(piece)
            yield decoder.decompress(piece, 1 << 24), consumed
            while not decoder.eof and not decoder.needs_input:
                yield decoder.decompress(b"", 1 << 24), consumed

    def _settle(self, spool: Spool, record: _Record) -> None:
        """Decide what a decoder's error means. What came out before it stays readable."""
        if isinstance(spool.error, Trailing):
            self._note(Oddity.HEADERS_DIFFER, record, str(spool.error))
        elif spool.error is not None and damaged(spool.error):
            self._note(Oddity.CUT, record, f"decompression fails after {spool.size} bytes: {spool.error}")
        elif spool.error is not None:
            raise spool.error

    def _check_crc(self, blob: Blob, record: _Record) -> None:
        crc = 0
        for piece in chunks(blob):
            crc = zlib.crc32(piece, crc)
        if crc != record.crc:
            self._note(Oddity.CHECKSUM, record, f"stated {record.crc:08x}, computed {crc:08x}")

    def _note(self, oddity: Oddity, record: _Record, detail: str) -> None:
        self._note_at(oddity, record.name, detail, record.header)

    def _note_at(self, oddity: Oddity, name: str, detail: str, offset: int) -> None:
        anomaly = Anomaly(oddity=oddity, name=name, detail=detail, offset=offset)
        if len(self._anomalies) < 1000 and anomaly not in self._anomalies[-8:]:
            self._anomalies.append(anomaly)


def _zip64(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Replace saturated fields by those of the zip64 extra record."""
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if tag != 1:
            continue
        numbers = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
        size = next(numbers, size) if size == 0xFFFFFFFF else size
        packed = next(numbers, packed) if packed == 0xFFFFFFFF else packed
        header = next(numbers, header) if header == 0xFFFFFFFF else header
        break
    return size, packed, header
