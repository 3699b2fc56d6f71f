"""Knows the host's side of loading: start the zygote, hand one file in, answer and watch, take one answer out.

What comes out is bounded, sealed and read like any other hostile file; nothing of it is ever unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec

from weighbridge.sandbox.abi import machine
from weighbridge.sandbox.attempt import Attempt, Kind
from weighbridge.sandbox.memory import readable
from weighbridge.sandbox.outcome import ENVIRONMENT, Outcome, insist, interpreter, tensors_of
from weighbridge.sandbox.protocol import (
    LAYERS,
    MOST_ANSWER,
    MOST_TEXT,
    NAMESPACES,
    REQUIRED,
    Answer,
    Bounds,
    Ended,
    Request,
    libraries,
)
from weighbridge.sandbox.supervisor import Supervisor
from weighbridge.schema import Unavailable
from weighbridge.source import FileBlob
from weighbridge.source.blob import OpenBlob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.formats.safetensors import SafetensorsFacts

_ADD_SEALS: Final = 1033
_SEALS: Final = 0xF
_TICK: Final = 100
_START: Final = 120.0
_LOCK: Final = 10.0
_AFTER: Final = 2.0


class Sandbox:
    """A zygote with some libraries in memory. One file at a time; close it, or use it as a context."""

    def __init__(self, preload: Sequence[str] = (), *, namespaces: bool = True) -> None:
        """Raises Unavailable where this system has no sandbox of this kind."""
        if sys.platform != "linux":
            raise Unavailable("this sandbox needs Linux", hint="weighbridge doctor says what this machine can isolate")
        self._machine = machine()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own module
            [*interpreter("zygote"), str(there.fileno()), "namespaces" if namespaces else "-", *preload],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("WEIGHBRIDGE_DEBUG") else subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=(there.fileno(),),
            start_new_session=True,
        )
        there.close()
        self._channel = here
        here.settimeout(_START)
        try:
            told = here.recv(256)
        except TimeoutError:
            told = b""
        if not told:
            self.close()
            raise Unavailable("the sandbox did not start", hint="weighbridge doctor says what this machine can isolate")
        self.namespaces = tuple(name for name in told.decode("ascii", "replace").split(",") if name != "-")

    def close(self) -> None:
        """End the zygote, and with it everything below it."""
        self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_AFTER)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(
        self,
        path: str,
        loader: str,
        *,
        bounds: Bounds | None = None,
        observe: bool = False,
        layers: Sequence[str] = LAYERS,
        required: Sequence[str] = REQUIRED,
    ) -> Outcome:
        """Load one file in a child of its own.

        Raises SourceError where it cannot be read, Unavailable where a required layer does not hold: the file is not
        touched then.
        """
        blob = FileBlob(path)
        try:
            return self._run(blob, loader, bounds or Bounds(), tuple(layers), tuple(required), observe=observe)
        finally:
            blob.close()

    def _run(
        self,
        blob: FileBlob,
        loader: str,
        bounds: Bounds,
        layers: tuple[str, ...],
        required: tuple[str, ...],
        *,
        observe: bool,
    ) -> Outcome:
        near, far = socket.socketpair()
        text, text_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(text_in, True)
        report, report_in = os.pipe2(os.O_CLOEXEC)
        output = os.memfd_create("weighbridge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        request = Request(
            loader=loader, name=os.path.basename(blob.path)[:255], layers=layers, bounds=bounds,
            readable=libraries(), observe=observe,
        )  # fmt: skip
        given = [blob.descriptor, output, far.fileno(), text_in, report_in]
        try:
            try:
                socket.send_fds(self._channel, [msgspec.json.encode(request)], given)
            except OSError as error:
                raise Unavailable("the sandbox has ended", hint="start another one") from error
            finally:
                far.close()
                os.close(text_in)
                os.close(report_in)
            held, listener = self._held(near, layers, required)
            supervisor = (
                Supervisor(listener, self._machine, request.readable, bounds, observe=observe)
                if listener >= 0
                else None
            )
            watch = _Watch(self, near, text, report, supervisor, bounds)
            try:
                watch.run()
            finally:
                if supervisor is not None:
                    supervisor.close()
            return watch.outcome(held, output)
        except BaseException:
            self._end()
            os.close(output)
            raise
        finally:
            near.close()
            os.close(text)
            os.close(report)

    def _held(
        self, near: socket.socket, layers: tuple[str, ...], required: tuple[str, ...]
    ) -> tuple[tuple[str, ...], int]:
        """The layers that hold, and the listener. Raises Unavailable where a required one does not."""
        held, listener = _locked(near)
        held += (NAMESPACES,) if self.namespaces and NAMESPACES in layers else ()
        broken = next((one[1:] for one in held if one.startswith("!")), "")
        if broken:
            raise Unavailable(f"the sandbox could not lock itself in: {broken}", hint="weighbridge doctor says why")
        try:
            insist(required, held)
        except Unavailable:
            if listener >= 0:
                os.close(listener)
            raise
        return held, listener

    @property
    def alive(self) -> bool:
        """Whether the zygote still runs."""
        return self._process.poll() is None

    def _end(self) -> None:
        """Let the zygote end what runs."""
        with contextlib.suppress(OSError):
            self._channel.send(b"kill")


def _locked(near: socket.socket) -> tuple[tuple[str, ...], int]:
    """The layers that the child has put on, before it touches the file, and the listener of its filter."""
    near.settimeout(_LOCK)
    try:
        message, descriptors, _, _ = socket.recv_fds(near, 4096, 1)
        held = tuple(msgspec.json.decode(message, type=list[str])) if message else ()
    except (OSError, msgspec.DecodeError):
        return (), -1
    return held, descriptors[0] if descriptors else -1


class _Watch:
    """One child while it runs."""

    def __init__(
        self, owner: Sandbox, near: socket.socket, text: int, report: int, supervisor: Supervisor | None, bounds: Bounds
    ) -> None:
        self.owner, self.near, self.text, self.report, self.supervisor, self.bounds = (
            owner, near, text, report, supervisor, bounds,
        )  # fmt: skip
        self.said, self.printed, self.ended = bytearray(), bytearray(), b""
        self.flooded = 0
        self.limit = ""
        self.started = time.monotonic()
        self.seconds = 0.0

    def run(self) -> None:
        """Give the word, then answer until the child has ended or a limit is reached."""
        self.near.setblocking(False)
        self.near.send(b"g")
        poll = select.poll()
        for one in (self.near.fileno(), self.text, self.report, *self._listener()):
            poll.register(one, select.POLLIN)
        deadline, end = self.started + self.bounds.seconds, 0.0
        while True:
            now = time.monotonic()
            if not self.limit and now > deadline:
                self.limit = "time"
            if self.limit and not end:
                self.owner._end()  # noqa: SLF001  # the watch is a part of the sandbox
                end = now + _AFTER
            if end and now > end:
                break
            if self._heard(poll, poll.poll(_TICK)):
                break
        self.seconds = time.monotonic() - self.started

    def _listener(self) -> tuple[int, ...]:
        return (self.supervisor.listener,) if self.supervisor is not None else ()

    def _heard(self, poll: select.poll, ready: list[tuple[int, int]]) -> bool:
        """Take what is there; True once the warden has told how it ended."""
        for one, events in ready:
            if self.supervisor is not None and one == self.supervisor.listener:
                if events & select.POLLIN:
                    self.supervisor.answer()
                else:
                    poll.unregister(one)
            elif one == self.report:
                self.ended = os.read(one, 4096)
                return True
            elif one == self.text:
                self._take(poll, one, self.printed, MOST_TEXT)
            else:
                self._take(poll, one, self.said, MOST_ANSWER)
        return False

    def _take(self, poll: select.poll, descriptor: int, into: bytearray, most: int) -> None:
        try:
            piece = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECONNRESET:
                raise
            piece = b""
        if not piece:
            poll.unregister(descriptor)
        elif len(into) + len(piece) > most:
            self.limit = self.limit or "output"
            poll.unregister(descriptor)
        else:
            into += piece

    def outcome(self, held: tuple[str, ...], output: int) -> Outcome:
        """Everything that is known, with the image sealed and read."""
        # The answer may still be on its way when the warden tells of the end.
        with contextlib.suppress(OSError):
            while len(self.said) <= MOST_ANSWER and (piece := self.near.recv(1 << 16)):
                self.said += piece
        with contextlib.suppress(OSError):
            while len(self.printed) <= MOST_TEXT and (more := os.read(self.text, 1 << 16)):
                self.printed += more
        attempts = list(self.supervisor.attempts) if self.supervisor is not None else []
        ended = _decoded(self.ended)
        number = os.WTERMSIG(ended.status) if ended is not None and os.WIFSIGNALED(ended.status) else 0
        self._limits(ended, number)
        answer = self._answer(attempts, number)
        if number == signal.SIGSYS:
            attempts.append(
                Attempt(
                    kind=Kind.KERNEL, call="another architecture", what="a call of the 32-bit machine", outcome="killed"
                )
            )
        if self.limit:
            attempts.append(Attempt(kind=Kind.LIMIT, call="", what=self.limit, outcome="ended"))
        tensors, image = self._image(answer, attempts, output)
        return Outcome(
            layers=held,
            answer=answer,
            attempts=tuple(attempts),
            limit=self.limit,
            signal=number,
            seconds=self.seconds,
            processor=ended.processor if ended is not None else 0.0,
            memory=ended.memory * 1024 if ended is not None else 0,
            printed=readable(bytes(self.printed)),
            tensors=tensors,
            image=image,
        )

    def _limits(self, ended: Ended | None, number: int) -> None:
        """Which bound the kernel kept, where it was one of its own."""
        if self.limit or ended is None:
            return
        if number in {signal.SIGXCPU, signal.SIGKILL} and ended.processor >= self.bounds.processor - 1:
            self.limit = "processor time"
        elif number == signal.SIGXFSZ:
            self.limit = "output"
        elif number == signal.SIGKILL:
            self.limit = "memory"

    def _answer(self, attempts: list[Attempt], number: int) -> Answer:
        answer = Answer()
        try:
            # What is longer than the bound is cut there, and no JSON any more.
            answer = msgspec.json.decode(bytes(self.said), type=Answer) if self.said else answer
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = "the answer is not the one message that is due"
            attempts.append(Attempt(kind=Kind.ANSWER, call="", what=told, outcome="refused"))
        if not self.said and not self.limit:
            why = f"signal {signal.Signals(number).name}" if number in set(signal.Signals) else "an exit of its own"
            answer = Answer(error=f"the child ended without an answer: {why}")
        if answer.error.startswith("MemoryError") and not self.limit:
            self.limit = "memory"
        return answer

    def _image(self, answer: Answer, attempts: list[Attempt], output: int) -> tuple[SafetensorsFacts | None, int]:
        """The tensors, once nobody can write to them any more."""
        if answer.error or self.limit or not answer.tensors:
            os.close(output)
            return None, -1
        try:
            fcntl.fcntl(output, _ADD_SEALS, _SEALS)
            facts, told = tensors_of(OpenBlob(output))
        except OSError as error:
            facts, told = None, f"the tensors could not be sealed: {error}"
        if facts is None:
            attempts.append(Attempt(kind=Kind.ANSWER, call="", what=told, outcome="refused"))
            os.close(output)
            return None, -1
        return facts, output


def _decoded(data: bytes) -> Ended | None:
    try:
        return msgspec.json.decode(data, type=Ended) if data else None
    except msgspec.DecodeError:
        return None
