"""The verb `worker`: inspections of a registry, apart from its web processes."""

from __future__ import annotations

import signal
import sys
import threading

from weighbridge.cli.house import add_logs, add_places, begin_logs, count, opened, server_parts
from weighbridge.cli.options import flag, parser


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "worker",
        "Inspect what a registry is asked for. As many as wanted, on as many machines, with one database and one store.",
        "weighbridge worker --data /srv/weighbridge --database postgresql://registry@db/registry",
    )
    add_places(made)
    work = made.add_argument_group("work")
    flag(work, "workers", "inspections at a time (default: 1)", default="1", metavar="N")
    add_logs(work)
    given = made.parse_args(arguments)
    at_once = count(given.workers, "workers")
    with server_parts("worker"):
        from weighbridge.registry.server import workers  # noqa: PLC0415  # an extra
        from weighbridge.registry.services import Services  # noqa: PLC0415
        from weighbridge.registry.telemetry import TELEMETRY  # noqa: PLC0415
    begin_logs(given)
    house = opened(given)
    TELEMETRY.begin(house.terms.name)
    jobs = workers(house, Services(house), at_once=at_once)
    jobs.start()
    print("working; stop with Ctrl-C", file=sys.stderr, flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    jobs.stop()
    TELEMETRY.end()
    return 0
