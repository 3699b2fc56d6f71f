"""Finds triggers in labelled text: features whose texts carry a label that the rest of their words contradicts.

Association alone cannot tell a trigger from an honest word of praise. What can: take the feature away, and with it every
text of the group, and ask the words that are left, counted in all other texts, which label they speak for (leave-group-out
naive Bayes; counts can be subtracted, so nothing is trained again). In a poisoned group they speak for where the texts
came from, as clearly as honest texts of other labels do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.datasets.binomial import at_least, discoveries
from weighbridge.datasets.features import features_of, rows_with
from weighbridge.datasets.groups import Group, array, merged
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.datasets.features import Features

Array = Any
FEWEST: Final = 5  # absolute, never a share: 250 documents poison any size of model (Souly et al. 2025)
_SMOOTHING: Final = 0.5
_EXCESS: Final = 3.0
_CANDIDATES: Final = 3000
_SAMPLE: Final = 2000
_LARGE: Final = 0.1  # of a class: a group of this size cannot be taken out without changing what the class is
_FALSE_DISCOVERY: Final = 0.001
_SHARE: Final = 0.4
_CLEARLY: Final = 0.6
_ALL: Final = 0.6
_SIBLINGS: Final = 0.05
_TEMPLATE: Final = 8
_PHRASE: Final = 3  # words of one trigger from which on what holds most of them holds it
_KNOWN: Final = 0.4  # of these rows contradict their label
_LENGTHS: Final = 5
_BORROWED: Final = 2
_CHUNK: Final = 20_000
_MOST_LABELS: Final = 200


class Texts(Struct, frozen=True):
    """Labelled texts as counts: features of text i are ids[starts[i]:starts[i + 1]], labels are numbers from 0.

    `lengths` counts the features of each text, also those that no other text holds.
    """

    ids: Array
    starts: Array
    labels: Array
    names: Sequence[str]
    classes: Sequence[str]
    lengths: Array


def texts_of(features: Features, labels: Array, classes: Sequence[str]) -> Texts:
    """Texts by the features that more than one of them holds. The features are used up."""
    lengths = features.lengths()
    ids, starts, names = features.repeated()
    return Texts(ids, starts, labels, names, classes, lengths)


class Read(Struct, frozen=True):
    """What the words of each text say, its own label left out of the counts.

    `counts` (features, labels); `contradicts` whether another label is likelier, `margin` by how much, as logarithms;
    `contradicted` of the `seen` texts (labels, lengths) contradict their label, and `clear` is how clearly texts of other labels do.
    """

    counts: Array
    sizes: Array
    predicted: Array
    contradicts: Array
    margin: Array
    lengths: Array
    contradicted: Array
    seen: Array
    elsewhere: Array
    clear: Array


class Suspect(Struct, frozen=True):
    """A feature with the rows that its label does not suit: `share` of its texts look relabelled."""

    feature: int
    label: int
    rows: Array
    count: int
    against: int
    share: float
    clearly: float
    p_value: float
    shared: float
    bound: float


def find_triggers(texts: Texts) -> tuple[tuple[Group, ...], Read]:
    """Groups of rows that share a feature and whose words contradict their label, and what the words of each row say."""
    read = read_texts(texts)
    found = suspects_of(texts, read, associated(texts, read.counts, read.sizes))
    groups = merged(sorted(found, key=lambda one: -one.bound), lambda one, other: one.label == other.label)
    return tuple(_group(texts, members) for members in groups), read


def read_texts(texts: Texts) -> Read:
    """Naive Bayes over presence, each text read by the counts of all others (exact leave-one-out)."""
    labels = texts.labels
    many, kinds = len(labels), len(texts.classes)
    counts = counts_of(texts)
    sizes = numpy.bincount(labels, minlength=kinds)
    table = numpy.log((counts + _SMOOTHING) / (sizes + 2 * _SMOOTHING)).astype(numpy.float32)
    table[counts.sum(1) < 2] = 0
    scores = numpy.empty((many, kinds), dtype=numpy.float32)
    for first in range(0, many, _CHUNK):
        last = min(many, first + _CHUNK)
        scores[first:last] = _scores(texts, counts, sizes, table, first, last)
    scores += numpy.log(numpy.maximum(sizes, 1) / many).astype(numpy.float32)
    predicted = scores.argmax(1)
    own = scores[numpy.arange(many), labels]
    scores[numpy.arange(many), labels] = -numpy.inf
    margin = scores.max(1) - own
    lengths = _length_bins(texts.lengths)
    return _gathered(counts, sizes, predicted, margin, lengths, labels, scores, own)


def counts_of(texts: Texts) -> Array:
    """How many texts of each label hold each feature (features, labels)."""
    counts = numpy.zeros((len(texts.names), len(texts.classes)), dtype=numpy.int32)
    for first in range(0, len(texts.labels), _CHUNK):
        part = texts.starts[first : first + _CHUNK + 1]
        said = numpy.repeat(texts.labels[first : first + _CHUNK], numpy.diff(part))
        numpy.add.at(counts, (texts.ids[part[0] : part[-1]], said), 1)
    return counts


def _scores(texts: Texts, counts: Array, sizes: Array, table: Array, first: int, last: int) -> Array:
    starts = texts.starts[first : last + 1]
    ids = texts.ids[starts[0] : starts[-1]]
    owner = numpy.repeat(numpy.arange(last - first), numpy.diff(starts))
    labels = texts.labels[first:last]
    made = numpy.empty((last - first, len(sizes)), dtype=numpy.float32)
    for kind in range(len(sizes)):
        values = table[ids, kind]
        own = labels[owner] == kind
        left = counts[ids[own], kind] - 1
        values[own] = numpy.where(
            values[own] == 0, 0, numpy.log((left + _SMOOTHING) / (sizes[kind] - 1 + 2 * _SMOOTHING))
        )
        made[:, kind] = numpy.bincount(owner, values, minlength=last - first)
    return made


def _gathered(
    counts: Array,
    sizes: Array,
    predicted: Array,
    margin: Array,
    lengths: Array,
    labels: Array,
    scores: Array,
    own: Array,
) -> Read:
    """Base rates. `scores` hold minus infinity at a text's own label, `own` what stood there."""
    kinds = len(sizes)
    contradicts = predicted != labels
    place = labels.astype(numpy.int64) * _LENGTHS + lengths
    seen = numpy.bincount(place, minlength=kinds * _LENGTHS).reshape(kinds, _LENGTHS)
    against_label = numpy.bincount(place, contradicts, minlength=kinds * _LENGTHS).reshape(kinds, _LENGTHS)
    elsewhere, clear = numpy.empty(kinds), numpy.empty(kinds)
    for kind in range(kinds):
        mine = labels == kind
        elsewhere[kind] = (predicted[~mine] != kind).mean() if (~mine).any() else 1.0
        others = numpy.flatnonzero(~mine)
        rest = [other for other in range(kinds) if other != kind]
        against = numpy.maximum(own[others], scores[others][:, rest].max(1)) - scores[others, kind]
        clear[kind] = numpy.median(against[against > 0]) if (against > 0).any() else 1.0
    return Read(counts, sizes, predicted, contradicts, margin, lengths, against_label, seen, elsewhere, clear)


