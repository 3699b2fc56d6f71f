"""Knows how a file is written as a whole: without a name, or beside its place, so that it is never half there."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_OPEN: Final = "/proc/self/fd"


def write_whole(path: str, data: bytes) -> None:
    """Put a file into its place, over one that is there. Raises OSError, and leaves what was there."""
    beside = f"{path}.{os.getpid()}.part"
    with open(beside, "wb") as file:
        file.write(data)
    os.replace(beside, path)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write to the end, however little is taken at a time. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


class Unfinished:
    """A file that gets its name once it is complete.

    Where the system has files without a name, nothing is left behind even when the process is killed.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError where the folder cannot be written."""
        self.path, self._beside = path, ""
        folder = os.path.dirname(path) or "."
        nameless = getattr(os, "O_TMPFILE", 0)
        self.descriptor = -1
        if nameless and os.path.isdir(_OPEN):
            # Not every file system knows them.
            with contextlib.suppress(OSError):
                self.descriptor = os.open(folder, nameless | os.O_RDWR | os.O_CLOEXEC, 0o644)
        if self.descriptor < 0:
            self._beside = f"{path}.{os.getpid()}.part"
            self.descriptor = os.open(self._beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def append(self, data: bytes) -> None:
        """Write behind what is there. Raises OSError."""
        write_all(self.descriptor, data)

    def publish(self, path: str = "") -> None:
        """Give the file its name, over one that has it. Raises OSError."""
        path = path or self.path
        if not self._beside:
            beside = f"{path}.{os.getpid()}.part"
            # A folder has to be given for the link to be followed (linkat); the path is absolute and ignores it.
            os.link(f"{_OPEN}/{self.descriptor}", beside, src_dir_fd=self.descriptor, follow_symlinks=True)
            self._beside = beside
        os.replace(self._beside, path)
        self._beside = ""

    def close(self) -> None:
        """Give up a file that was not published."""
        os.close(self.descriptor)
        if self._beside:
            os.unlink(self._beside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
