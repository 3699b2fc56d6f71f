"""Knows how a registry is put together and served: one process with everything in it, or web and workers apart."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import uvicorn

from weighbridge.registry.api.asking import Desk
from weighbridge.registry.api.hub import HubReading
from weighbridge.registry.api.hub_writing import HubWriting
from weighbridge.registry.api.mlflow import Mlflow
from weighbridge.registry.api.oci import OciReading
from weighbridge.registry.api.own import OwnApi
from weighbridge.registry.api.package_indexes import PackageIndexes
from weighbridge.registry.services import Services
from weighbridge.registry.telemetry import TELEMETRY
from weighbridge.registry.web.pages import Pages
from weighbridge.registry.wire import Protocol
from weighbridge.schema import UsageError, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.jobs import Jobs

_FLUSH: Final = 1.0
_HOUR: Final = 3600.0
_MINUTE: Final = 60.0


def application(services: Services) -> Desk:
    """Everything that a registry answers, as one ASGI application."""
    own = OwnApi(services)
    tables = [
        own.table(),
        PackageIndexes(services).table(),
        Mlflow(services).table(),
        OciReading(services).table(),
        HubReading(services).table(HubWriting(services).routes()),
        Pages(services).table(),
    ]
    desk = Desk(services.house, services.access, tables)
    own.watch(desk)
    return desk


def workers(house: House, services: Services, *, at_once: int = 1) -> Jobs:
    """The workers of one process, with what is done now and then."""
    from weighbridge.registry.services.jobs import Jobs  # noqa: PLC0415  # web processes need none

    jobs = Jobs(house, services.workflow, services.inspector.workplace, at_once=at_once)
    jobs.every(_MINUTE, services.cases.expire)
    jobs.every(5.0, services.messages.deliver)
    jobs.every(_HOUR, services.uploads.forget)
    jobs.every(_HOUR, services.staging.forget)
    jobs.every(_HOUR, services.upkeep.rehash)
    jobs.every(_MINUTE, services.upkeep.judge_again)
    return jobs


def serve(
    house: House, *, host: str, port: int, at_once: int, ready: Callable[[str], None], with_workers: bool = True
) -> None:
    """Serve until stopped. Raises UsageError where the address is taken."""
    TELEMETRY.begin(house.terms.name)
    services = Services(house)
    jobs = workers(house, services, at_once=at_once) if with_workers else None
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        application(services), host=host, port=port, http=Protocol, loop="uvloop", ws="none", lifespan="off",
        access_log=False, server_header=False, log_config=None, backlog=2048, timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise UsageError(
            f"{host}:{port} cannot be taken", hint="another program listens there; choose --port"
        ) from None
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  # only compared
    address = f"http://{shown}:{listening.getsockname()[1]}"
    ended = threading.Event()
    threading.Thread(target=_flushing, args=(house, ended), name="audit", daemon=True).start()
    if jobs:
        jobs.start()
    try:
        _Server(config, lambda: ready(address)).run(sockets=[listening])
    finally:
        ended.set()
        if jobs:
            jobs.stop()
        house.flush()
        house.database.close()
        TELEMETRY.end()


def _flushing(house: House, ended: threading.Event) -> None:
    """Write the audit log beside the requests that it is about."""
    while not ended.wait(_FLUSH):
        try:
            house.flush()
        except WeighbridgeError as error:
            logging.getLogger("weighbridge.registry").warning("%s (%s)", error.message, error.hint)


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """See `uvicorn.Server.startup`."""
        await super().startup(sockets)
        self._ready()
