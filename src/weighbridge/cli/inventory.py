"""The verb `inventory`: every model and dataset that code and configuration name, with pin, owner and place."""

from __future__ import annotations

import json
import re

from weighbridge.cli.options import flag, parser
from weighbridge.output.words import plural


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "inventory",
        "List every model and dataset that a code base or a folder of services uses.",
        "weighbridge inventory services/",
        "Exit 0; 1 with --pinned where something is named without a commit.",
    )
    made.add_argument("paths", nargs="+", metavar="PATH")
    flag(
        made.add_argument_group("output"),
        "format",
        "how to write the list",
        choices=("terminal", "json"),
        default="terminal",
    )
    made.add_argument("--pinned", action="store_true", help="fail where something is named without a commit")
    given = made.parse_args(arguments)
    from weighbridge.provenance.references import references  # noqa: PLC0415  # few runs need it

    found = [reference for path in given.paths for reference in references(path)]
    loose = [reference for reference in found if not re.fullmatch(r"[0-9a-f]{40}", reference.revision)]
    if given.format == "json":
        rows = [
            {
                "source": r.address,
                "owner": r.name.partition("/")[0],
                "revision": r.revision,
                "file": r.file,
                "line": r.line,
            }
            for r in found
        ]
        print(json.dumps(rows, indent=1))
    else:
        width = max((len(reference.address) for reference in found), default=0)
        for r in found:
            pin = r.revision[:12] if r not in loose else f"not pinned{f' ({r.revision})' if r.revision else ''}"
            print(f"{r.address:<{width}}  {pin:<20}  {r.file}{f':{r.line}' if r.line else ''}")
        print(
            f"{plural(len({r.address for r in found}), 'artifact')} in {plural(len(found), 'place')}, {len(loose)} not pinned"
        )
    return 1 if given.pinned and loose else 0
