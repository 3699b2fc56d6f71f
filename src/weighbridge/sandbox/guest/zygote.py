"""Knows the process that has the libraries loaded, and makes a locked child for each file.

    host ── zygote ── warden ── child

The zygote never touches a file. For each request it forks a warden, which waits for the child and tells how it ended.
Each of them dies with its parent; where pid namespaces are allowed, whatever the child started dies with the child.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys

import msgspec

from weighbridge.sandbox import kernel
from weighbridge.sandbox.guest.child import run
from weighbridge.sandbox.protocol import MOST_REQUEST, NAMESPACES, Ended, Request


def main() -> None:
    """Serve requests from the socket that is given as the first argument until it closes; others are modules to load."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    kernel.die_with_parent()
    kernel.adopt_orphans()
    spaces = kernel.isolate_namespaces() if sys.argv[2] == "namespaces" else ()
    for name in sys.argv[3:]:
        # A library that is not there, or does not load, is missed by the loader that needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    channel.send(",".join(spaces).encode() or b"-")
    serve(channel, bool(spaces))


def serve(channel: socket.socket, spaces: bool) -> None:
    """Fork a warden for each request, and end it when the host asks or goes away."""
    woken, alarm = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(woken, select.POLLIN)
    wardens: set[int] = set()
    while True:
        ready = dict(poll.poll())
        if woken in ready:
            os.read(woken, 512)
            reap(wardens)
        if channel.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, MOST_REQUEST, 5)
        if not message:
            end(wardens)
            return
        if message == b"kill":
            end(wardens)
            continue
        pid = os.fork()
        if pid == 0:
            # The handler and its pipe belong to the zygote alone.
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            warden(msgspec.json.decode(message, type=Request), descriptors, spaces)
        wardens.add(pid)
        for one in descriptors:
            os.close(one)


def reap(wardens: set[int]) -> None:
    """Forget wardens that are done, and take orphans off the list of processes."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            wardens.discard(found[0])


def end(wardens: set[int]) -> None:
    """End wardens and, by their groups, what runs below them."""
    for pid in wardens:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def warden(request: Request, descriptors: list[int], spaces: bool) -> None:
    """Make the child, wait for it, tell how it ended. Never returns."""
    *given, report = descriptors
    code = 1
    try:
        os.setpgid(0, 0)
        kernel.die_with_parent()
        kernel.adopt_orphans()
        if spaces and NAMESPACES in request.layers:
            with contextlib.suppress(OSError):
                kernel.unshare(kernel.NEW_PID)
        pid = os.fork()
        if pid == 0:
            kernel.die_with_parent()
            os.close(report)
            run(request, given)
        for one in given:
            os.close(one)
        _, status, used = os.wait4(pid, 0)
        ended = Ended(status=status, processor=used.ru_utime + used.ru_stime, memory=used.ru_maxrss)
        os.write(report, msgspec.json.encode(ended))
        code = 0
        # What the child left running is in this group, or in the namespace that has just ended.
        os.close(report)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
