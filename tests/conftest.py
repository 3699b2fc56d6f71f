"""Fixtures for every test: sockets are closed, and a sample on disk is one call away."""

from __future__ import annotations

import socket

import pytest

from weighbridge import scan

_CONNECT = socket.socket.connect


@pytest.fixture(autouse=True)
def closed_sockets(monkeypatch):
    """Only loopback can be reached."""

    def connect(self, address):
        if isinstance(address, tuple) and not str(address[0]).startswith("127."):
            raise AssertionError(f"a test tried to reach {address}")
        return _CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """What is remembered between runs lies in a folder of the test's own."""
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def lay(tmp_path):
    """Write files (`{relative path: bytes}`) and return the folder."""

    def write(files):
        for name, data in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path

    return write


@pytest.fixture
def report_of(lay):
    """Scan one file, or a folder of files, and return the report."""

    def run(files, **options):
        folder = lay(files)
        target = folder / next(iter(files)) if len(files) == 1 and not options.pop("folder", False) else folder
        return scan([str(target)], **options)

    return run
