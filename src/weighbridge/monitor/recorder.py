"""Knows how a request is noted without holding it up: an append to a queue of bounded length, and a thread that does the rest."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from weighbridge.monitor.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUE: Final = 100_000
_PAUSE: Final = 0.5
_QUIET: Final = 30.0


class Recorder:
    """`note` costs an append. When the queue is full the record is dropped and counted: a request never waits for it.

    `take` gets batches of records in a thread of its own; whatever it raises is counted and ends nothing. While no requests
    come it gets an empty batch now and then (`quiet`, seconds): what else it looks at does not depend on traffic.
    """

    def __init__(
        self,
        take: Callable[[Sequence[Record]], object],
        *,
        queue: int = QUEUE,
        pause: float = _PAUSE,
        quiet: float = _QUIET,
    ) -> None:
        self._take, self._pause, self._most, self._quiet = take, pause, queue, quiet
        self._queue: deque[tuple[str, str, float, float, str, str, tuple[str, ...], tuple[str, ...], float, int]] = (
            deque()
        )
        self._append = self._queue.append
        self._length = self._queue.__len__
        self.dropped = 0
        self.failed = 0
        self.last_failure = ""
        self._working = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="weighbridge-monitor", daemon=True)
        self._thread.start()

    def note(
        self, text: str = "", output: str = "", confidence: float = -1.0, *, id: str = "", answer: str = "",  # noqa: A002  # the field's name
        features: tuple[str, ...] = (), tools: tuple[str, ...] = (), seconds: float = -1.0, tokens: int = -1, at: float = 0.0,
    ) -> None:  # fmt: skip
        """One request and its answer. Never raises, never waits."""
        if self._length() >= self._most:
            self.dropped += 1
            return
        self._append((text, output, confidence, at, id, answer, features, tools, seconds, tokens))

    def flush(self, patience: float = 10.0) -> None:
        """Wait until everything that was noted before has been taken."""
        end = time.monotonic() + patience
        while self._queue and time.monotonic() < end:
            time.sleep(0.005)
        with self._working:
            pass

    def close(self) -> None:
        """Take what is left, and end the thread."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        taken = time.monotonic()
        while not self._end.wait(self._pause):
            if self._queue:
                self._drain()
            elif time.monotonic() - taken >= self._quiet:
                self._give([])
            else:
                continue
            taken = time.monotonic()
        self._drain()

    def _drain(self) -> None:
        while self._queue:
            with self._working:
                now = time.time()
                batch = list[Record]()
                while self._queue and len(batch) < 16_384:
                    text, output, confidence, at, id_, answer, features, tools, seconds, tokens = self._queue.popleft()
                    batch.append(
                        Record(
                            id=id_, at=at or now, text=text, output=output, confidence=confidence, answer=answer,
                            features=features, tools=tools, seconds=seconds, tokens=tokens,
                        )
                    )  # fmt: skip
                self._give(batch)

    def _give(self, batch: list[Record]) -> None:
        try:
            self._take(batch)
        except Exception as error:  # noqa: BLE001  # a fault of the monitor must not reach the service
            self.failed += len(batch)
            self.last_failure = f"{type(error).__name__}: {error}"[:300]
