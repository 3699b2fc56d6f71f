"""Knows what there is where Linux's layers are not: Seatbelt on macOS, a job object and low integrity on Windows.

A plain child process reads the model from a pipe and answers through another. The layers that hold are told like any others, and
what is required and does not hold stops the load. Sources: `sandbox-exec(1)` and the profiles that macOS ships in
/System/Library/Sandbox/Profiles; Windows "Job Objects" (`JOBOBJECT_EXTENDED_LIMIT_INFORMATION`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.sandbox.attempt import Attempt, Kind
from weighbridge.sandbox.outcome import ENVIRONMENT, Outcome, insist, interpreter, tensors_of
from weighbridge.sandbox.protocol import MOST_ANSWER, REQUIRED, SEATBELT, Answer, Bounds, Request, libraries
from weighbridge.schema import Unavailable
from weighbridge.source import FileBlob
from weighbridge.source.blob import OpenBlob, Slice, chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXEC: Final = "/usr/bin/sandbox-exec"
_STEP: Final = 1 << 16
_LENGTH: Final = 8
_TICK: Final = 0.05


class Elsewhere:
    """Starts a process for each file. `tool` is the program that applies a Seatbelt profile; empty where there is none."""

    namespaces: tuple[str, ...] = ()
    alive = True

    def __init__(self, *, tool: str = _EXEC) -> None:
        self._tool = tool if tool and os.path.exists(tool) else ""

    def close(self) -> None:
        """There is nothing that stays."""

    def load(
        self,
        path: str,
        loader: str,
        *,
        bounds: Bounds | None = None,
        observe: bool = False,
        layers: Sequence[str] = (),
        required: Sequence[str] = REQUIRED,
    ) -> Outcome:
        """Load one file. Raises SourceError, and Unavailable where a required layer does not hold, or for `observe`."""
        del layers
        if observe:
            raise Unavailable(
                "what a file tries is seen on Linux alone", hint="leave --observe out, or use a Linux machine"
            )
        blob = FileBlob(path)
        try:
            return _Child(self._tool, blob, loader, bounds or Bounds(), tuple(required)).run()
        finally:
            blob.close()


class _Child:
    """One process, from its start to its answer."""

    def __init__(self, tool: str, blob: FileBlob, loader: str, bounds: Bounds, required: tuple[str, ...]) -> None:
        self.blob, self.bounds, self.required = blob, bounds, required
        self.request = Request(
            loader=loader, name=os.path.basename(blob.path)[:255], layers=(), bounds=bounds, readable=libraries()
        )
        command = interpreter("plain")
        self.layers: list[str] = []
        if tool:
            command = [tool, "-p", profile(sys.executable, self.request.readable), *command]
            self.layers.append(SEATBELT)
        environment = {**ENVIRONMENT, **{key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ}}
        self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        if sys.platform == "win32":
            from weighbridge.sandbox.windows import confine  # noqa: PLC0415  # only there

            self.layers += confine(self.process, bounds)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the answer is taken out of it
        self.limit = ""

    def run(self) -> Outcome:
        """Hand the model over, wait, take the answer out."""
        started = time.monotonic()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self._lock()
            reader = threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True)
            reader.start()
            writer = threading.Thread(target=self._tell, args=(self.process.stdin,), daemon=True)
            writer.start()
            while reader.is_alive() and not self.limit:
                reader.join(_TICK)
                if time.monotonic() - started > self.bounds.seconds:
                    self.limit = "time"
        finally:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
        return self._outcome(time.monotonic() - started)

    def _lock(self) -> None:
        """Ask the child to lock itself in, and hear which layers hold, before it gets anything."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(msgspec.json.encode(self.request) + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline(4096)
            self.layers += msgspec.json.decode(line, type=list[str]) if line else []
        except (OSError, msgspec.DecodeError):
            self.layers.clear()
        insist(self.required, self.layers)

    def _tell(self, pipe: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            for piece in chunks(self.blob):
                pipe.write(piece)
            pipe.close()

    def _listen(self, pipe: Any) -> None:
        size = 0
        with contextlib.suppress(OSError, ValueError):
            while piece := pipe.read1(_STEP):
                size += len(piece)
                if size > self.bounds.output + MOST_ANSWER:
                    self.limit = "output"
                    return
                self.said.write(piece)

    def _outcome(self, seconds: float) -> Outcome:
        """The image and the message behind it, each checked."""
        self.said.flush()
        image = os.dup(self.said.fileno())
        self.said.close()
        attempts: list[Attempt] = []
        answer, facts, told = Answer(error="the child ended without an answer"), None, ""
        whole = OpenBlob(image)
        if not self.limit and whole.size > 2 * _LENGTH:
            size = min(int.from_bytes(whole.read(whole.size - _LENGTH, _LENGTH), "little"), MOST_ANSWER)
            end = max(0, whole.size - _LENGTH - size)
            try:
                answer = msgspec.json.decode(whole.read(end, size), type=Answer)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                told = f"the answer is none: {error}"
            if answer.tensors and not answer.error:
                facts, told = tensors_of(Slice(whole, 0, end))
        if told:
            attempts.append(Attempt(kind=Kind.ANSWER, call="", what=told, outcome="refused"))
        if facts is None:
            os.close(image)
            image = -1
        if answer.error.startswith("MemoryError"):
            self.limit = self.limit or "memory"
        if self.limit:
            attempts.append(Attempt(kind=Kind.LIMIT, call="", what=self.limit, outcome="ended"))
        return Outcome(
            layers=tuple(self.layers), answer=answer, attempts=tuple(attempts), limit=self.limit, seconds=seconds,
            tensors=facts, image=image,
        )  # fmt: skip


def profile(python: str, readable: Sequence[str]) -> str:
    """A Seatbelt profile: this interpreter may start and read libraries, and nothing else is allowed."""
    real = os.path.realpath(python)
    places = [*readable, os.path.dirname(os.path.dirname(real)), "/usr/lib", "/System/Library", "/Library/Frameworks"]
    reads = " ".join(f"(subpath {_quoted(one)})" for one in dict.fromkeys(places))
    starts = " ".join(f"(literal {_quoted(one)})" for one in dict.fromkeys((python, real)))
    return (
        "(version 1)(deny default)(allow sysctl-read)(allow file-read-metadata)"
        f'(allow process-exec {starts})(allow file-read* {reads} {starts} (literal "/dev/null") (literal "/dev/urandom"))'
        '(allow file-write-data (literal "/dev/null"))(deny network*)(deny process-fork)'
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
