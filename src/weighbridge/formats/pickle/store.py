"""Knows what the stream has built so far: the stack, its marks, the memo and a ring of recent nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.arrays import doubled, zeros64
from weighbridge.formats.pickle.memo import Memo
from weighbridge.formats.pickle.opcodes import FROZEN, TUP
from weighbridge.formats.pickle.window import ENDLESS, Break, Exhausted, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

RING: Final = 1 << 18
LEAST_RING: Final = 1 << 12
KEPT: Final = 64
_LAST_NODE: Final = 0x7FFF0000
_LAST_SPARSE: Final = 4_000_000
_SUSPICIOUS_INDEX: Final = 1 << 24


class Store(Window):
    """Stack and memo of handles.

    The ring keeps the latest words (262,144 for a large stream) of container contents and call arguments. What it has
    overwritten is *forgotten*, and whoever asks is told so; it is never taken for empty.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, max_memo: int, max_stack: int) -> None:
        super().__init__(read, size)
        self.max_memo: i64 = max_memo
        self.max_stack: i64 = max_stack
        self.stack = zeros64(1024)
        self.room: i64 = 1024
        self.sp: i64 = 0
        self.fence: i64 = 0
        self.marks = zeros64(256)
        self.mark_room: i64 = 256
        self.mark_count: i64 = 0
        self.depth: i64 = 0
        self.memo = Memo()
        room: i64 = LEAST_RING
        while room < RING and room < 2 * self.size:
            room *= 2
        self.mask: i64 = room - 1
        self.ring = zeros64(room)
        self.head: i64 = 0
        self.levels: dict[int, int] = {}
        self.doublings: i64 = 0

    def push(self, payload: i64, kind: i64) -> None:
        """Push a handle."""
        self.stack[self.sp] = (payload << 5) | kind
        self.sp += 1

    def grow(self) -> None:
        """Double the stack, up to its bound."""
        if self.room >= self.max_stack:
            raise Exhausted("stack")
        self.stack = doubled(self.stack, self.room)
        self.room *= 2

    def pop(self) -> i64:
        """Pop a handle; the mark is a floor."""
        if self.sp <= self.fence:
            raise Break("the stack underflows")
        self.sp -= 1
        return self.stack[self.sp]

    def mark(self) -> None:
        """Push a mark."""
        if self.mark_count >= self.mark_room:
            if self.mark_room >= self.max_stack:
                raise Exhausted("stack")
            self.marks = doubled(self.marks, self.mark_room)
            self.mark_room *= 2
        self.marks[self.mark_count] = self.sp
        self.mark_count += 1
        self.fence = self.sp
        self.depth = max(self.depth, self.mark_count)

    def pop_mark(self) -> i64:
        """Drop the last mark and return the stack height where it was."""
        if self.mark_count < 1:
            raise Break("a MARK is missing")
        self.mark_count -= 1
        at = self.marks[self.mark_count]
        self.fence = self.marks[self.mark_count - 1] if self.mark_count else 0
        return at

    def put(self, index: i64) -> None:
        """PUT, BINPUT, LONG_BINPUT and MEMOIZE."""
        if self.sp <= self.fence:
            raise Break("the stack underflows")
        if self.memo.count >= self.max_memo:
            raise Exhausted("memo")
        if index >= ENDLESS or (index > 0x7FFFFFFF and len(self.memo.sparse) > _LAST_SPARSE):
            raise Exhausted("memo")
        if index > _SUSPICIOUS_INDEX and index > 64 * self.memo.count:
            # The C unpickler allocates a memo of twice this many pointers.
            self.quirk("huge memo index", self.base + self.pos)
        self.memo.put(index, self.stack[self.sp - 1])

    def get(self, index: i64) -> None:
        """GET, BINGET and LONG_BINGET."""
        handle = self.memo.get(index)
        if handle == 0:
            raise Break(f"memo entry {index} was never set")
        self.stack[self.sp] = handle
        self.sp += 1

    def node(self, first: i64, second: i64) -> i64:
        """Write a node of two words and return its place."""
        at = self.head
        if at > _LAST_NODE:
            raise Exhausted("nodes")
        self.ring[at & self.mask] = first
        self.ring[(at + 1) & self.mask] = second
        self.head = at + 2
        return at

    def fresh(self, at: i64) -> bool:
        """Whether the node at `at` has not been overwritten yet."""
        return at >= 0 and self.head - at <= self.mask

    def collect(self, bottom: i64, count: i64) -> i64:
        """Write a node [total, kept] with the first stack entries from `bottom` on."""
        kept: i64 = min(KEPT, count)
        at = self.node(count, kept)
        done: i64 = 0
        while done < kept:
            self.ring[self.head & self.mask] = self.stack[bottom + done]
            self.head += 1
            done += 1
        return at

    def note_repeats(self, owner: i64, bottom: i64, count: i64) -> None:
        """Count how often containers hold the same container twice, level upon level (billion laughs)."""
        first: i64 = 0
        done: i64 = 0
        kept: i64 = min(KEPT, count)
        while done < kept:
            item = self.stack[bottom + done]
            kind = item & 31
            if TUP <= kind and kind <= FROZEN:
                if first == 0:
                    first = item
                elif item == first:
                    level: i64 = 1
                    if self.levels:
                        level += self.levels.get(item >> 5, 0)
                    if len(self.levels) < _LAST_SPARSE:
                        self.levels[owner] = level
                    self.doublings = max(self.doublings, level)
                    return
            done += 1

    def words(self, place: i64, count: i64) -> list[int]:
        """`count` words of the ring from `place` on."""
        return [self.ring[(place + i) & self.mask] for i in range(count)]

    def items(self, handle: i64) -> tuple[list[int], int]:
        """The kept items of a tuple, list, dict, set or frozenset, and how many there are in all.

        -1 in place of the total says that the node is no longer known.
        """
        kind = handle & 31
        at = handle >> 5
        if not self.fresh(at):
            return [], -1
        if kind in (TUP, FROZEN):
            total, kept = self.words(at, 2)
            return self.words(at + 2, kept), total
        link, total = self.words(at, 2)
        chunks: list[list[int]] = []
        room = KEPT
        while link >= 0 and self.fresh(link) and room > 0:
            kept = self.words(link + 1, 1)[0]
            chunks.append(self.words(link + 2, kept))
            link = self.words(link + 2 + kept, 1)[0]
            room -= kept
        if link >= 0 and total >= 0 and room > 0:
            total = -1
        return [item for chunk in reversed(chunks) for item in chunk], total

    def result_of(self, handle: i64) -> tuple[int, int]:
        """(callable, arguments) of a CALL handle, (identifier, 0) of a PERSISTENT one; (0, 0) if forgotten."""
        at = handle >> 5
        if not self.fresh(at):
            return 0, 0
        first, second = self.words(at, 2)
        return first, second
