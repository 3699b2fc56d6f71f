"""Holds what is declared of a data set against what is there: digests of Croissant, rows and columns and labels of cards.

Sources: Croissant 1.0 (MLCommons; JSON-LD on schema.org, `distribution` with `sha256`), the Hub's `dataset_info` in the front matter
of a card, and `dataset_infos.json` before it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.card import card_at
from weighbridge.formats.document import read_json
from weighbridge.rules.finding import finding
from weighbridge.schema import LimitExceeded, Location, MalformedInput, Severity
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from weighbridge.datasets.examine import Examined
    from weighbridge.schema import Finding

_LARGEST: Final = 16 << 20
_SHOWN: Final = 5
_DIGESTS: Final = ("sha256", "md5")
# What the Hub calls a split by its name (huggingface.co/docs/hub/datasets-file-names-and-splits).
_SPLITS: Final = {"val": "validation", "valid": "validation", "dev": "validation", "eval": "test", "evaluation": "test", "testing": "test", "": "train"}  # fmt: skip


class Split(Struct, frozen=True):
    """How many rows a split should have."""

    name: str
    rows: int


class Described(Struct, frozen=True, kw_only=True):
    """What a card says of one table: its columns, the names of labels by column, its splits. Empty where it says nothing."""

    place: str
    columns: frozenset[str] = frozenset()
    labels: Mapping[str, tuple[str, ...]] = {}
    splits: tuple[Split, ...] = ()


def findings(folder: str, examined: Sequence[Examined]) -> Iterator[Finding]:
    """DST-032 for each thing that is not as declared: files of a Croissant document, rows and columns of a card."""
    for place, document in _croissants(folder):
        yield from _files(folder, place, document)
    described = _described(folder)
    tables = [one for one in examined if one.table is not None and one.profile.rows]
    if described is not None and len(tables) == 1 and not tables[0].failed:
        yield from _content(described, tables[0])


def _croissants(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(os.listdir(folder)):
        if name.lower().endswith(".json") and ("croissant" in name.lower() or name.lower() == "metadata.json"):
            root = _json_at(os.path.join(folder, name))
            if isinstance(root, dict) and isinstance(root.get("distribution"), list):
                yield os.path.join(folder, name), root


def _json_at(path: str) -> Any:
    """What a JSON file holds; None where it is no file, too large, or broken: the scan of its bytes says so."""
    try:
        if os.path.islink(path) or os.path.getsize(path) > _LARGEST:
            return None
        with open(path, encoding="utf-8", errors="replace") as file:
            return read_json(file.read()).root
    except (OSError, MalformedInput, LimitExceeded):
        return None


def _files(folder: str, place: str, document: dict[str, Any]) -> Iterator[Finding]:
    """The files of a Croissant document: what lies here must have the digest that it says; what is fetched must have one."""
    bare: list[str] = []
    for one in document["distribution"]:
        if not isinstance(one, dict) or "includes" in one:  # a FileSet is described by its container
            continue
        address = str(one.get("contentUrl", ""))
        said = [(kind, str(one[kind]).lower()) for kind in _DIGESTS if isinstance(one.get(kind), str) and one[kind]]
        path = _inside(folder, address)
        if not said:
            bare.append(address or str(one.get("@id", one.get("name", ""))))
        elif path:
            kind, digest = said[0]
            found = _digest(path, kind)
            if found and found != digest:
                yield _finding(
                    place, f"{printable(address)} is not what its description says",
                    (f"declared: {kind} {printable(digest[:128])}", f"here: {kind} {found}"), Severity.HIGH,
                )  # fmt: skip
    if bare:
        names = tuple(printable(one[:160]) for one in bare[:_SHOWN])
        yield _finding(place, f"{plural(len(bare), 'file')} of the description without a digest", names, Severity.LOW)


def _inside(folder: str, address: str) -> str:
    """The file that a relative address means; empty for other addresses, links, and whatever leads out of the folder."""
    if not address or "://" in address or os.path.isabs(address):
        return ""
    root = os.path.realpath(folder)
    try:
        real = os.path.realpath(os.path.join(root, address))
        return real if os.path.commonpath([real, root]) == root and os.path.isfile(real) else ""
    except (OSError, ValueError):
        return ""


def _digest(path: str, kind: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    except OSError:
        return ""


def _described(folder: str) -> Described | None:
    """What the card or `dataset_infos.json` says of the one configuration there is; of several, which files are whose is open."""
    place = os.path.join(folder, "README.md")
    about = card_at(place).get("dataset_info")
    if about is None:
        place = os.path.join(folder, "dataset_infos.json")
        about = _json_at(place)
        about = list(about.values()) if isinstance(about, dict) else None
    if isinstance(about, list):
        about = about[0] if len(about) == 1 else None
    if not isinstance(about, dict):
        return None
    features = _features(about.get("features"))
    splits = about.get("splits")
    several = splits.values() if isinstance(splits, dict) else splits if isinstance(splits, list) else ()
    return Described(
        place=place,
        columns=frozenset(features),
        labels={name: names for name, kind in features.items() if (names := _names(kind))},
        splits=tuple(
            Split(str(one.get("name", "")), int(str(one["num_examples"])))
            for one in several
            if isinstance(one, dict) and str(one.get("num_examples", "")).isdecimal()
        ),
    )


def _features(given: Any) -> dict[str, Any]:
    """Columns with their types: a list of `name` with its type in the front matter of a card, a table in the older file."""
    if isinstance(given, dict):
        return {str(name): kind for name, kind in given.items()}
    if not isinstance(given, list):
        return {}
    return {str(one["name"]): one for one in given if isinstance(one, dict) and "name" in one}


def _names(kind: Any) -> tuple[str, ...]:
    """The names of a column of labels, in their order."""
    dtype = kind.get("dtype") if isinstance(kind, dict) else None
    told = dtype.get("class_label") if isinstance(dtype, dict) else kind if isinstance(kind, dict) else None
    names = told.get("names") if isinstance(told, dict) else None
    if isinstance(names, dict):
        return tuple(str(name) for _, name in sorted(names.items(), key=lambda one: int(one[0]) if str(one[0]).isdecimal() else 0))  # fmt: skip
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _content(described: Described, one: Examined) -> Iterator[Finding]:
    """The table that is there against what is said of it."""
    counted: dict[str, int] = {}
    for name, rows in one.splits.items():
        counted[_SPLITS.get(name, name)] = counted.get(_SPLITS.get(name, name), 0) + rows
    for split in described.splits:
        rows = counted.get(_SPLITS.get(split.name, split.name), 0)
        if rows > split.rows:
            # More than was described came from somewhere; less is a part of it.
            message = f"the split {printable(split.name)} has {rows} rows, and {split.rows} are declared"
            yield _finding(described.place, message, (f"{rows - split.rows} rows that nobody declared",))
        elif 0 < rows < split.rows:
            message = f"the split {printable(split.name)} has {rows} of the {split.rows} rows that are declared"
            yield _finding(described.place, message, (), Severity.LOW)
    columns = {column.name for column in one.profile.columns}
    added, missing = sorted(columns - described.columns), sorted(described.columns - columns)
    if described.columns and (added or missing):
        lines = [*(f"not declared: {printable(name[:80])}" for name in added[:_SHOWN]), *(f"not there: {printable(name[:80])}" for name in missing[:_SHOWN])]  # fmt: skip
        yield _finding(described.place, "the columns are not those that are declared", lines)
    for name, names in described.labels.items():
        is_label = any(column.name == name and column.role == "label" for column in one.profile.columns)
        beyond = sorted(value for value in one.labels if value.isdecimal() and int(value) >= len(names))
        if is_label and beyond:
            message = f"{printable(name)} holds labels beyond the {len(names)} that have a name"
            yield _finding(described.place, message, (f"such as {printable(beyond[0])}",))


def _finding(place: str, message: str, lines: Sequence[str], severity: Severity | None = None) -> Finding:
    return finding("DST-032", Location(path=(place,)), message, evidence=lines, severity=severity)
