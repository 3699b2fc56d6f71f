"""Runs one command and measures it: exit code, processor seconds, wall seconds, peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

_LAUNCH = Path(__file__).with_name("launch.py")


class Run(Struct, frozen=True, kw_only=True):
    """One run. `code` is None where it was stopped at its limit; memory is in megabytes."""

    code: int | None
    cpu: float
    wall: float
    memory: float


def run(command, *, limit=120.0) -> Run:
    """Run a command to its end or its limit."""
    environment = {**os.environ, "CI": "1", "DO_NOT_TRACK": "1", "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_COLOR": "1"}
    launcher = [sys.executable, "-S", "-E", str(_LAUNCH), *command]
    child = subprocess.Popen(
        launcher, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        text, _ = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return Run(code=None, cpu=limit, wall=limit, memory=0)
    code, cpu, wall, memory = json.loads(text)
    return Run(code=code, cpu=cpu, wall=wall, memory=memory)


def median(command, *, times=3, limit=120.0) -> Run:
    """The run with the median processor time."""
    runs = sorted((run(command, limit=limit) for _ in range(times)), key=lambda r: r.cpu)
    return runs[len(runs) // 2]