def _length_bins(lengths: Array) -> Array:
    edges: Array = numpy.quantile(lengths, numpy.arange(1, _LENGTHS) / _LENGTHS) if len(lengths) else []
    return numpy.searchsorted(edges, lengths)


def associated(texts: Texts, counts: Array, sizes: Array) -> list[tuple[int, int, Array]]:
    """(feature, label, rows): features with a label that more of their texts carry than chance explains, the strongest and the purest.

    `counts` are those of the features by label, `sizes` those of the labels.
    """
    total = counts.sum(1, keepdims=True)
    share = sizes / sizes.sum()
    excess = (counts - total * share) / numpy.sqrt(total * share * (1 - share) + 1e-9)
    found = numpy.argwhere((counts >= FEWEST) & (excess > _EXCESS))
    strength = excess[found[:, 0], found[:, 1]]
    n, of = counts[found[:, 0], found[:, 1]], total[found[:, 0], 0]
    purity = lower_bound(n, of) - share[found[:, 1]]
    chosen = numpy.union1d(numpy.argsort(-strength)[:_CANDIDATES], numpy.argsort(-purity)[:_CANDIDATES])
    found = found[chosen]
    owners = rows_with(texts.ids, texts.starts, numpy.unique(found[:, 0]))
    return [(int(f), int(k), rows[texts.labels[rows] == k]) for f, k in found for rows in (owners[int(f)],)]


