"""Knows the tar formats (v7, ustar, GNU, pax) as a stream of 512-byte blocks, read without extracting.

Source: POSIX.1-2017 `pax`, GNU tar manual "Basic Tar Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.schema import MalformedInput
from weighbridge.source.blob import Blob, Budget, Slice
from weighbridge.source.names import name_anomalies
from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
_LONG = 1 << 20
_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"1": Kind.HARDLINK, b"2": Kind.LINK, b"5": Kind.FOLDER}
_SPECIAL = {b"3", b"4", b"6"}
_SETUID = 0o6000


def is_header(block: bytes) -> bool:
    """Whether a block is a tar header: its checksum matches, and it names something."""
    if len(block) < BLOCK or not block[0]:
        return False
    try:
        stated = int(block[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    unsigned = sum(block[:148]) + 8 * 32 + sum(block[156:BLOCK])
    return stated == unsigned


class TarTree(Unchecked):
    """A tar archive over a blob."""

    format = "tar"

    def __init__(self, blob: Blob, budget: Budget) -> None:
        self._blob, self._budget = blob, budget
        self._anomalies: list[Anomaly] = []
        self._places: list[tuple[int, int]] = []
        self._entries = list(self._read())
        self._anomalies += name_anomalies(self._entries)

    def entries(self) -> Iterator[Entry]:
        """See `Tree.entries`."""
        yield from self._entries

    def anomalies(self) -> list[Anomaly]:
        """See `Tree.anomalies`."""
        return self._anomalies

    def open(self, entry: Entry) -> Blob:
        """See `Tree.open`."""
        return Slice(self._blob, *self._places[entry.handle])

    def stored_at(self, entry: Entry) -> int:
        """Where the bytes of a member begin in the archive."""
        return self._places[entry.handle][0]

    def _read(self) -> Iterator[Entry]:
        position, extra = 0, dict[str, str]()
        while True:
            block = self._blob.read(position, BLOCK)
            if len(block) < BLOCK or not any(block):
                self._finish(position, complete=len(block) == BLOCK or not block)
                return
            if not is_header(block):
                self._note(Oddity.CUT, "", "a header block is damaged", position)
                if not self._places:
                    raise MalformedInput("no tar header at the start", offset=position)
                return
            size = _number(block[124:136])
            kind = block[156:157]
            data = position + BLOCK
            if size < 0 or size > self._blob.size - data:
                self._note(
                    Oddity.CUT, _text(block[:100]), f"claims {size} bytes, {self._blob.size - data} are left", position
                )
                size = max(0, self._blob.size - data)
            position = data + -(-size // BLOCK) * BLOCK
            if kind in b"LKxXg":
                extra |= self._extension(kind, data, size)
                continue
            if "size" in extra and extra["size"].isdigit():
                size = min(int(extra["size"]), self._blob.size - data)
                position = data + -(-size // BLOCK) * BLOCK
            if len(self._places) >= self._budget.limits.members:
                self._note(Oddity.TOO_MANY, "", f"more than {self._budget.limits.members} members", data)
                return
            yield self._entry(block, kind, data, size, extra)
            extra = {}

    def _entry(self, block: bytes, kind: bytes, data: int, size: int, extra: dict[str, str]) -> Entry:
        prefix = _text(block[345:500]) if block[257:262] == b"ustar" and block[263:265] == b"00" else ""
        name = extra.get("path") or (f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100]))
        target = extra.get("linkpath") or _text(block[157:257])
        what = Kind.SPECIAL if kind in _SPECIAL else _KINDS.get(kind, Kind.FILE)
        if what is Kind.FILE and name.endswith("/"):
            what = Kind.FOLDER
        mode = max(0, _number(block[100:108]))
        if mode & _SETUID or what is Kind.SPECIAL:
            self._note(Oddity.MODE, name, f"mode {mode:o}, {what.value}", data - BLOCK)
        self._places.append((data, size))
        number = len(self._places) - 1
        linked = target if what in {Kind.LINK, Kind.HARDLINK} else ""
        return Entry(name=name, size=size, kind=what, at=data - BLOCK, target=linked, handle=number)

    def _extension(self, kind: bytes, data: int, size: int) -> dict[str, str]:
        body = self._blob.read(data, min(size, _LONG))
        if kind == b"L":
            return {"path": _text(body)}
        if kind == b"K":
            return {"linkpath": _text(body)}
        found = {}
        while body:
            length, _, rest = body.partition(b" ")
            if not length.isdigit() or not len(length) < int(length) <= len(body):
                break
            key, _, value = body[len(length) + 1 : int(length) - 1].partition(b"=")
            found[_text(key)] = value.decode("utf-8", "replace")
            body = body[int(length) :]
            del rest
        return (
            {key: value for key, value in found.items() if key in {"path", "linkpath", "size"}} if kind == b"x" else {}
        )

    def _finish(self, position: int, *, complete: bool) -> None:
        if not complete:
            self._note(Oddity.CUT, "", "the last block is cut off", position)
            return
        at = position
        while at < self._blob.size:
            piece = self._blob.read(at, 1 << 20)
            if not piece:
                return
            rest = piece.lstrip(b"\0")
            if rest:
                where = at + len(piece) - len(rest)
                self._note(Oddity.TRAILING, "", f"{self._blob.size - where} bytes after the archive", where)
                return
            at += len(piece)

    def _note(self, oddity: Oddity, name: str, detail: str, offset: int) -> None:
        if len(self._anomalies) < 1000:
            self._anomalies.append(Anomaly(oddity=oddity, name=name, detail=detail, offset=offset))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _number(field: bytes) -> int:
    """An octal field, or GNU's base-256 form; -1 where it is neither."""
    if field[:1] in {b"\x80", b"\xff"}:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return -1
