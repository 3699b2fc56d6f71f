"""Knows which tree opens which container format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weighbridge.source import Blob, Budget, Tree

CONTAINERS = frozenset({"zip", "tar", "7z", "gzip", "zlib", "bz2", "xz", "lzma", "lz4", "zstd"})


def open_container(found: str, blob: Blob, name: str, budget: Budget) -> Tree:
    """The tree inside a blob of format `found`, one of CONTAINERS.

    Raises MalformedInput where its structure cannot be read at all, LimitExceeded for bombs.
    """
    # Each tree is loaded when the first container of its kind turns up.
    if found == "zip":
        from weighbridge.source.zip import ZipTree  # noqa: PLC0415

        return ZipTree(blob, budget)
    if found == "tar":
        from weighbridge.source.tar import TarTree  # noqa: PLC0415

        return TarTree(blob, budget)
    if found == "7z":
        from weighbridge.source.sevenzip import SevenZipTree  # noqa: PLC0415

        return SevenZipTree(blob, budget)
    from weighbridge.source.stream import StreamTree  # noqa: PLC0415

    return StreamTree(blob, found, name, budget)
