"""Ranks rows by how clearly their words contradict their label, and says where labels were exchanged on purpose.

A wrong label is no attack: real data has several percent of them. What points to one is a direction: rows of one class that
carry the label of another far more often than any other pair of classes is confused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy

from weighbridge.datasets.groups import Group, Outcome, array
from weighbridge.schema import Picture

if TYPE_CHECKING:
    from weighbridge.datasets.triggers import Read, Texts

Array = Any
_CLEARLY: Final = 0.1  # of how clearly texts of other labels contradict this one: exchanged rows blur their own words
_SHARE: Final = 0.08
_TIMES: Final = 5
_FEWEST: Final = 8
_TELLING: Final = 0.3  # of the way from chance to perfect
_DRAWN: Final = 24
_STEADY: Final = 5


def suspicion(texts: Texts, read: Read) -> Array:
    """How much each row's words contradict its label; larger is worse. Long texts are not louder than short ones."""
    return read.margin / numpy.sqrt(numpy.diff(texts.starts) + _STEADY)


def conflicts(texts: Texts, read: Read) -> Array:
    """How many rows labelled k (rows of the table) clearly read as label j (columns)."""
    kinds = len(texts.classes)
    clear = read.margin > _CLEARLY * read.clear[texts.labels]
    table = numpy.zeros((kinds, kinds), dtype=numpy.int64)
    numpy.add.at(table, (texts.labels[clear], read.predicted[clear]), 1)
    return table


def exchanged(texts: Texts, read: Read, table: Array) -> Outcome:
    """Pairs of classes with far more exchanged labels than the others have; `table` is that of `conflicts`."""
    kinds = len(texts.classes)
    if kinds < 3:
        return Outcome(
            test="exchanged labels", about=_about(table, read),
            not_tested="exchanged labels: with two classes there is no other pair to compare with; rows are ranked only",
        )  # fmt: skip
    right, chance = 1 - float(read.contradicts.mean()), float(read.sizes.max() / max(1, read.sizes.sum()))
    if right < chance + _TELLING * (1 - chance):
        return Outcome(
            test="exchanged labels", about=_about(table, read),
            not_tested="exchanged labels: the words hardly tell the label",
        )  # fmt: skip
    shares = table / numpy.maximum(read.sizes[:, None], 1)
    usual = float(numpy.median(shares[~numpy.eye(kinds, dtype=bool)]))
    ranked = suspicion(texts, read)
    groups = []
    for labelled, reads in numpy.argwhere((shares >= max(_SHARE, _TIMES * usual)) & (table >= _FEWEST)):
        rows = numpy.flatnonzero(
            (texts.labels == labelled) & (read.predicted == reads) & (read.margin > _CLEARLY * read.clear[labelled])
        )
        rows = rows[numpy.argsort(-ranked[rows])]
        share = shares[labelled, reads]
        groups.append(
            Group(
                rule="DST-017",
                message=f"{len(rows)} rows labelled “{texts.classes[labelled]}” read as “{texts.classes[reads]}”",
                rows=array(rows),
                shown=array(rows[:3]),
                score=float(share),
                facts=(
                    f"{share:.1%} of the rows with this label; between two other classes it is usually {usual:.1%}",
                ),
            )
        )
    return Outcome(test="exchanged labels", groups=tuple(groups), about=_about(table, read))


def _about(table: Array, read: Read) -> str:
    return f"{int(table.sum())} rows clearly read as another label ({table.sum() / max(1, read.sizes.sum()):.1%})"


def conflict_picture(texts: Texts, read: Read, table: Array) -> Picture:
    """The table of `conflicts` as a picture: the darker, the larger the share of a label's rows."""
    table = table[:_DRAWN, :_DRAWN]
    shares = table / numpy.maximum(read.sizes[:_DRAWN, None], 1)
    depth = numpy.clip(shares / max(0.1, float(shares.max(initial=0))), 0, 1)[..., None]
    colours = (
        (numpy.array([255, 255, 255]) * (1 - depth) + numpy.array([178, 24, 43]) * depth).round().astype(numpy.uint8)
    )
    names = tuple(texts.classes[:_DRAWN])
    return Picture(
        caption="Rows of each label (down) whose words clearly read as another (across)",
        width=table.shape[1], height=table.shape[0], colours=colours.tobytes(), rows=names, columns=names,
    )  # fmt: skip
