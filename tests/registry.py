"""A registry for tests: in this process, on loopback, with workers that begin at once."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from weighbridge.registry.client import Pinned, Registry
from weighbridge.registry.server import application
from weighbridge.registry.services import Services
from weighbridge.registry.services.house import open_house
from weighbridge.registry.wire import Protocol

NOWHERE = {"hub": "", "pypi": "", "npm": ""}


class Running:
    """A registry that answers: its address, services, and tokens of users that are made when they are asked for."""

    def __init__(self, house, services, address, admin):
        self.house, self.services, self.address = house, services, address
        self._tokens = {"admin": admin}

    def token(self, user, role=""):
        if user not in self._tokens:
            self.services.access.add_user(user, role or user)
            self._tokens[user] = self.services.access.new_token(user, "test")
        return self._tokens[user]

    def client(self, user="admin", role=""):
        return Registry.at(self.address, self.token(user, role))

    def settled(self, case, seconds=30):
        """The state in which a case comes to rest."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.house.database.read() as connection:
                row = self.services.cases.row(connection, case)
            if row.state not in {"requested", "fetching", "quarantined"}:
                return row.state
            time.sleep(0.05)
        raise AssertionError(f"case {case} is still {row.state}")


def opened(folder, *, clock=time.time, database="", blobs="", **terms):
    """(house, services, token of the administrator) without a server."""
    house, token = open_house(
        str(folder / "registry"), database=database, blobs=blobs, clock=clock, changes={"upstreams": NOWHERE, **terms}
    )
    return house, Services(house), token


@contextmanager
def running(folder, *, database="", blobs="", **terms):
    house, services, token = opened(folder, database=database, blobs=blobs, **terms)
    begun = set()

    def begin(number, round_):
        # Said twice, it is done once, as with workers.
        if (number, round_) not in begun:
            begun.add((number, round_))
            threading.Thread(target=services.workflow.run, args=(number, round_), daemon=True).start()

    house.submit = begin
    config = uvicorn.Config(
        application(services), port=0, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(house, services, f"http://127.0.0.1:{port}", token)
    finally:
        server.should_exit = True
        thread.join(5)
        house.database.close()


def nobody(address):
    """A client without a token."""
    return Registry(Pinned(address=address, token="", decisions="", log=""))


def postgres_tools():
    """The folder of the PostgreSQL programs, or nothing where they are not installed."""
    found = shutil.which("initdb")
    if found:
        return os.path.dirname(os.path.realpath(found))
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return os.path.dirname(places[-1]) if places else ""


class Postgres:
    """A PostgreSQL server of this test's own, which can be killed and started again."""

    def __init__(self, folder):
        self.tools, self.folder = postgres_tools(), folder
        # PostgreSQL refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        folder.mkdir()
        if self.user:
            shutil.chown(folder, "postgres", "postgres")
            for above in folder.parents:
                if (
                    above.owner() == "root"
                    and above.is_relative_to(tempfile.gettempdir())
                    and above != Path(tempfile.gettempdir())
                ):
                    above.chmod(0o755)
        subprocess.run(
            [f"{self.tools}/initdb", "-D", str(folder), "-A", "trust", "-U", "registry", "-E", "UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.count = 0
        self.start()

    def fresh(self):
        """The address of a new database."""
        import psycopg

        self.count += 1
        with psycopg.connect(f"postgresql://registry@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE d{self.count}")
        return f"postgresql://registry@127.0.0.1:{self.port}/d{self.count}"

    def start(self):
        self._launch()
        for _ in range(400):
            if self.process.poll() is not None:
                # Children of one that was killed hold its memory for a moment longer, and it refuses to start.
                self._launch()
            if not subprocess.run(
                [f"{self.tools}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            ).returncode:
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL does not answer")

    def _launch(self):
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "postmaster.pid").unlink()
        self.process = subprocess.Popen(
            [f"{self.tools}/postgres", "-D", str(self.folder), "-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, **self.user,
        )  # fmt: skip

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "postmaster.pid").unlink()


@contextmanager
def store():
    """The address of a bucket in an S3 server on loopback; its credentials are in the environment until the end."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    kept = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"
    }  # fmt: skip
    try:
        request = urllib.request.Request(f"http://{host}:{port}/blobs", method="PUT")
        urllib.request.urlopen(request).close()
        yield "s3://blobs/registry"
    finally:
        server.stop()
        os.environ.clear()
        os.environ |= kept
