"""Knows every bound on what hostile input may cost, with its default."""

from __future__ import annotations

from msgspec import Struct

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds for the inspection of one artifact. Sizes are bytes, times are seconds.

    A bound that is hit never passes silently: it ends in a `truncated` or `skipped` coverage
    entry and a finding that names the bound.
    """

    depth: int = 8
    """Containers inside containers."""
    members: int = 100_000
    """Files of one artifact, members of archives included."""
    unpacked_bytes: int = 8 * GIB
    """Bytes that decompression may produce for one artifact."""
    ratio: int = 1000
    """Output to input of one compressed stream, once it has produced `ratio_floor` bytes."""
    ratio_floor: int = 256 * MIB
    spool_memory: int = 8 * MIB
    """Decompressed bytes held in memory; more goes to an unlinked temporary file."""
    opcodes: int = 2_000_000_000
    """Pickle opcodes of one stream."""
    memo: int = 64_000_000
    """Pickle memo entries of one stream."""
    stack: int = 16_000_000
    """Pickle stack entries of one stream."""
    imports: int = 100_000
    """Distinct names that one pickle imports."""
    events: int = 20_000
    """Calls of one pickle that are kept with their arguments."""
    nested: int = 256
    """Pickles found inside strings of one pickle."""
    streams: int = 100_000
    """Pickles that follow one another in one file."""
    header: int = 100 * MIB
    """Longest header (safetensors, npy, archive directory) that is read."""
    text_bytes: int = 16 * MIB
    """Bytes of one member searched for secrets."""
    seconds: float = 600.0
    """Time for one artifact."""
