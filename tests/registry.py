"""A registry for tests: in this process, on loopback, with workers that begin at once."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

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
def running(folder, **terms):
    house, services, token = opened(folder, **terms)
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
