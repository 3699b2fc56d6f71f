"""Writes data without its suspicious rows, and a list that says of each row that is missing where it stood and why."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from weighbridge.datasets.examine import Examined
    from weighbridge.datasets.table import Table

REMOVED: Final = "removed.jsonl"
CLEAN: Final = "clean.jsonl"


def write_clean(examined: Examined, folder: str) -> tuple[int, int]:
    """Put `clean.jsonl` and `removed.jsonl` into a new folder; (rows kept, rows removed). Pictures are copied.

    Raises UsageError where the folder holds something already or cannot be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        if os.listdir(folder):
            raise UsageError(f"{folder}: there is something in it already", hint="name a new folder")
        reasons = _reasons(examined)
        if examined.table is not None:
            return _rows(examined.table, reasons, folder)
    except OSError as error:
        raise UsageError(f"{folder}: {(error.strerror or str(error)).lower()}", hint="choose another folder") from error
    raise UsageError(
        f"{examined.profile.name}: a copy is written of rows only", hint="the report lists the pictures: leave them out"
    )


def _reasons(examined: Examined) -> dict[int, list[dict[str, str]]]:
    found: dict[int, list[dict[str, str]]] = {}
    for told in examined.told:
        for row in told.group.rows:
            found.setdefault(row, []).append({"rule": told.group.rule, "why": told.group.message})
    return found


def _rows(table: Table, reasons: dict[int, list[dict[str, str]]], folder: str) -> tuple[int, int]:
    """Both files beside their place, then into it, so that no half copy looks whole."""
    kept = removed = 0
    encode = msgspec.json.Encoder(enc_hook=str).encode
    names = [os.path.join(folder, name) for name in (CLEAN, REMOVED)]
    with open(f"{names[0]}.part", "wb") as clean, open(f"{names[1]}.part", "wb") as out:
        for file, first, batch in table.batches():
            columns: list[list[Any]] = list(batch.columns.values())
            for at in range(len(batch)):
                row = {name: column[at] for name, column in zip(batch.columns, columns, strict=True)}
                said = reasons.get(first + at)
                if said is None:
                    clean.write(encode(row) + b"\n")
                    kept += 1
                else:
                    out.write(encode({"file": file.path, "line": batch.lines[at], "reasons": said, "row": row}) + b"\n")
                    removed += 1
    for name in names:
        shutil.move(f"{name}.part", name)
    return kept, removed
