"""The verb `diff`: two versions of an artifact, or a derivative and its base: files, structure, tensors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from weighbridge.cli.options import parser
from weighbridge.output.words import plural

if TYPE_CHECKING:
    from weighbridge.provenance.tensors import Comparison

_SHOWN = 12


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "diff",
        "Compare two versions of an artifact, or a derivative with its base.",
        "weighbridge diff base/ tuned/ --frozen 'layers\\.[0-9]\\.'",
        "Exit 1 where a frozen tensor changed, or where what was done is not what was expected.",
    )
    made.add_argument("old")
    made.add_argument("new")
    made.add_argument("--frozen", default="", metavar="REGEX", help="tensors that must be bit-identical")
    made.add_argument(
        "--expect",
        default="",
        metavar="KIND",
        help="what should have been done, e.g. 'low-rank merge', 'head only', 'nothing'",
    )
    made.add_argument("--no-tensors", action="store_true", help="compare files only")
    given = made.parse_args(arguments)
    _files(given.old, given.new)
    if given.no_tensors:
        return 0
    from weighbridge.provenance.tensors import compare  # noqa: PLC0415  # numpy takes a while

    found = compare(given.old, given.new)
    _tensors(found)
    touched = [change.name for change in found.changed if given.frozen and re.search(given.frozen, change.name)]
    for name in touched[:_SHOWN]:
        print(f"changed although frozen: {name}")
    if given.expect and found.kind != given.expect:
        print(f"expected: {given.expect}, found: {found.kind}")
    return 1 if touched or (given.expect and found.kind != given.expect) else 0


def _files(old: str, new: str) -> None:
    from weighbridge.provenance.digest import digests, members  # noqa: PLC0415

    before = {one.name: one.sha256 for one in digests(members(old))}
    after = {one.name: one.sha256 for one in digests(members(new))}
    if len(before) == len(after) == 1:
        return
    for what, names in (
        ("removed", sorted(before.keys() - after.keys())),
        ("added", sorted(after.keys() - before.keys())),
        ("changed", sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    ):
        for name in names:
            print(f"{what:<8} {name}")


def _tensors(found: Comparison) -> None:
    for what, names in (("removed", found.removed), ("added", found.added), ("another shape", found.reshaped)):
        for name in names[:_SHOWN]:
            print(f"tensor {what}: {name}")
        if len(names) > _SHOWN:
            print(f"and {len(names) - _SHOWN} more")
    for change in sorted(found.changed, key=lambda c: -c.relative)[:_SHOWN]:
        directions = f", {change.directions} directions" if change.directions else ""
        rows = f", {change.rows} of {change.shape[0]} rows" if change.rows and change.rows < change.shape[0] else ""
        print(f"tensor changed: {change.name}  {100 * change.relative:.2f} %{directions}{rows}")
    if len(found.changed) > _SHOWN:
        print(f"and {len(found.changed) - _SHOWN} more")
    print(f"{plural(len(found.changed), 'tensor')} changed, {found.same} the same: {found.kind}")
