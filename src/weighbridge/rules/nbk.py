"""Knows the NBK family: notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

NBK: Final[tuple[Rule, ...]] = (
    rule("NBK-001", "notebook that installs or fetches", HIGH, "X", "CWE-829",
         what="a cell runs a shell download, or installs from a URL", why="running all cells runs it", fix="install pinned packages beforehand", surface="libraries"),
    rule("NBK-002", "active content in an output", MEDIUM, "UN", "CWE-79",
         what="a stored output holds scripts, frames or remote content", why="opening the notebook shows or runs it", fix="clear the outputs", surface="libraries"),
    rule("NBK-003", "hidden cell", MEDIUM, "E", "AML.T0123", heuristic=True,
         what="a cell with code is hidden, or its code stands behind hundreds of blanks", why="nobody reads what nobody sees", fix="unfold the cell", surface="libraries"),
    rule("NBK-004", "unsafe loading in a cell", HIGH, "X", "CWE-502",
         what="a cell loads pickles or trusts remote code", why="running the cell runs what was downloaded", fix="use safe loaders, as the finding beside it says", surface="libraries"),
    rule("NBK-005", "secret in a notebook", HIGH, "S", "CWE-312",
         what="a cell or output shows a token or key", why="notebooks are shared with their outputs", fix="revoke the secret and clear the cell", surface="libraries"),
    rule("NBK-008", "Jupyter start-up files", MEDIUM, "X", "CWE-427",
         what="the artifact brings a Jupyter configuration, start-up script or checkpoint folder", why="Jupyter runs or restores them", fix="remove the files", surface="libraries"),
)  # fmt: skip
