"""Knows which tree opens which container format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.source.decompress import CODECS
from weighbridge.source.sevenzip import SevenZipTree
from weighbridge.source.stream import StreamTree
from weighbridge.source.tar import TarTree
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from weighbridge.source import Blob, Budget, Tree


def open_container(found: str, blob: Blob, name: str, budget: Budget) -> Tree | None:
    """The tree inside a blob of format `found`, None where it is no container.

    Raises MalformedInput where its structure cannot be read at all, LimitExceeded for bombs.
    """
    if found == "zip":
        return ZipTree(blob, budget)
    if found == "tar":
        return TarTree(blob, budget)
    if found == "7z":
        return SevenZipTree(blob, budget)
    if found in CODECS:
        return StreamTree(blob, found, name, budget)
    return None
