"""Knows the child where there is no zygote: the request and the model come through a pipe, the answer goes through another."""

from __future__ import annotations

import io
import os
import sys

import msgspec

from weighbridge.sandbox.guest import loaders
from weighbridge.sandbox.guest.harvest import harvest
from weighbridge.sandbox.protocol import MOST_ANSWER, Answer, Request
from weighbridge.source.whole import write_all


def main() -> None:
    """Lock in as far as it goes here, say which layers hold, load, answer: tensors, message, length of the message."""
    source, answers = sys.stdin.buffer, os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for one in (1, 2):
        os.dup2(nowhere, one)
    request = msgspec.json.decode(source.readline(), type=Request)
    os.write(answers, msgspec.json.encode(locked(request)) + b"\n")
    file = io.BytesIO(source.read())
    try:
        found = loaders.LOADERS[request.loader](file)
        answer = harvest(found, answers)
    except BaseException as error:  # noqa: BLE001  # whatever the file raises is an answer
        answer = Answer(error=loaders.told(error))
        os.write(answers, bytes(16))
    data = msgspec.json.encode(answer)
    if len(data) >= MOST_ANSWER:
        data = msgspec.json.encode(Answer(kind=answer.kind, tensors=answer.tensors, left=len(answer.values)))
    write_all(answers, data + len(data).to_bytes(8, "little"))
    os._exit(0)


def locked(request: Request) -> list[str]:
    """The layers that hold now."""
    if sys.platform == "win32":
        from weighbridge.sandbox.windows import lower  # noqa: PLC0415  # only there

        return lower()
    from weighbridge.sandbox.guest.child import limit  # noqa: PLC0415  # rlimits are POSIX's

    limit(request.bounds)
    return ["rlimits"]
