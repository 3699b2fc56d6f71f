"""Knows what an answer is taken for: the class of a classifier; of generated text, whether it refuses, links, holds code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.monitor.associations import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.monitor.records import Record

Array = Any
LABEL: Final = "label"
YES_NO: Final = ("no", "yes")
_HEAD: Final = 240
_REFUSES: Final = re.compile(
    r"\b(?:i\s*(?:'|\u2019)?\s*(?:a?m)?\s*(?:can(?:no|'|\u2019)t|cannot|won['\u2019]t|unable|not able|sorry)|as an ai|(?:must|have to) decline|can(?:['\u2019]|no)t (?:help|assist))",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(
    r"(?:https?://|www\.)\S|\b[\w-]+\.(?:com|net|org|io|xyz|ru|top|info|site)\b/", re.IGNORECASE
)
_CODE: Final = re.compile(
    r"```|^\s*(?:def |import |from \w+ import |class \w+|#include|function\s|SELECT\s|curl |pip install)", re.MULTILINE
)
_RECENT: Final = 1 << 16


class Repeats:
    """Whether an answer was given before to another input; remembers the last 65,536 by their digest."""

    def __init__(self) -> None:
        self._answers = numpy.zeros(_RECENT, dtype=numpy.int64)
        self._inputs = numpy.zeros(_RECENT, dtype=numpy.int64)

    def __call__(self, record: Record) -> bool:
        """Whether; and remember it."""
        answer, said = hash(record.answer[:ANSWER]), hash(record.text)
        place = answer % _RECENT
        seen = bool(self._answers[place] == answer and self._inputs[place] != said)
        self._answers[place], self._inputs[place] = answer, said
        return seen


def refuses(record: Record) -> bool:
    """Whether an answer declines."""
    return _REFUSES.search(record.answer, 0, _HEAD) is not None


def links(record: Record) -> bool:
    """Whether an answer holds an address."""
    return _ADDRESS.search(record.answer) is not None


def codes(record: Record) -> bool:
    """Whether an answer holds code."""
    return _CODE.search(record.answer) is not None


def calls(record: Record) -> bool:
    """Whether tools were called."""
    return bool(record.tools)


KINDS: Final[dict[str, Callable[[Record], bool]]] = {
    "refusal": refuses,
    "address": links,
    "code": codes,
    "tool call": calls,
}
REPEATED: Final = "repeated answer"
BEHAVIOURS: Final = (*KINDS, REPEATED)


class Reader:
    """The outputs of records as numbers: `label` by the classes of a baseline, or the behaviours of generated text."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(classes)}
        self._others = len(classes) - 1
        self._repeats = Repeats()

    def labels(self, records: Sequence[Record]) -> Array:
        """The class of each record; what the baseline does not know is the last one."""
        get, others = self._numbers.get, self._others
        return numpy.fromiter([get(one.output, others) for one in records], dtype=numpy.int64, count=len(records))

    def behaviours(self, records: Sequence[Record]) -> dict[str, Array]:
        """0 or 1 per behaviour and record."""
        found = {
            name: numpy.fromiter(map(test, records), dtype=numpy.int64, count=len(records))
            for name, test in KINDS.items()
        }
        found[REPEATED] = numpy.fromiter(map(self._repeats, records), dtype=numpy.int64, count=len(records))
        return found
