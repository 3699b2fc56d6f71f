"""Knows how verbs open a registry on this machine: where it lies, its extra, and the token that is shown once."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from weighbridge.cli.options import flag
from weighbridge.schema import Unavailable, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from weighbridge.registry.services.house import House


def add_places(made: argparse.ArgumentParser) -> None:
    """The flags that say where a registry lies."""
    place = made.add_argument_group("where things lie")
    folder = "folder for keys, database and blobs (default: ./weighbridge-data)"
    flag(place, "data", folder, default="weighbridge-data", metavar="FOLDER")
    flag(place, "database", "postgresql://… instead of a file in that folder", metavar="URL")
    flag(place, "blobs", "s3://…, gs://… or az://… instead of a folder", metavar="URL")
    config = "configuration with [registry] and the policy (default: weighbridge.toml in the folder)"
    flag(place, "policy", config, metavar="FILE")


def add_logs(group: argparse._ArgumentGroup) -> None:
    """The flag that says how is logged."""
    flag(
        group,
        "log-format",
        "text, or one JSON object a line with every request",
        choices=("text", "json"),
        default="text",
    )


def begin_logs(given: argparse.Namespace) -> None:
    """Log as the flag says."""
    from weighbridge.registry.logs import begin  # noqa: PLC0415  # only servers log

    begin(given.log_format)


@contextlib.contextmanager
def server_parts(verb: str) -> Iterator[None]:
    """Around imports of the server. Raises Unavailable where the extra is not installed."""
    try:
        yield
    except ImportError as error:
        raise Unavailable(
            f"{verb} needs the extra registry ({error.name})", hint="pip install 'weighbridge[registry]'"
        ) from error


def opened(given: argparse.Namespace, changes: dict[str, Any] | None = None) -> House:
    """The registry that flags name; the token of its first administrator is shown where it was made just now."""
    from weighbridge.registry.services.house import open_house  # noqa: PLC0415  # an extra

    house, token = open_house(
        given.data, database=given.database or "", blobs=given.blobs or "", config=given.policy, changes=changes
    )
    if token:
        print(f"the token of the first administrator, shown once:\n\n  {token}\n", file=sys.stderr)
    return house


def count(text: str, name: str, least: int = 1) -> int:
    """A whole number of a flag. Raises UsageError."""
    if not text.isdigit() or int(text) < least:
        raise UsageError(f"--{name} takes a whole number from {least}, not {text!r}")
    return int(text)
