"""Knows how the child locks itself in, layer by layer, and only then touches the file. Its answers are hostile to the host."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys

import msgspec

from weighbridge.sandbox import kernel
from weighbridge.sandbox.abi import machine
from weighbridge.sandbox.filters import ERRNO, last_filter, main_filter
from weighbridge.sandbox.guest.loaders import load
from weighbridge.sandbox.protocol import (
    CAPABILITIES,
    CHANNEL,
    LANDLOCK,
    MODEL,
    MOST_ANSWER,
    NO_NEW_PRIVILEGES,
    OUTPUT,
    RESULT,
    RLIMITS,
    SECCOMP,
    SUPERVISOR,
    Answer,
    Bounds,
    Request,
)
from weighbridge.source.whole import write_all


def run(request: Request, given: list[int]) -> None:
    """Lock in, wait for the host's word, load, answer. `given` are model, output, result and text. Never returns."""
    try:
        try:
            arranged(given)
            locked(request)
        except Exception as error:  # noqa: BLE001  # the host is told, and the file is never touched
            os.write(RESULT, msgspec.json.encode([f"!{type(error).__name__}: {error}"]))
            os._exit(1)
        # The host answers once it has seen which layers hold, and listens to what this process asks for.
        own = os.getpid()
        if os.read(RESULT, 1) == b"g":
            answer = load(request)
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            # What the file forked comes by here as well, and has nothing to say.
            if os.getpid() == own:
                tell(answer)
    finally:
        os._exit(0)


def arranged(given: list[int]) -> None:
    """The descriptors under known numbers, printed text into its pipe, and nothing else open."""
    os.chdir("/")
    os.umask(0o077)
    model, output, result, text = (os.dup2(one, CHANNEL + 1 + place) for place, one in enumerate(given))
    for place, one in ((MODEL, model), (OUTPUT, output), (RESULT, result), (CHANNEL, result), (1, text), (2, text)):
        os.dup2(one, place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(RESULT + 1, CHANNEL)
    os.closerange(CHANNEL + 1, 1 << 20)
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)


def locked(request: Request) -> None:
    """Put the layers on, in the order in which each leaves the next one possible, and tell the host which hold."""
    layers, held, listener = request.layers, [], -1
    if RLIMITS in layers:
        limit(request.bounds)
        held.append(RLIMITS)
    if CAPABILITIES in layers:
        kernel.drop_capabilities()
        if kernel.capabilities() == 0:
            held.append(CAPABILITIES)
    if NO_NEW_PRIVILEGES in layers or LANDLOCK in layers or SECCOMP in layers:
        kernel.no_new_privileges()
        held.append(NO_NEW_PRIVILEGES)
    if LANDLOCK in layers:
        version = kernel.landlock(request.readable)
        if version:
            held.append(f"{LANDLOCK} {version}")
    here = machine()
    # A socket object asks what it is when it is made: before the filter.
    channel = socket.socket(fileno=CHANNEL)
    if SECCOMP in layers:
        asked = SUPERVISOR in layers
        code = main_filter(
            here, os.getpid(), CHANNEL, sleeps=request.observe, **({} if asked else {"denial": ERRNO | 1})
        )
        listener = kernel.install_filter(code, listener=asked)
        held += [SECCOMP, SUPERVISOR] if asked else [SECCOMP]
    descriptors = [listener] if listener >= 0 and SUPERVISOR in held else []
    socket.send_fds(channel, [msgspec.json.encode(held)], descriptors)
    if descriptors:
        os.close(listener)
    if SECCOMP in layers:
        kernel.install_filter(last_filter(here, CHANNEL), listener=False)
    channel.detach()
    os.close(CHANNEL)


def limit(bounds: Bounds) -> None:
    """Bounds that the kernel keeps. Data, not address space: libraries map far more than they use."""
    for name, value in (
        ("CORE", 0),
        ("CPU", bounds.processor),
        ("DATA", bounds.memory),
        ("FSIZE", bounds.output),
        ("NOFILE", bounds.descriptors),
        ("MEMLOCK", 0),
        ("MSGQUEUE", 0),
        ("RTPRIO", 0),
    ):
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is not None:
            resource.setrlimit(which, (value, value))


def tell(answer: Answer) -> None:
    """One bounded message."""
    data = msgspec.json.encode(answer)
    if len(data) >= MOST_ANSWER:
        data = msgspec.json.encode(
            Answer(kind=answer.kind, tensors=answer.tensors, left=answer.left + len(answer.values))
        )
    write_all(RESULT, data)
