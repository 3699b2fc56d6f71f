"""Knows how a table is read by several processes, here or on a Ray cluster: its parts, who reads them, and who fell on the way.

A part is a file, or lines or row groups of a large one. Each is read into a sketch of its own; sketches are joined in the order
of their parts, so that what is found is the same however many processes there are.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from weighbridge.datasets.sketches import Plan, Sketch, tests_of
from weighbridge.datasets.table import open_file, size_of, spans
from weighbridge.formats.rows import Rejected, Span
from weighbridge.schema import Unavailable, UsageError, WeighbridgeError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from weighbridge.datasets.table import Table

_LEAST: Final = 64 << 20  # several processes are worth their start from then on
_SMALLEST, _LARGEST = 16 << 20, 256 << 20
_EACH: Final = 3  # parts for each process, so that none waits long for the last
_FALLS: Final = 3  # how often processes may be killed before the data is held to be the reason


class Part(Struct, frozen=True):
    """A file, or a span of one."""

    path: str
    span: Span | None = None


class PartRead(Struct, frozen=True):
    """A part as a sketch, what of it could not be read, and why reading it ended early where it did."""

    sketch: Sketch
    rejected: Rejected
    notes: tuple[str, ...]
    error: WeighbridgeError | None = None


class Engine(Protocol):
    """Somebody who reads parts."""

    workers: int
    least: int
    """How many parts are read at a time, and from how many bytes of a table on that pays."""

    def read(self, plan: Plan, parts: Sequence[Part]) -> Iterator[PartRead]:
        """The parts as sketches, in their order; each stands in memory until it is taken.

        Raises Unavailable where processes are killed again and again.
        """
        ...


def engine(name: str, workers: int) -> Engine | None:
    """`local` or `ray`, with a number of processes (0: as many as there are processors, for large tables); None is this process alone.

    Raises UsageError for another name, Unavailable where Ray is not there.
    """
    if name not in {"local", "ray"}:
        raise UsageError(f"there is no engine {name!r}", hint="local or ray")
    if name == "ray":
        return Ray(workers)
    many = workers or os.cpu_count() or 1
    return Processes(many, 0 if workers else _LEAST) if many > 1 else None


def parts_of(table: Table, workers: int) -> tuple[Part, ...]:
    """The files of a table, large ones in spans: several for each process. Raises SourceError, MalformedInput, LimitExceeded."""
    sizes = {file.path: size_of(file.path) for file in table.files}
    each = min(_LARGEST, max(_SMALLEST, table.size // (_EACH * workers)))
    found: list[Part] = []
    for path, size in sizes.items():
        several = spans(path, each) if size > each else ()
        found += [Part(path, span) for span in several] or [Part(path)]
    return tuple(found)


def read_part(plan: Plan, part: Part) -> PartRead:
    """One part as a sketch. What cannot be read is told, not raised."""
    made = Sketch(plan, _tests_of(plan))
    try:
        file = open_file(part.path, part.span)
    except WeighbridgeError as error:
        return PartRead(made, Rejected(), (), error)
    failed = None
    try:
        for batch in file.batches():
            made.add(batch, part.path)
    except WeighbridgeError as error:
        failed = error
    return PartRead(made, file.rejected, tuple(file.notes), failed)


@lru_cache(maxsize=1)
def _tests_of(plan: Plan) -> dict[str, Callable[[], Any]]:
    """What rows are held against is read once in each process."""
    return tests_of(plan)


class Processes:
    """Processes of this machine; one that is killed is replaced, and its part is read again.

    An executor of the standard library would end with its first process, and can wait for ever for the others
    (`ProcessPoolExecutor` of 3.11, where one is killed while another starts).
    """

    def __init__(self, workers: int, least: int = _LEAST) -> None:
        self.workers, self.least = workers, least

    def read(self, plan: Plan, parts: Sequence[Part]) -> Iterator[PartRead]:
        """See `Engine.read`."""
        from multiprocessing.connection import wait  # noqa: PLC0415  # few tables are large

        left = deque(range(len(parts)))
        falls = [0] * len(parts)
        found: dict[int, PartRead] = {}
        idle = [_Worker() for _ in range(min(self.workers, len(parts)))]
        busy: dict[Any, tuple[_Worker, int]] = {}
        told = 0
        try:
            while told < len(parts):
                while idle and left and left[0] - told < 2 * self.workers:
                    worker, number = idle.pop(), left.popleft()
                    busy[worker.connection] = worker, number
                    worker.give(plan, parts[number])
                for connection in wait(list(busy)):
                    worker, number = busy.pop(connection)
                    read = worker.take()
                    if read is not None:
                        found[number] = read
                        idle.append(worker)
                        continue
                    worker.end()
                    falls[number] += 1
                    if falls[number] > _FALLS:
                        raise _killed(parts[number].path, falls[number])
                    left.appendleft(number)
                    idle.append(_Worker())
                while told in found:
                    yield found.pop(told)
                    told += 1
        finally:
            for worker in (*idle, *(worker for worker, _ in busy.values())):
                worker.end()


class _Worker:
    """A process that reads parts, one at a time."""

    def __init__(self) -> None:
        import multiprocessing  # noqa: PLC0415  # few tables are large

        # Threads of the libraries that read rows do not live through a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()

    def give(self, plan: Plan, part: Part) -> None:
        """Send a part to it. Who has fallen is noticed when the part is taken."""
        with suppress(OSError):
            self.connection.send((plan, part))

    def take(self) -> PartRead | None:
        """What it read; None where it was killed. Raises what it could not help."""
        try:
            found: PartRead | Exception = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """Stop it, whatever it does."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Any) -> None:
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            connection.send(_attempted(*connection.recv()))


def _attempted(plan: Plan, part: Part) -> PartRead | Exception:
    try:
        return read_part(plan, part)
    except Exception as error:  # noqa: BLE001  # who joins the parts raises it, as if it had read them
        return error


class Ray:
    """A Ray cluster: the one that RAY_ADDRESS names, else processes of this machine. Files must be at the same paths everywhere.

    Ray itself gives a part to another process when one is killed, three times (its `max_retries`).
    """

    def __init__(self, workers: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # data that is judged is nobody else's business
        if not os.environ.get("RAY_ADDRESS"):
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # by its name or not: listen on the loopback alone
        try:
            import ray  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise Unavailable(
                "the engine ray needs the extra ray", hint="pip install 'weighbridge[data,ray]'"
            ) from error
        self._ray = ray
        if not ray.is_initialized():
            self._start(workers)
        self.least = 0
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _start(self, workers: int) -> None:
        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers or None, "include_dashboard": False}
        try:
            self._ray.init(log_to_driver=False, logging_level="ERROR", **here)
        except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            raise Unavailable(f"Ray: {str(error)[:200]}", hint="check RAY_ADDRESS, or use --engine local") from error

    def read(self, plan: Plan, parts: Sequence[Part]) -> Iterator[PartRead]:
        """See `Engine.read`."""
        remote = self._ray.remote(max_retries=_FALLS)(read_part)
        running: deque[tuple[Part, Any]] = deque()
        for part in parts:
            if len(running) > self.workers:
                yield self._taken(*running.popleft())
            running.append((part, remote.remote(plan, part)))
        while running:
            yield self._taken(*running.popleft())

    def _taken(self, part: Part, reference: Any) -> PartRead:
        try:
            found: PartRead = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise _killed(part.path, _FALLS + 1) from error
        return found


def _killed(path: str, times: int) -> WeighbridgeError:
    return Unavailable(
        f"{path}: the process that reads it was killed {plural(times, 'time')}",
        hint="fewer --workers need less memory",
    )
