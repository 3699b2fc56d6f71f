"""Knows how proofs and comparisons are put into lines, for the terminal and for the page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.output.words import size_text
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Change, Comparison, Difference, Proof

SHOWN: Final = 12


def proof_line(proof: Proof) -> str:
    """`5 files, 304 B, signed by release.pub (8ff3…), made 2026-06-01: what it says`."""
    made = f", made {proof.made}" if proof.made else ""
    covered = f"{plural(proof.files, 'file')}, {size_text(proof.size)}" if proof.size else plural(proof.files, "file")
    by = f"signed by {proof.by} ({proof.key[:16]}…)" if proof.key else proof.by
    return printable(f"{covered}, {by}{made}{f': {proof.what}' if proof.what else ''}")


def comparison_lines(found: Comparison, most: int = SHOWN) -> Iterator[str]:
    """The comparison, at most `most` lines of each depth."""
    for group in (found.files, found.structure):
        yield from _limited([difference_line(one) for one in group], most)
    for what, names in (("removed", found.removed), ("added", found.added), ("another shape", found.reshaped)):
        yield from _limited([f"tensor {what}: {printable(name)}" for name in names], most)
    largest = sorted(found.changed, key=lambda change: -change.relative)
    yield from _limited([f"tensor changed: {change_line(change)}" for change in largest], most)
    if found.kind:
        same = f", {len(found.same)} the same" if found.same else ""
        yield f"{plural(len(found.changed), 'tensor')} changed{same}: {found.kind}"
    elif not (found.files or found.structure):
        yield "nothing changed"


def difference_line(one: Difference) -> str:
    """`changed  config.json: hidden_size 64 → 128`."""
    what = "" if one.what == "file" else f": {one.what}"
    word = "changed" if one.before and one.after else "removed" if one.before else "added"
    if one.what == "file":
        return f"{word:<8} {printable(one.member)}"
    values = f"{one.before} → {one.after}" if one.before and one.after else one.before or one.after
    return f"{word:<8} {printable(f'{one.member}{what}  {values}')}"


def change_line(change: Change) -> str:
    """`model.layers.0.q_proj.weight  2.3 %, 8 directions, 3 of 300 rows`."""
    size = f"{100 * change.relative:.3g} %" if change.relative == change.relative else "other bytes"
    directions = f", {plural(change.directions, 'direction')}" if change.directions else ""
    rows = f", {change.rows} of {change.shape[0]} rows" if change.rows and change.rows < change.shape[0] else ""
    broken = f", {change.broken} values are no numbers" if change.broken else ""
    return printable(f"{change.name}  {size}{directions}{rows}{broken}")


def _limited(lines: list[str], most: int) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"and {len(lines) - most} more"
