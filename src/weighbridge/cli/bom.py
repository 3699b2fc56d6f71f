"""The verb `bom`: what an artifact is made of, as CycloneDX, with where each field comes from."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from weighbridge.cli.options import parser


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "bom",
        "Write the bill of materials of an artifact: CycloneDX 1.6, every field observed or declared, contradictions named.",
        "weighbridge bom model/ --output model.cdx.json",
        "Exit 1 where what is declared contradicts what was observed; the bill is written all the same.",
    )
    made.add_argument("path", help="folder or file")
    made.add_argument("--output", metavar="FILE", help="write the bill to this file")
    given = made.parse_args(arguments)
    from weighbridge.inspection.inventory import describe  # noqa: PLC0415  # few runs need it
    from weighbridge.provenance.bom import contradictions, cyclonedx  # noqa: PLC0415

    description = describe(given.path)
    text = json.dumps(cyclonedx(description, datetime.now(UTC)), indent=1) + "\n"
    if given.output:
        from weighbridge.cli.keys import write_file  # noqa: PLC0415

        write_file(given.output, text.encode())
    else:
        sys.stdout.write(text)
    found = list(contradictions(description))
    for one in found:
        print(
            f"weighbridge: {one.what}: {one.declared.value} ({one.declared.place}), {one.observed.value} ({one.observed.place})",
            file=sys.stderr,
        )
    return 1 if found else 0
