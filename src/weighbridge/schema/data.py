"""Knows what a set of data was taken for, and the pictures that show what was found in it."""

from __future__ import annotations

from msgspec import Struct


class Picture(Struct, frozen=True, kw_only=True):
    """A small picture: `colours` holds red, green and blue of each cell, row by row; the names are of rows and columns."""

    caption: str
    width: int
    height: int
    colours: bytes
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


class Column(Struct, frozen=True, kw_only=True):
    """One column: what it was taken for (`text`, `label`, `annotator` …) and what is in it."""

    name: str
    role: str
    about: str = ""


class Profile(Struct, frozen=True, kw_only=True):
    """What a set of data is. `kind` says what its rows are, `tested` and `untested` what was asked of it and what was not.

    `rejected` rows could not be read, and `notes` say what was guessed.
    """

    name: str
    kind: str
    rows: int
    rejected: int = 0
    files: int = 1
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
