"""The verb `serve`: the registry, in one process and without configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from weighbridge.cli.house import add_logs, add_places, begin_logs, count, opened, server_parts
from weighbridge.cli.options import flag, parser

if TYPE_CHECKING:
    import argparse


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    port, at_once = count(given.port, "port", 0), count(given.workers, "workers")
    with server_parts("serve"):
        from weighbridge.registry.server import serve  # noqa: PLC0415  # an extra
    begin_logs(given)
    house = opened(given, _changes(given))

    def ready(address: str) -> None:
        with_token = address.replace("://", "://token:wb_…@", 1)
        print(_GREETING.format(address=address, with_token=with_token), file=sys.stderr, flush=True)

    serve(
        house, host=given.host, port=port, at_once=at_once, ready=ready,
        with_workers=not given.no_workers,
    )  # fmt: skip
    return 0


_GREETING = """Weighbridge registry at {address}
  people                open {address} and log in with a token
  models and datasets   export HF_ENDPOINT={address} HF_TOKEN=wb_… HF_HUB_DISABLE_XET=1
  Python packages       pip install --index-url {with_token}/pypi/simple/ NAME
  npm packages          npm install --registry {address}/npm/ NAME
  MLflow                export MLFLOW_TRACKING_URI={address}/mlflow MLFLOW_TRACKING_TOKEN=wb_…
  this command          WEIGHBRIDGE_TOKEN=wb_… weighbridge registry login {address}
stop with Ctrl-C"""


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "serve",
        "Serve the registry: models, datasets and packages that were inspected and approved, and nothing else.",
        "weighbridge serve --data /srv/weighbridge",
    )
    add_places(made)
    web = made.add_argument_group("the server")
    flag(web, "host", "address to listen on (default: 127.0.0.1)", default="127.0.0.1", metavar="ADDRESS")
    flag(web, "port", "port to listen on (default: 8440)", default="8440", metavar="N")
    flag(web, "address", "the address that clients use, where it is another", metavar="URL")
    flag(web, "workers", "inspections at a time (default: 1)", default="1", metavar="N")
    add_logs(web)
    flag(web, "no-workers", "only answer requests; `weighbridge worker` inspects", action="store_true")
    flag(web, "no-upstream", "fetch nothing from outside", action="store_true")
    flag(web, "anonymous", "let anybody read what was approved", action="store_true")
    return made.parse_args(arguments)


def _changes(given: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if given.address:
        changes["address"] = given.address
    if given.no_upstream:
        changes["upstreams"] = {"hub": "", "pypi": "", "npm": "", "oci": ""}
    if given.anonymous:
        changes["anonymous"] = True
    return changes