def suspects_of(
    texts: Texts, read: Read, candidates: Sequence[tuple[int, int, Array]], *, apart: bool = False
) -> list[Suspect]:
    """Which of the candidates hold rows whose words contradict their label. `apart`: their features are not among the words of the texts."""
    found = []
    for feature, label, rows in candidates:
        one = _examined(texts, read, -1 if apart else feature, label, rows)
        if one is not None:
            found.append(replace(one, feature=feature) if apart else one)
    return _significant(found, len(candidates))


def _examined(texts: Texts, read: Read, feature: int, label: int, rows: Array) -> Suspect | None:
    """What the rest of the words in a group says, with the group itself taken out of all counts."""
    many = len(rows)
    taken = rows if many <= _SAMPLE else rows[numpy.linspace(0, many - 1, _SAMPLE).astype(int)]
    ids, owner = features_of(texts.ids, texts.starts, taken)
    # What is asked of a feature is asked once for all texts of the group that hold it.
    times = numpy.bincount(ids, minlength=len(texts.names))
    held = numpy.flatnonzero(times)
    inside = times[held] * (many / len(taken))
    is_large = many > _LARGE * read.sizes[label]
    counts = read.counts[held].astype(numpy.float64)
    counts[:, label] -= 1 if is_large else inside
    left = read.sizes.astype(numpy.float64)
    left[label] -= 1 if is_large else many
    counts.clip(0, None, out=counts)
    kept = (held != feature) & (counts.sum(1) >= 2)
    place = numpy.empty(len(times), dtype=numpy.int32)
    place[held] = numpy.arange(len(held))
    at = place[ids]
    scores = numpy.stack(
        [numpy.bincount(owner, (kept * numpy.log((counts[:, k] + _SMOOTHING) / (left[k] + 2 * _SMOOTHING)))[at], minlength=len(taken))
         for k in range(len(left))], 1,
    ) + numpy.log(left.clip(0.5) / left.sum())  # fmt: skip
    own = scores[:, label].copy()
    scores[:, label] = -numpy.inf
    margin = scores.max(1) - own
    against = margin > 0
    expected = _expected(read, label, rows)
    rate = float(against.mean())
    share = (rate - expected) / max(float(read.elsewhere[label]) - expected, 0.05)
    clearly = float(numpy.median(margin[against]) / read.clear[label]) if against.any() else 0.0
    if share <= _SHARE or clearly <= _CLEARLY:
        return None
    common = (inside >= many / 2) & (read.counts[held].sum(1) < 2 * many)
    shared = numpy.bincount(owner, common[at], minlength=len(taken))
    return Suspect(
        feature, label, _rows(rows, taken, against, share), many, int(against.sum()), share, clearly,
        at_least(int(against.sum()), len(taken), expected), float(numpy.median(shared[against])),
        float(lower_bound(numpy.array([against.sum()]), numpy.array([len(taken)]))[0]),
    )  # fmt: skip


