"""The verb `worker`: inspections of a registry, apart from its web processes."""

from __future__ import annotations

import signal
import sys
import threading

from weighbridge.cli.options import flag, parser
from weighbridge.schema import Unavailable, UsageError


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "worker",
        "Inspect what a registry is asked for. As many as wanted, on as many machines, with one database and one store.",
        "weighbridge worker --data /srv/weighbridge --database postgresql://registry@db/registry",
    )
    flag(
        made.add_argument_group("where things lie"),
        "data",
        "the registry's folder",
        default="weighbridge-data",
        metavar="FOLDER",
    )
    flag(
        made.add_argument_group("elsewhere"),
        "database",
        "postgresql://… instead of a file in that folder",
        metavar="URL",
    )
    flag(made.add_argument_group("bytes"), "blobs", "s3://…, gs://… or az://… instead of a folder", metavar="URL")
    flag(
        made.add_argument_group("policy"),
        "policy",
        "configuration (default: weighbridge.toml in the folder)",
        metavar="FILE",
    )
    flag(made.add_argument_group("work"), "workers", "inspections at a time (default: 1)", default="1", metavar="N")
    given = made.parse_args(arguments)
    if not given.workers.isdigit() or given.workers == "0":
        raise UsageError(f"--workers takes a number above zero, not {given.workers!r}")
    try:
        from weighbridge.registry.server import workers  # noqa: PLC0415  # an extra
        from weighbridge.registry.services import Services  # noqa: PLC0415
        from weighbridge.registry.services.house import open_house  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f"worker needs the extra registry ({error.name})", hint="pip install 'weighbridge[registry]'"
        ) from error
    house, token = open_house(given.data, database=given.database or "", blobs=given.blobs or "", config=given.policy)
    if token:
        print(f"the token of the first administrator, shown once:\n\n  {token}\n", file=sys.stderr)
    jobs = workers(house, Services(house), at_once=int(given.workers))
    jobs.start()
    print("working; stop with Ctrl-C", file=sys.stderr, flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    jobs.stop()
    return 0
