"""Hands out bytes and never interprets them: everything with members is a Tree, everything else a Blob."""

from weighbridge.source.blob import Blob, Budget, BytesBlob, FileBlob, Slice, chunks
from weighbridge.source.local import LocalTree, local
from weighbridge.source.tree import Anomaly, Entry, Kind, Oddity, Tree

__all__ = [
    "Anomaly",
    "Blob",
    "Budget",
    "BytesBlob",
    "Entry",
    "FileBlob",
    "Kind",
    "LocalTree",
    "Oddity",
    "Slice",
    "Tree",
    "chunks",
    "local",
]
