"""The verb `inventory`: everything that code, configuration and folders use, with owner, source, pin and licence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from weighbridge.cli.options import flag, parser
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.used import Used


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "inventory",
        "List every model, adapter, dataset, prompt, tool and package that a code base or a folder of services uses.",
        "weighbridge inventory services/ --online",
        "Exit 0; 1 with --pinned where something from elsewhere may change by itself.",
    )
    made.add_argument("paths", nargs="+", metavar="PATH")
    flag(
        made.add_argument_group("output"),
        "format",
        "how to write the list",
        choices=("terminal", "json"),
        default="terminal",
    )
    made.add_argument("--pinned", action="store_true", help="fail where something from elsewhere is not pinned")
    made.add_argument("--environment", default="", metavar="FOLDER", help="installed packages, for their licences")
    made.add_argument("--online", action="store_true", help="ask the hub for the licence of each repository")
    given = made.parse_args(arguments)
    from weighbridge.provenance.used import used  # noqa: PLC0415  # few runs need it

    found = [one for path in given.paths for one in used(path, environment=given.environment)]
    if given.online:
        found = list(_asked(found))
    loose = [one for one in found if not one.pin and not one.source.startswith("file:")]
    if given.format == "json":
        print(json.dumps([msgspec.to_builtins(one) for one in found], indent=1))
    else:
        for line in _table(found):
            print(line)
        print(
            f"{plural(len({one.source for one in found}), 'thing')} in {plural(len(found), 'place')}, {len(loose)} not pinned"
        )
    return 1 if given.pinned and loose else 0


def _table(found: list[Used]) -> Iterator[str]:
    rows = [("kind", "source", "owner", "pin", "licence", "place")] if found else []
    rows += [
        (
            one.kind,
            one.source,
            one.owner or "-",
            "in the tree" if one.source.startswith("file:") else one.pin[:12] or "not pinned",
            one.licence or "unknown",
            f"{one.file}{f':{one.line}' if one.line else ''}",
        )
        for one in found
    ]
    widths = [min(60, max(len(row[column]) for row in rows)) for column in range(6)] if rows else []
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _asked(found: list[Used]) -> Iterator[Used]:
    """The same with licences as the hub states them; what it does not answer stays unknown."""
    from weighbridge.schema import WeighbridgeError  # noqa: PLC0415  # only where the network is used
    from weighbridge.source.http import Session  # noqa: PLC0415
    from weighbridge.source.hub import HubTree  # noqa: PLC0415

    session, known = Session(), dict[str, str]()
    for one in found:
        if not one.source.startswith("hf://"):
            yield one
            continue
        address = f"{one.source}@{one.pin}" if one.pin else one.source
        if address not in known:
            try:
                known[address] = HubTree(address, session).licence
            except WeighbridgeError:
                known[address] = ""
        yield msgspec.structs.replace(one, licence=known[address])
