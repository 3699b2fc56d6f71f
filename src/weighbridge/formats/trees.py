"""Knows tree models: LightGBM's text, XGBoost's JSON and UBJSON, and whether their indices stay inside their arrays.

Sources: LightGBM 4 `src/io/tree.cpp`, XGBoost 3 `doc/model.schema`, ubjson.org.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

_DEPTH: Final = 64
_VALUES: Final = 1_000_000
_WIDTHS: Final = {
    b"i": (1, "b"),
    b"U": (1, "B"),
    b"I": (2, "h"),
    b"l": (4, "i"),
    b"L": (8, "q"),
    b"d": (4, "f"),
    b"D": (8, "d"),
}
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}\Z")
_ARRAYS: Final = ("left_children", "right_children", "parents", "split_indices", "split_conditions")


def read_lightgbm(text: str) -> tuple[int, tuple[str, ...]]:
    """(number of trees, problems) of a LightGBM text model."""
    problems: list[str] = []
    features = _header(text)
    trees = text.split("\nTree=")[1:]
    for number, body in enumerate(trees):
        values = dict(line.split("=", 1) for line in body.split("\n") if "=" in line)
        problems += [f"tree {number}: {problem}" for problem in _lightgbm_tree(values, features)]
        if len(problems) > 50:
            break
    return len(trees), tuple(problems)


def _header(text: str) -> int:
    for line in text.split("\n", 40):
        if line.startswith("max_feature_idx="):
            return _integer(line[16:], -1)
    return -1


def _integer(text: str, default: int) -> int:
    text = text.strip()
    return int(text) if _NUMBER.match(text) else default


def _lightgbm_tree(values: dict[str, str], features: int) -> Iterator[str]:
    leaves = _integer(values.get("num_leaves", ""), -1)
    if not 1 <= leaves <= 1 << 24:
        yield f"num_leaves is {values.get('num_leaves', 'missing')[:20]}"
        return
    inner = leaves - 1
    for key in ("left_child", "right_child", "split_feature"):
        numbers = [_integer(part, 1 << 62) for part in values.get(key, "").split()]
        if len(numbers) != inner and not (leaves == 1 and len(numbers) <= 1):
            yield f"{key} has {len(numbers)} entries for {inner} splits"
            continue
        for value in numbers if leaves > 1 else []:
            if key == "split_feature":
                bad = value < 0 or (features >= 0 and value > features)
            else:
                bad = not -leaves <= value < inner
            if bad:
                yield f"{key} holds {value}"
                break
    count = len(values.get("leaf_value", "").split())
    if count != leaves:
        yield f"leaf_value has {count} entries for {leaves} leaves"


def xgboost_problems(document: Any) -> tuple[str, ...]:
    """What is wrong with the trees of a parsed XGBoost model."""
    problems: list[str] = []
    learner = document.get("learner") if isinstance(document, dict) else None
    booster = learner.get("gradient_booster") if isinstance(learner, dict) else None
    while isinstance(booster, dict) and "gbtree" in booster:
        booster = booster["gbtree"]
    model = booster.get("model") if isinstance(booster, dict) else None
    trees = model.get("trees") if isinstance(model, dict) else None
    for number, tree in enumerate(trees if isinstance(trees, list) else []):
        if isinstance(tree, dict) and len(problems) < 50:
            problems += [f"tree {number}: {problem}" for problem in _xgboost_tree(tree)]
    return tuple(problems)


def _xgboost_tree(tree: dict[str, Any]) -> Iterator[str]:
    parameters = tree.get("tree_param")
    claimed = str(parameters.get("num_nodes", "")) if isinstance(parameters, dict) else ""
    nodes = _integer(claimed, -1)
    if nodes < 1:
        yield f"num_nodes is {claimed[:20] or 'missing'}"
        return
    for key in _ARRAYS:
        values = tree.get(key)
        if not isinstance(values, list) or len(values) != nodes:
            yield f"{key} has {len(values) if isinstance(values, list) else 'no'} entries for {nodes} nodes"
        elif key.endswith("children") and any(type(v) is not int or not -1 <= v < nodes for v in values):
            yield f"{key} leads outside the tree"


def read_ubjson(blob: Blob) -> Any:
    """A UBJSON document as plain data; long arrays of numbers are read at once. Raises MalformedInput, LimitExceeded."""
    return _Ubjson(Window(blob, steps=_VALUES)).value(0)


class _Ubjson:
    """Containers are bounded by the budget of the window and nested at most 64 deep."""

    def __init__(self, window: Window) -> None:
        self._w, self._at = window, 0

    def _take(self, length: int) -> bytes:
        data = self._w.bytes(self._at, length)
        self._at += length
        return data

    def _count(self) -> int:
        marker = self._take(1)
        if marker not in _WIDTHS or marker in {b"d", b"D"}:
            raise MalformedInput(f"a length of type {marker!r}", offset=self._at)
        width, code = _WIDTHS[marker]
        value: int = struct.unpack(f">{code}", self._take(width))[0]
        if value < 0 or value > self._w.size - self._at:
            raise MalformedInput(f"a length of {value}", offset=self._at)
        return value

    def value(self, depth: int, marker: bytes = b"") -> Any:
        self._w.step()
        marker = marker or self._take(1)
        if depth > _DEPTH:
            raise LimitExceeded("nested too deeply", limit="depth")
        if marker in _WIDTHS:
            width, code = _WIDTHS[marker]
            return struct.unpack(f">{code}", self._take(width))[0]
        if marker == b"S":
            return self._take(self._count()).decode("utf-8", "replace")
        if marker == b"C":
            return self._take(1).decode("latin-1")
        if marker in b"ZTFN":
            return {b"T": True, b"F": False}.get(marker)
        if marker == b"{":
            return self._table(depth)
        if marker == b"[":
            return self._list(depth)
        raise MalformedInput(f"value type {marker!r}", offset=self._at)

    def _sizes(self) -> tuple[bytes, int]:
        kind, count = b"", -1
        if self._w.bytes(self._at, 1) == b"$":
            kind = self._take(2)[1:]
        if self._w.bytes(self._at, 1) == b"#":
            self._take(1)
            count = self._count()
        return kind, count

    def _table(self, depth: int) -> dict[str, Any]:
        kind, count = self._sizes()
        found: dict[str, Any] = {}
        while count:
            if count < 0 and self._w.bytes(self._at, 1) == b"}":
                self._at += 1
                break
            key = self._take(self._count()).decode("utf-8", "replace")
            found[key] = self.value(depth + 1, kind)
            count -= 1
        return found

    def _list(self, depth: int) -> list[Any]:
        kind, count = self._sizes()
        if kind in _WIDTHS and count >= 0:
            width, code = _WIDTHS[kind]
            return list(struct.unpack(f">{count}{code}", self._take(count * width)))
        found: list[Any] = []
        while count:
            if count < 0 and self._w.bytes(self._at, 1) == b"]":
                self._at += 1
                break
            found.append(self.value(depth + 1, kind))
            count -= 1
        return found
