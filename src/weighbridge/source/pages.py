"""Knows how windows of a far file are cached: by pages, in fetches that grow while reading goes on in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE: Final = 16 << 10
_MOST: Final = 1 << 20
_KEPT: Final = 4096


class Pages:
    """The pages of one file of `size` bytes. `fetch(start, stop)` gives exactly those bytes, or raises SourceError."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch = size, fetch
        self._pages: dict[int, bytes] = {}
        self._end, self._step = -1, PAGE

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; shorter at the end, empty beyond it."""
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        if len(self._pages) > _KEPT:
            self._pages.clear()
        first, last = offset // PAGE, (offset + length - 1) // PAGE
        missing = [page for page in range(first, last + 1) if page not in self._pages]
        if missing:
            self._get(missing[0], missing[-1])
        data = b"".join(self._pages[page] for page in range(first, last + 1))
        return data[offset - first * PAGE :][:length]

    def _get(self, first: int, last: int) -> None:
        # Reading on from where the last fetch ended means more will be wanted; a jump means nothing.
        self._step = min(_MOST, self._step * 2) if first == self._end else PAGE
        start = first * PAGE
        stop = min(self._size, max((last + 1) * PAGE, start + self._step))
        self.keep(start, self._fetch(start, stop))
        self._end = (stop + PAGE - 1) // PAGE

    def keep(self, start: int, data: bytes) -> None:
        """Take bytes that were fetched otherwise; `start` is the beginning of a page. Cut pages are left out."""
        for at in range(0, len(data), PAGE):
            piece = data[at : at + PAGE]
            if len(piece) == PAGE or start + at + len(piece) == self._size:
                self._pages[(start + at) // PAGE] = piece
