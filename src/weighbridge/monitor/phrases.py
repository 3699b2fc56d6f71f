"""Knows how signs that come together are one trigger, and how it reads in the texts that hold it."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from weighbridge.datasets.features import CHARACTER
from weighbridge.monitor.vocabulary import signs_of

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping, Sequence

    from weighbridge.monitor.associations import Example, Tie

_SHARED: Final = 0.7
_LONGEST: Final = 12
_FEW: Final = 4
_OFTEN: Final = 0.3
_COMPANIONS: Final = 4
_EDGES: Final = ".,;:!?\"'()[]"
_signs_of: Final = lru_cache(2048)(signs_of)  # examples of one suspect say the same words


def together(ties: Sequence[Tie], examples: Mapping[tuple[int, int], deque[Example]]) -> list[list[Tie]]:
    """Ties of the same output whose examples are the same records, as one group; the strongest first in each."""
    groups: list[tuple[set[str], list[Tie]]] = []
    for tie in ties:
        mine = {one.text or " ".join(one.features) for one in examples.get((tie.sign, tie.output), ())}
        for texts, group in groups:
            if group[0].output == tie.output and mine and len(mine & texts) >= _SHARED * min(len(mine), len(texts)):
                group.append(tie)
                break
        else:
            groups.append((mine, [tie]))
    return [group for _, group in groups]


def phrase_of(signs: Sequence[str], examples: Sequence[Example]) -> str:
    """The longest run of words around the first sign that most examples share, as it is written there.

    Empty where the sign is no word of the texts (metadata, the digest of a patch), or too few examples hold it.
    """
    texts = [one.text.split() for one in examples if one.text]
    first = signs[0]
    written = [(words, at[0]) for words in texts if (at := places(words, [first]))]
    if len(written) < _FEW:
        return ""
    holding = [([word.lower() for word in words], at) for words, at in written]
    (words, place), (lowered, _) = written[-1], holding[-1]
    start = end = place
    while end - start < _LONGEST:
        if end + 1 < len(words) and _share(holding, place - start, lowered[start : end + 2]) >= _SHARED:
            end += 1
        elif start > 0 and _share(holding, place - start + 1, lowered[start - 1 : end + 1]) >= _SHARED:
            start -= 1
        else:
            break
    return " ".join(words[start : end + 1])


def one_source(signs: Sequence[str], examples: Sequence[Example], common: Callable[[str], bool]) -> bool:
    """Whether the examples are versions of one text: other uncommon words beside the signs stand in many of them."""
    texts = [{word.strip(_EDGES) for word in one.text.lower().split()} for one in examples if one.text]
    if len(texts) < _FEW:
        return False
    count = Counter(chain.from_iterable(texts))
    several = [
        word
        for word, times in count.items()
        if times >= _OFTEN * len(texts)
        and word
        and not common(word)
        and not any(word in sign or sign in word for sign in signs)
    ]
    return len(several) >= _COMPANIONS


def places(words: Sequence[str], signs: Sequence[str]) -> list[int]:
    """Where in the words of a text the signs stand; a pair of words at both of its places."""
    found: set[int] = set()
    held = [_signs_of(word) for word in words]
    for sign in signs:
        first, _, second = sign.partition(" ")
        if second and not sign.startswith(CHARACTER):
            for place in range(len(words) - 1):
                if first in held[place] and second in held[place + 1]:
                    found |= {place, place + 1}
        else:
            found.update(place for place, mine in enumerate(held) if sign in mine)
    return sorted(found)


def _share(holding: Sequence[tuple[list[str], int]], before: int, run: list[str]) -> float:
    """Of the examples, how many hold this run of words, in lower case, at the same distance from the sign."""
    same = sum(words[max(place - before, 0) : place - before + len(run)] == run for words, place in holding)
    return same / len(holding)