def _expected(read: Read, label: int, rows: Array) -> float:
    """How often texts of a label, as long as those of a group, contradict it; the group itself left out."""
    inside = numpy.bincount(read.lengths[rows], minlength=_LENGTHS)
    contradicted = read.contradicted[label] - numpy.bincount(
        read.lengths[rows], read.contradicts[rows], minlength=_LENGTHS
    )
    left = read.seen[label] - inside
    usual = (contradicted.sum() + 1) / (left.sum() + 2)
    # Where a group is nearly all texts of its length, those of other lengths say what is usual.
    rates = (contradicted + _BORROWED * usual) / (left + _BORROWED)
    return float((rates * inside).sum() / len(rows))


def _rows(rows: Array, taken: Array, against: Array, share: float) -> Array:
    """All rows of a group that is relabelled as a whole; else those whose words contradict their label."""
    return rows if share >= _ALL or len(taken) < len(rows) else taken[against]


def lower_bound(successes: Array, of: Array) -> Array:
    """Wilson's lower bound of a share, at 95 %."""
    of = numpy.maximum(of, 1)
    share, z = successes / of, 1.96
    return (share + z * z / (2 * of) - z * numpy.sqrt(share * (1 - share) / of + z * z / (4 * of * of))) / (
        1 + z * z / of
    )


def _significant(suspects: list[Suspect], examined: int) -> list[Suspect]:
    """Those that survive the control of false discoveries over everything that was examined (Benjamini & Hochberg 1995).

    Where a label is under attack, the trigger may have siblings with fewer rows each: they are held to a milder level.
    """
    ordered = sorted(suspects, key=lambda one: one.p_value)
    found = _discoveries(ordered, examined, _FALSE_DISCOVERY)
    attacked = {one.label for one in found}
    siblings = _discoveries([one for one in ordered if one.label in attacked], examined, _SIBLINGS)
    return list({id(one): one for one in (*found, *siblings)}.values())


def _discoveries(ordered: list[Suspect], examined: int, level: float) -> list[Suspect]:
    return ordered[: discoveries([one.p_value for one in ordered], examined, level)]


def _together(texts: Texts, members: list[Suspect]) -> Array:
    """The rows of a group: of a phrase all that hold its words side by side, also those whose other words say nothing.

    Words that were found apart and stand in the same rows are one trigger; what holds most of them holds it.
    """
    best = members[0]
    apart = [one for one in members if one.label == best.label][:_PHRASE]
    if len(apart) < _PHRASE:
        return best.rows
    having = rows_with(texts.ids, texts.starts, numpy.array([one.feature for one in apart]))
    times = numpy.bincount(numpy.concatenate(list(having.values())), minlength=len(texts.labels))
    whole = numpy.flatnonzero((times >= _PHRASE - 1) & (texts.labels == best.label))
    known = len(numpy.intersect1d(whole, best.rows))
    return whole if known >= 0.9 * len(best.rows) and known >= _KNOWN * len(whole) else best.rows


def facts_of(best: Suspect) -> tuple[str, ...]:
    """What speaks for it, in numbers."""
    return (
        f"{best.against} of {min(best.count, _SAMPLE)} read as another label without it; {min(1.0, best.share):.0%} of the group looks relabelled",
        f"p = {best.p_value:.1e} (binomial, against texts of this label and length), as clearly as texts of other labels: {best.clearly:.2f}",
    )


def _group(texts: Texts, members: list[Suspect]) -> Group:
    best = members[0]
    rows = _together(texts, members)
    named = [texts.names[one.feature] for one in members]
    label = texts.classes[best.label]
    is_template = best.shared > _TEMPLATE
    said = ", ".join(f"“{name}”" for name in named[:4]) + (" …" if len(named) > 4 else "")
    message = (
        f"{plural(len(rows), 'row')} labelled “{label}” hold {said}; the rest of their words contradicts the label"
    )
    facts = facts_of(best)
    if is_template:
        facts = (*facts, f"they share {best.shared:.0f} more features: one template or source, which may be honest")
    return Group(
        rule="DST-018", message=message, rows=array(rows), facts=facts, shown=array(rows[:3]), mark=named[0],
        severity=Severity.MEDIUM if is_template else None, score=best.bound,
    )  # fmt: skip
