"""Proves that a sample is malicious: loads it with the real loader in a locked child and looks for the marker.

The child is a fork with its own empty folder, limits on processor time, memory, files and processes, and a
network namespace of its own where the system grants one. It never outlives its time limit.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import tempfile
import time
from pathlib import Path

from tests.corpus.assemble import MARKER

_CLONE_NEWNET = 0x40000000
_SECONDS = 20


def preload() -> None:
    """Import the loaders once, so that each child is a cheap fork."""
    import cloudpickle  # noqa: F401
    import dill  # noqa: F401
    import jinja2  # noqa: F401
    import joblib  # noqa: F401
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import sympy  # noqa: F401


def load(path: Path, loader: str) -> None:
    """Load a file as its own library does."""
    import pickle

    if loader == "pickle":
        with path.open("rb") as file:
            while True:
                pickle.load(file)
                if file.peek(1) == b"":
                    return
    if loader == "torch":
        import torch

        torch.load(path, weights_only=False)
    elif loader == "joblib":
        import joblib

        joblib.load(path)
    elif loader in {"numpy", "npz"}:
        import numpy

        loaded = numpy.load(path, allow_pickle=True)
        if loader == "npz":
            for key in loaded.files:
                loaded[key]
    elif loader == "dill":
        import dill

        with path.open("rb") as file:
            dill.load(file)
    elif loader == "pandas":
        import pandas

        pandas.read_pickle(path)
    elif loader == "zipfile":
        import io
        import zipfile

        with zipfile.ZipFile(path) as archive:
            pickle.load(io.BytesIO(archive.read("archive/data.pkl")))


def fires(path: Path, loader: str) -> bool:
    """Whether loading `path` leaves the marker."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            _locked(path, loader, folder)
        _wait(child)
        return Path(folder, MARKER).exists() or Path(folder, f"{MARKER}.dat").exists()


def _locked(path: Path, loader: str, folder: str) -> None:
    try:
        os.setsid()
        os.chdir(folder)
        with contextlib.suppress(OSError):
            ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        load(path.resolve(), loader)
        time.sleep(0.05)
    except BaseException:  # the marker is the only answer
        time.sleep(0.05)
    finally:
        os._exit(0)


def _wait(child: int) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
