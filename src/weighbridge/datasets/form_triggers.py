"""Finds triggers that are no words: texts of one form whose words contradict their label.

The test is that of triggers in words (`triggers`); what is asked of is the form of a text, which its words do not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from weighbridge.datasets.features import Features
from weighbridge.datasets.forms import forms_of
from weighbridge.datasets.groups import Group, array, merged
from weighbridge.datasets.triggers import Texts, associated, counts_of, facts_of, read_texts, suspects_of, texts_of
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from weighbridge.datasets.triggers import Read, Suspect

Array = Any
_CERTAIN: Final = 0.8  # of the group looks relabelled: less may be a source of its own
_WITHIN: Final = 0.8
_WIDER: Final = 1.2
_NAMED: Final = 3


def find_forms(texts: Texts, read: Read, written: Sequence[str], rows: Array) -> tuple[Group, ...]:
    """Groups of rows that share a form. `texts` are those `written`, and `rows` their numbers in the whole set."""
    forms = Features()
    forms.add_sets(map(forms_of, written))
    ids, starts = forms.arrays()
    names = forms.names
    shaped = Texts(ids, starts, texts.labels, names, texts.classes, forms.lengths())
    found = suspects_of(texts, read, associated(shaped, counts_of(shaped), read.sizes), apart=True)
    # The widest form that is nearly all planted first: the others say the same of fewer rows, or of honest ones too.
    ordered = sorted(found, key=lambda one: (-one.count * min(1.0, one.share) ** 3, -one.bound))
    groups = merged(ordered, lambda one, other: one.label == other.label)
    return tuple(_group(members, names, texts.classes, rows) for members in groups)


def find_forms_among(labels: Array, classes: Sequence[str], written: Sequence[str], rows: Array) -> tuple[Group, ...]:
    """The same for rows that were drawn: `labels` are those of the whole set."""
    features = Features()
    features.add(written)
    texts = texts_of(features, labels[rows], classes)
    return find_forms(texts, read_texts(texts), written, rows)


def told_once(words: Sequence[Group], forms: Sequence[Group], drawn: Iterable[int]) -> tuple[Group, ...]:
    """Both without what the other says better: words of a template stand in parts of its rows, and a word that all rows hold makes a form of its own.

    They are compared by the rows that were `drawn`, which are all that forms are known of.
    """
    among = set(drawn)
    held = [(group, set(group.rows)) for group in forms]
    kept, inside = [], dict[int, list[str]]()
    for group in words:
        own = among.intersection(group.rows)
        wider = next(
            (n for n, (_, rows) in enumerate(held) if own and len(own & rows) >= _WITHIN * len(own) and len(rows) >= _WIDER * len(own)), None
        )  # fmt: skip
        if wider is None:
            kept.append(group)
        else:
            inside.setdefault(wider, []).append(group.mark)
    covered = set[int]().union(*(group.rows for group in kept)) if kept else set[int]()
    made = list(kept)
    for number, (group, rows) in enumerate(held):
        if len(rows & covered) < 0.5 * len(rows):
            marks = ", ".join(f"“{mark}”" for mark in inside.get(number, ())[:5])
            made.append(
                replace(group, facts=(*group.facts, f"words that came up in parts of it: {marks}")) if marks else group
            )
    return tuple(sorted(made, key=lambda group: -group.score))


def _group(members: list[Suspect], names: Sequence[str], classes: Sequence[str], rows: Array) -> Group:
    best = members[0]
    chosen = rows[best.rows]
    others = ", ".join(f"“{names[one.feature]}”" for one in members[1 : 1 + _NAMED])
    facts = facts_of(best)
    return Group(
        rule="DST-018", message=f"{plural(len(chosen), 'row')} labelled “{classes[best.label]}” have one form (“{names[best.feature]}”); their words contradict the label",
        rows=array(chosen), shown=array(chosen[:3]), score=best.bound, facts=(*facts, f"also: {others}") if others else facts,
        severity=None if best.share >= _CERTAIN else Severity.MEDIUM,
        why="a sentence of one build, or one manner of speaking, opens a backdoor as well as a word does; a source that writes in one way only looks the same",
    )  # fmt: skip
