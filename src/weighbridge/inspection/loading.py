"""Knows how a file is loaded for inspection: the bytes first, then the sandbox, and both in one report."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from weighbridge.detect.run import detect_run, telling
from weighbridge.inspection.origin import judged
from weighbridge.inspection.plan import Options, scan
from weighbridge.sandbox import LAYERS, REQUIRED, Bounds, Elsewhere, Kind, Outcome, Sandbox, loader_for
from weighbridge.schema import Coverage, Fact, Location, MalformedInput, Reason, Status, UsageError
from weighbridge.schema.text import printable
from weighbridge.source import FileBlob, local
from weighbridge.source import Kind as Member
from weighbridge.source.blob import OpenBlob
from weighbridge.source.whole import Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.formats.safetensors import Tensor
    from weighbridge.policy import Policy
    from weighbridge.sandbox import Attempt
    from weighbridge.schema import Report

_STEP = 8 << 20


class Orders(Struct, frozen=True, kw_only=True):
    """How to load: what must hold, what it may cost, whether to lie in order to see more."""

    observe: bool = False
    layers: tuple[str, ...] = LAYERS
    required: tuple[str, ...] = REQUIRED
    bounds: Bounds = Bounds()


class Loaded:
    """What came out of one file: tensors as bytes, everything else in words, and the report about it.

    Nothing in it is an object of the file. Close it, or use it as a context, to let the tensors go.
    """

    def __init__(self, outcome: Outcome, report: Report) -> None:
        self.report = report
        self.kind, self.values = outcome.answer.kind, outcome.answer.values
        self.error, self.limit = outcome.answer.error, outcome.limit
        self.attempts: tuple[Attempt, ...] = outcome.attempts
        self.layers, self.seconds = outcome.layers, outcome.seconds
        self._image, self._facts = outcome.image, outcome.tensors

    @property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name, type as safetensors names it, and shape of every tensor."""
        return {one.name: (one.dtype, one.shape) for one in self._all()}

    def read(self, name: str) -> bytes:
        """The bytes of one tensor, in the order of its indices, little-endian. Raises KeyError."""
        for one in self._all():
            if one.name == name:
                assert self._facts is not None
                return os.pread(self._image, one.end - one.start, self._facts.data + one.start)
        raise KeyError(name)

    def save(self, path: str) -> None:
        """Write the tensors as a safetensors file. Raises UsageError where there are none, or no room."""
        if self._image < 0:
            raise UsageError("there are no tensors to save", hint="the report says what came out")
        size = OpenBlob(self._image).size
        try:
            with Unfinished(path) as file:
                for start in range(0, size, _STEP):
                    file.append(os.pread(self._image, _STEP, start))
                file.publish()
        except OSError as error:
            raise UsageError(
                f"{path}: {(error.strerror or str(error)).lower()}", hint="choose another output"
            ) from error

    def close(self) -> None:
        """Let the tensors go."""
        if self._image >= 0:
            os.close(self._image)
            self._image = -1
            self._facts = None

    def _all(self) -> tuple[Tensor, ...]:
        return self._facts.tensors if self._facts is not None else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


_kept: dict[tuple[str, ...], Sandbox | Elsewhere] = {}


def load(
    path: str,
    *,
    observe: bool = False,
    orders: Orders | None = None,
    policy: Policy | None = None,
    options: Options | None = None,
) -> Loaded:
    """Load one file in the sandbox and judge what it did; the sandbox is kept for the next file.

    Raises SourceError, MalformedInput where no library here loads such a file, Unavailable where a layer that is
    required does not hold; the file is not executed then.
    """
    orders = orders or Orders(observe=observe)
    blob = FileBlob(path)
    try:
        loader, ahead = loader_for(blob)
        size = blob.size
    finally:
        blob.close()
    before = scan([path], policy=policy, options=options)
    outcome = _sandbox(ahead).load(
        path, loader, bounds=orders.bounds, observe=orders.observe, layers=orders.layers, required=orders.required
    )
    location = Location(path=(path,))
    found = detect_run(
        location,
        outcome.attempts,
        before.findings,
        limit=outcome.limit,
        seconds=outcome.seconds,
        processor=outcome.processor,
        error=outcome.answer.error,
    )
    report = judged(
        path,
        (*before.findings, *found),
        size=size,
        coverage=[*before.coverage, _coverage(path, size, outcome)],
        facts=[*before.facts, *_facts(path, loader, orders, outcome)],
        policy=policy,
    )
    return Loaded(outcome, report)


def loadable(path: str) -> list[str]:
    """The file, or every file of a folder that a library here would load with code in it.

    Raises SourceError, and UsageError for a folder without any.
    """
    source = local(path)
    if isinstance(source, FileBlob):
        source.close()
        return [path]
    found = []
    for entry in source.entries():
        if entry.kind is not Member.FILE:
            continue
        blob = source.open(entry)
        try:
            loader_for(blob)
        except MalformedInput:
            continue
        finally:
            if isinstance(blob, FileBlob):
                blob.close()
        found.append(source.path_of(entry))
    if not found:
        raise UsageError(f"{path}: there is nothing to load in it", hint="weighbridge scan inspects files without code")
    return found


def _sandbox(ahead: tuple[str, ...]) -> Sandbox | Elsewhere:
    """A sandbox with these modules in memory, started once for all files that need the same."""
    for known, sandbox in list(_kept.items()):
        if not sandbox.alive:
            _kept.pop(known).close()
        elif set(ahead) <= set(known):
            return sandbox
    if not _kept:
        atexit.register(close)
    _kept[ahead] = Sandbox(ahead) if sys.platform == "linux" else Elsewhere()
    return _kept[ahead]


def close() -> None:
    """End every sandbox that was kept."""
    while _kept:
        _kept.popitem()[1].close()


def _coverage(path: str, size: int, outcome: Outcome) -> Coverage:
    status, reason, detail = Status.INSPECTED, Reason.NONE, ""
    if outcome.limit:
        status, reason, detail = Status.TRUNCATED, Reason.LIMIT, f"loading was ended by the bound on {outcome.limit}"
    elif outcome.answer.error and not any(one.kind is not Kind.READ for one in telling(outcome.attempts)):
        status, reason, detail = Status.SKIPPED, Reason.UNSUPPORTED, printable(outcome.answer.error)
    return Coverage(
        path=(path, "loaded"),
        format="sandbox",
        size=size,
        inspected=size if status is Status.INSPECTED else 0,
        status=status,
        reason=reason,
        detail=detail,
    )


def _facts(path: str, loader: str, orders: Orders, outcome: Outcome) -> Iterator[Fact]:
    told: Sequence[tuple[str, str]] = (
        ("loaded by", loader),
        ("sandbox", ", ".join(outcome.layers)),
        ("mode", "observe" if orders.observe else "enforce"),
        ("object", outcome.answer.kind or "none"),
        ("tensors", str(len(outcome.tensors.tensors) if outcome.tensors else 0)),
        ("error", outcome.answer.error),
        ("printed", outcome.printed),
    )
    for name, value in told:
        if value:
            yield Fact(path=(path,), name=name, value=printable(value))
    for one in outcome.answer.values[:32]:
        yield Fact(path=(path,), name=f"value {printable(one.path)}", value=printable(one.what))
