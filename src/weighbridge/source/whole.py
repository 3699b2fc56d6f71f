"""Knows how a file is written as a whole: beside its place, and then renamed, so that it is never half there."""

from __future__ import annotations

import os


def write_whole(path: str, data: bytes) -> None:
    """Put a file into its place, over one that is there. Raises OSError, and leaves what was there."""
    beside = f"{path}.{os.getpid()}.part"
    with open(beside, "wb") as file:
        file.write(data)
    os.replace(beside, path)
