"""Knows the texts that a user gives to test a classifier of texts: one a line, or rows with a text and a label."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.rows import kind_of, open_rows
from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = ("text", "sentence", "review", "content", "document", "question", "title", "premise")
_LABEL: Final = ("label", "labels", "class", "category", "target", "sentiment", "y")
_MOST: Final = 5000
_WORDY: Final = 8  # letters of a cell, on average, from which on it may be a text


class TextSamples(Struct, frozen=True):
    """Texts and, where they are known, the label of each as it is written. `source` says where they come from."""

    texts: list[str]
    labels: list[str] | None
    source: str


def read_texts(path: str, *, most: int = _MOST) -> TextSamples:
    """The first texts of a file. Raises UsageError where there is none, SourceError."""
    if not os.path.isfile(path):
        raise UsageError(f"{path}: there are no texts", hint="a jsonl, csv, tsv or txt file, one text a row")
    if not kind_of(path):
        raise UsageError(f"{path}: this is no file of texts", hint="one of jsonl, json, csv, tsv, txt")
    texts: list[str] = []
    labels: list[str] = []
    for batch in open_rows(path).batches():
        text, label = _columns(batch.columns)
        if not text:
            raise UsageError(
                f"{path}: no column holds texts",
                hint=f"call one {_TEXT[0]}; there are {', '.join(list(batch.columns)[:10])}",
            )
        cells = batch.columns[text]
        marks = batch.columns[label] if label else [None] * len(cells)
        for cell, mark in zip(cells, marks, strict=True):
            if isinstance(cell, str) and cell.strip():
                texts.append(cell)
                labels.append("" if mark is None else str(mark))
        if len(texts) >= most:
            break
    if not texts:
        raise SourceError(f"{path}: there are no texts in it", hint="one text a row")
    known = all(labels[:most])
    return TextSamples(texts[:most], labels[:most] if known else None, path)


def _columns(columns: Mapping[str, list[Any]]) -> tuple[str, str]:
    """The column of texts and that of labels, by their names, else the one with the longest cells."""
    names = {name.lower(): name for name in columns}
    text = next((names[one] for one in _TEXT if one in names), "")
    label = next((names[one] for one in _LABEL if one in names), "")
    if not text:
        lengths = {
            name: sum(len(cell) for cell in cells[:100] if isinstance(cell, str))
            for name, cells in columns.items()
            if name != label
        }
        longest = max(lengths, key=lambda name: lengths[name], default="")
        text = longest if longest and lengths[longest] >= _WORDY * len(columns[longest][:100]) else ""
    return text, label
