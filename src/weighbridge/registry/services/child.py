"""Knows how this program is run as a child of its own: what reads a hostile file is not the process that decides."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

_LONGEST: Final = 4 * 3600


def run(folder: str, *arguments: str) -> tuple[subprocess.CompletedProcess[bytes] | None, str]:
    """(this program with arguments in a folder, what it complained of); nothing where it took too long."""
    # -I: neither the current folder nor the environment may put a module in the way.
    command = [sys.executable, "-I", "-m", "weighbridge", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # our own program, with a list of arguments
            command, cwd=folder, capture_output=True, timeout=_LONGEST, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired:
        return None, "it took too long"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return done, said[0] if said else f"exit code {done.returncode}"


def _environment() -> dict[str, str]:
    """What a child needs to know of the environment; tokens and addresses are not among it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "WEIGHBRIDGE_CACHE", "LANG") if name in os.environ}


def folder_name(name: str) -> str:
    """The last part of a name, as the folder that reports speak of. It is given to programs, and must be no option of theirs."""
    return name.rpartition("/")[2].lstrip("@-~.") or "artifact"
