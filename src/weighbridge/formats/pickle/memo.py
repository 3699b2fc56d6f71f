"""Knows the unpickler's memo: five bytes an entry, so that millions of entries stay small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.arrays import narrow8, narrow32, wide8, wide32, zeros8, zeros32
from weighbridge.formats.pickle.opcodes import FAR

if TYPE_CHECKING:
    from mypy_extensions import i64

PAGE: Final = 1024
_PAYLOAD_END: Final = 0x7FFFFFFF


class Page:
    """1024 memo slots: the kind of each value (0 where the slot is free) and its payload."""

    def __init__(self) -> None:
        self.kinds = zeros8(PAGE)
        self.payloads = zeros32(PAGE)


class Memo:
    """Index → handle. Dense indices live in pages, far ones in a dict.

    `count` is the number of distinct indices ever set, which is what MEMOIZE uses as its next index
    in CPython (`_Unpickler_MemoPut`).
    """

    def __init__(self) -> None:
        self.pages: list[Page] = [Page()]
        self.recent = self.pages[0]
        self.recent_number: i64 = 0
        self.sparse: dict[int, int] = {}
        self.count: i64 = 0
        self.overwritten: i64 = 0

    def put(self, index: i64, handle: i64) -> None:
        """Set `index`; a page is added when `index` is next to the dense part."""
        page_number: i64 = index >> 10
        payload: i64 = handle >> 5
        if page_number != self.recent_number:
            pages: i64 = len(self.pages)
            if page_number > pages:
                self.put_far(index, handle)
                return
            if page_number == pages:
                self.pages.append(Page())
            self.recent = self.pages[page_number]
            self.recent_number = page_number
        page = self.recent
        slot: i64 = index & 1023
        old = wide8(page.kinds[slot])
        if old == 0:
            if self.sparse and index in self.sparse:
                self.overwritten += 1
            else:
                self.count += 1
        else:
            self.overwritten += 1
        if payload > _PAYLOAD_END:
            page.kinds[slot] = narrow8(FAR)
            self.sparse[index] = handle
            return
        page.kinds[slot] = narrow8(handle & 31)
        page.payloads[slot] = narrow32(payload)

    def put_far(self, index: i64, handle: i64) -> None:
        """Set an index that lies beyond the dense part."""
        if index in self.sparse:
            self.overwritten += 1
        else:
            self.count += 1
        self.sparse[index] = handle

    def get(self, index: i64) -> i64:
        """The handle at `index`, or 0 where nothing was put."""
        page_number: i64 = index >> 10
        pages: i64 = len(self.pages)
        if index >= 0 and page_number < pages:
            page = self.pages[page_number]
            slot: i64 = index & 1023
            kind = wide8(page.kinds[slot])
            if kind != 0 and kind != FAR:
                payload = wide32(page.payloads[slot])
                return (payload << 5) | kind
        if self.sparse:
            return self.sparse.get(index, 0)
        return 0
