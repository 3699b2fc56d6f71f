"""Knows Merkle trees over a list that only grows: its root, and short proofs of what is in it and what it grew from.

Source: RFC 6962 section 2.1 (hashes), RFC 9162 sections 2.1.3 and 2.1.4 (proofs and their verification). A hash is 32 bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY: Final = hashlib.sha256(b"").digest()


def leaf(data: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def grown(frontier: Sequence[bytes], size: int, new: bytes) -> tuple[bytes, ...]:
    """The frontier after one more leaf. A frontier holds the roots of the full subtrees of `size` leaves, largest first."""
    found = list(frontier)
    while size & 1:
        new = _node(found.pop(), new)
        size >>= 1
    return (*found, new)


def root_of_frontier(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree that a frontier stands for."""
    if not frontier:
        return EMPTY
    found = frontier[-1]
    for left in reversed(frontier[:-1]):
        found = _node(left, found)
    return found


def root(leaves: Sequence[bytes]) -> bytes:
    """The root of a list of leaf hashes."""
    frontier: tuple[bytes, ...] = ()
    for size, one in enumerate(leaves):
        frontier = grown(frontier, size, one)
    return root_of_frontier(frontier)


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes that lead from the leaf at `index` to the root."""
    start, stop, found = 0, len(leaves), []
    while stop - start > 1:
        middle = start + _half(stop - start)
        if index < middle:
            found.append(root(leaves[middle:stop]))
            stop = middle
        else:
            found.append(root(leaves[start:middle]))
            start = middle
    return found[::-1]


def is_included(one: bytes, index: int, size: int, proof: Sequence[bytes], whole: bytes) -> bool:
    """Whether a leaf stands at `index` in the tree of `size` leaves whose root is `whole`. Source: RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, one
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = _node(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == whole


def consistency(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes that show that the tree of the first `old` leaves became the tree of all. Source: RFC 9162, 2.1.4.1."""
    if not 0 < old < len(leaves):
        return []
    start, stop, found, known = 0, len(leaves), [], True
    while old != stop - start:
        half = _half(stop - start)
        if old <= half:
            found.append(root(leaves[start + half : stop]))
            stop = start + half
        else:
            found.append(root(leaves[start : start + half]))
            start, old, known = start + half, old - half, False
    if not known:
        found.append(root(leaves[start:stop]))
    return found[::-1]


def is_consistent(old: int, old_root: bytes, size: int, whole: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `size` leaves begins with the tree of `old` leaves. Source: RFC 9162, 2.1.4.2."""
    if old == size:
        return not proof and old_root == whole
    if not 0 < old < size or not proof:
        return old == 0 and not proof
    steps = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = _node(step, before), _node(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == whole


def _half(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)
