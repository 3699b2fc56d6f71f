"""Knows what two versions of an artifact have in common, and what changed: files, structure, tensors."""

from __future__ import annotations

from msgspec import Struct


class Difference(Struct, frozen=True, kw_only=True):
    """One change of structure: where, what it is about, and how it read before and after (empty where it was not there)."""

    member: str
    what: str
    before: str = ""
    after: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """One tensor that is not the same. `relative` is the norm of the difference over that of the old tensor.

    `directions` is the estimated rank of the difference (0: not measured, or of full rank), and `spectrum` the share of
    the strongest of them in it (0 to 1, largest first). `rows` counts rows that moved, and `moved` names the first of
    them. `levels` counts the levels that the new values lie on, 0 where they lie on no grid. `broken` counts values
    that were numbers and no longer are.
    """

    name: str
    shape: tuple[int, ...]
    relative: float
    directions: int = 0
    spectrum: tuple[float, ...] = ()
    rows: int = 0
    moved: tuple[int, ...] = ()
    levels: int = 0
    broken: int = 0


class Comparison(Struct, frozen=True, kw_only=True):
    """Two versions side by side. `kind` is what was probably done to the tensors; empty where none were compared.

    `files` and `structure` are changes outside of tensors; `same` names tensors of which every value is the same.
    `odd` names tensors whose change does not fit in with the rest.
    """

    old: str = ""
    new: str = ""
    files: tuple[Difference, ...] = ()
    structure: tuple[Difference, ...] = ()
    same: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    kind: str = ""
