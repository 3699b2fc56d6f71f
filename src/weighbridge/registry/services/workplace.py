"""Knows where a process lays files out to inspect them, and takes away what processes left that were killed.

A process holds a lock on its own folder for as long as it lives, so nobody takes away what somebody still reads.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from weighbridge.schema import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Workplace:
    """Folders of one process below `folder`/work."""

    def __init__(self, folder: str) -> None:
        self._above, self._own, self._lock = os.path.join(folder, "work"), "", -1
        self._opening = threading.Lock()

    def open(self) -> str:
        """The folder of this process. The first call makes it, and removes those of processes that no longer live.

        Raises SourceError where it cannot be written.
        """
        with self._opening:
            if not self._own:
                self._make()
            return self._own

    def _make(self) -> None:
        try:
            os.makedirs(self._above, mode=0o700, exist_ok=True)
            # Held while a folder is made and not yet locked: a process that starts now must not take it for left behind.
            door = _opened(self._above)
            try:
                fcntl.flock(door, fcntl.LOCK_EX)
                self._remove_left()
                own = tempfile.mkdtemp(dir=self._above)
                self._lock = _opened(own)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self._own = own
            finally:
                os.close(door)
        except OSError as error:
            raise SourceError(f"{self._above}: {error.strerror}", hint="let it be written") from error

    def _remove_left(self) -> None:
        for name in os.listdir(self._above):
            path = os.path.join(self._above, name)
            try:
                lock = _opened(path)
            except NotADirectoryError:
                os.unlink(path)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(lock)

    @contextmanager
    def room(self) -> Iterator[str]:
        """An empty folder, removed in the end."""
        with tempfile.TemporaryDirectory(dir=self.open()) as room:
            yield room

    def close(self) -> None:
        """Remove what this process has."""
        with self._opening:
            if self._own:
                shutil.rmtree(self._own, ignore_errors=True)
                os.close(self._lock)
                self._own = ""


def _opened(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
