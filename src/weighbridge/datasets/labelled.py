"""Knows labelled text as one sketch: what triggers, exchanged labels and the picture of conflicts are told from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy

from weighbridge.datasets.coded import Coded
from weighbridge.datasets.drawn import Drawn
from weighbridge.datasets.features import Features
from weighbridge.datasets.form_triggers import find_forms, find_forms_among, told_once
from weighbridge.datasets.groups import Outcome
from weighbridge.datasets.labels import conflict_picture, conflicts, exchanged
from weighbridge.datasets.triggers import find_triggers, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from weighbridge.datasets.groups import Group
    from weighbridge.datasets.triggers import Read, Texts
    from weighbridge.datasets.view import Rows
    from weighbridge.schema import Picture

_LEAST: Final = 50
_MOST_LABELS: Final = 200


class Labelled:
    """The sketch: features of texts with their labels."""

    def __init__(self, seed: int = 0) -> None:
        """`seed` decides which rows of a large set are read for their form."""
        self._features = Features()
        self._labels = Coded()
        self._drawn = Drawn(seed)
        self.pictures: tuple[Picture, ...] = ()

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self._labels.extend(rows.labels or [""] * len(rows.texts))
        self._drawn.add(rows.texts, len(self._features))
        self._features.add(rows.texts)

    def add_features(self, rows: Iterable[Iterable[str]], labels: Sequence[str] | None) -> None:
        """Take rows whose features are named already."""
        before = len(self._features)
        self._features.add_sets(rows)
        self._labels.extend(labels or [""] * (len(self._features) - before))

    def join(self, other: Labelled, _first: int = 0) -> None:
        """Take the sketch of the rows that follow."""
        self._drawn.join(other._drawn, len(self._features))
        self._features.join(other._features)
        self._labels.join(other._labels)

    def finish(self) -> tuple[Outcome, ...]:
        """Triggers and exchanged labels. The sketch is used up."""
        many, names = len(self._labels), self._labels.names
        kinds = len(names)
        if many < _LEAST or not 2 <= kinds <= _MOST_LABELS:
            why = f"triggers: {many} rows and {kinds} labels (from {_LEAST} rows and 2 to {_MOST_LABELS} labels on)"
            return (Outcome(test="triggers", not_tested=why),)
        texts = texts_of(self._features, self._labels.numbers, names)
        groups, read = find_triggers(texts)
        drawn, written = self._drawn.finish()
        forms, of_forms = self._forms(texts, read, drawn, written)
        table = conflicts(texts, read)
        self.pictures = (conflict_picture(texts, read, table),)
        right = 1 - float(read.contradicts.mean())
        about = f"the words of {right:.0%} of the rows speak for their label"
        gap = "triggers: more different words than are counted" if self._features.full else ""
        return (
            Outcome(test="triggers", groups=told_once(groups, forms, drawn), about=about, not_tested=gap),
            *of_forms,
            exchanged(texts, read, table),
        )

    def _forms(
        self, texts: Texts, read: Read, drawn: list[int], written: list[str]
    ) -> tuple[tuple[Group, ...], tuple[Outcome, ...]]:
        """Groups of one form among the rows that were drawn, and how many these are."""
        if not drawn:
            return (), ()
        rows, many = numpy.array(drawn), len(self._labels)
        if len(rows) == many:
            return find_forms(texts, read, written, rows), (Outcome(test="triggers of form"),)
        forms = find_forms_among(self._labels.numbers, texts.classes, written, rows)
        about = f"{len(rows)} of {many} rows, drawn by what they say"
        return forms, (Outcome(test="triggers of form", about=about),)
