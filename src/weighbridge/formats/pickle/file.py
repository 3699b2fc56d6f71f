"""Knows how pickles follow one another in a file: stacked dumps, legacy torch checkpoints, and what is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.pickle.nested import looks_like_pickle
from weighbridge.formats.pickle.trace import Brief, Trace, trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.schema import Limits

TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
_MAGIC_BYTES: Final = TORCH_MAGIC.to_bytes(10, "little")
_LEGACY_STREAMS: Final = 5
_KEPT: Final = 64
_RESYNC: Final = 1 << 20


class PickleFile(Struct, frozen=True, kw_only=True):
    """The pickles of one file in order, and what is between and behind them.

    `legacy_torch` says that the first streams are torch's magic number, protocol and system facts.
    `dropped` counts inert streams that were not kept. `tail` is where bytes begin that are no pickle.
    """

    streams: tuple[Trace, ...]
    count: int
    tail: int
    legacy_torch: bool = False
    after_junk: bool = False
    limit: str = ""

    @property
    def active(self) -> bool:
        """Whether any stream does more than build plain containers."""
        return any(stream.active or stream.embedded for stream in self.streams)


def read_pickles(read: Callable[[int, int], bytes], size: int, limits: Limits, brief: Brief) -> PickleFile:
    """Trace every pickle from the start of a blob of `size` bytes."""
    kept: list[Trace] = []
    position = count = 0
    legacy = _MAGIC_BYTES in read(0, 32)
    limit = ""
    junk = False
    while position < size:
        if count >= limits.streams:
            limit = "streams"
            break
        head = read(position, 256)
        if count and not plausible(head, legacy=legacy and count < _LEGACY_STREAMS):
            found = _resync(read, position, size) if not legacy else -1
            if found < 0:
                break
            position, junk = found, True
        found_trace = trace(read, size, position, limits, brief)
        count += 1
        if found_trace.active or found_trace.embedded or not found_trace.finished or len(kept) < _KEPT:
            kept.append(found_trace)
        position = found_trace.end
        if not found_trace.finished:
            break
    return PickleFile(
        streams=tuple(kept), count=count, tail=position, legacy_torch=legacy, after_junk=junk, limit=limit
    )


def plausible(head: bytes, *, legacy: bool) -> bool:
    """Whether another pickle may begin here, behind one that ended."""
    return (
        looks_like_pickle(head)
        or (legacy and head[:1] == b"\x80")
        or head[:2] == b"\x80\x00"
        or head[:2] == b"\x80\x01"
    )


def _resync(read: Callable[[int, int], bytes], position: int, size: int) -> int:
    """The next pickle header behind junk, within a bounded window; -1 where there is none."""
    window = read(position, min(_RESYNC, size - position))
    at = 0
    while (at := window.find(b"\x80", at)) >= 0:
        if looks_like_pickle(window[at : at + 2]) and (
            window[at + 2 : at + 3] in {b"\x95", b"c", b"}", b"]", b"("} or window[at + 1] < 4
        ):
            return position + at
        at += 1
    return -1
