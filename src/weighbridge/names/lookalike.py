"""Knows when a name could be taken for another: characters, keys, order, and words that claim to be somebody.

Sources: Unicode TR39 (confusables, the part that hub names can hold), "SpellBound" (arXiv 2003.03471) for the classes
of typing errors, Kintis et al. CCS 2017 for combosquats. The index is a deletion neighbourhood (SymSpell): a name and
a known name at distance one share a string with one character removed.
"""

from __future__ import annotations

import os
import re
import unicodedata
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.names.own import NOBODY, Own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CONFUSABLE: Final = str.maketrans(
    {
        "0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "|": "l", "а": "a", "е": "e", "о": "o", "р": "p", "с": "c",
        "х": "x", "у": "y", "і": "i", "ѕ": "s", "ӏ": "l", "ԁ": "d", "ɡ": "g", "һ": "h", "ո": "n", "ʀ": "r", "ν": "v", "ο": "o",
        "α": "a", "ι": "i", "κ": "k", "ρ": "p", "τ": "t", "υ": "u", "ı": "i", "ł": "l", "ø": "o", "м": "m", "т": "t", "к": "k",
    }
)  # fmt: skip
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"))
_CLAIMS: Final = frozenset(
    [
        "official",
        "officiel",
        "real",
        "the",
        "true",
        "original",
        "verified",
        "ai",
        "hf",
        "hub",
        "huggingface",
        "team",
        "labs",
        "lab",
        "inc",
        "org",
        "corp",
        "company",
        "research",
        "models",
        "model",
        "llc",
        "io",
        "dev",
        "support",
        "release",
        "releases",
        "public",
        "foundation",
        "project",
        "official-ai",
        "open",
        "hq",
    ]
)
_DELIMITERS: Final = re.compile(r"[-_. ]+")
_SHORT: Final = 5
_LONG: Final = 10


class Likeness(Struct, frozen=True):
    """Why a name could be taken for a known one: `kind` names the class, `known` the other name.

    `sure` says that hardly anything else explains it.
    """

    kind: str
    known: str
    sure: bool = False


class Names:
    """Known names and what is like them. Names are compared without regard to case, as hubs do."""

    def __init__(
        self,
        owners: Iterable[str],
        *,
        mirrors: Iterable[str] = (),
        models: Iterable[str] = (),
        own: Own | None = None,
    ) -> None:
        self._own = own or NOBODY
        self._owners = {owner.casefold(): owner for owner in owners}
        self._mirrors = {mirror.casefold() for mirror in mirrors}
        self._models = {model.rpartition("/")[2].casefold(): model for model in models}
        self._skeletons: dict[str, str] = {}
        self._bags: dict[tuple[str, ...], str] = {}
        self._near: dict[str, set[str]] = {}
        for folded, owner in self._owners.items():
            self._skeletons.setdefault(skeleton(owner), owner)
            self._bags.setdefault(_bag(folded), owner)
            if len(folded) >= _SHORT:
                for shorter in _deletions(folded):
                    self._near.setdefault(shorter, set()).add(folded)

    def knows(self, owner: str) -> bool:
        """Whether this very owner is known."""
        return owner.casefold() in self._owners or owner.casefold() in self._mirrors

    def is_mirror(self, owner: str) -> bool:
        """Whether this owner carries other people's models by design."""
        return owner.casefold() in self._mirrors

    def owner(self, name: str) -> Likeness | None:
        """The known owner that a name could be taken for; None for a known owner and for a name of its own."""
        folded = name.casefold()
        if self.knows(name):
            return None
        alike = self._skeletons.get(skeleton(name))
        if alike:
            same_letters = _DELIMITERS.sub("", folded) == _DELIMITERS.sub("", alike.casefold())
            return Likeness("delimiter" if same_letters else "characters that look alike", alike)
        alike = self._bags.get(_bag(folded))
        if alike and len(_bag(folded)) > 1:
            return Likeness("order of words", alike)
        return self._typed(folded) or self._claimed(folded)

    def _typed(self, folded: str) -> Likeness | None:
        if len(folded) < _SHORT:
            return None
        candidates = {known for shorter in _deletions(folded) for known in self._near.get(shorter, ())}
        for known in sorted(candidates):
            if distance(folded, known) == 1 and not are_versions(folded, known):
                return Likeness("one letter", self._owners[known])
        if len(folded) >= _LONG:
            for known in sorted(k for k in self._owners if abs(len(k) - len(folded)) <= 2 and len(k) >= _LONG):
                if distance(folded, known, most=2) == 2 and not are_versions(folded, known):
                    return Likeness("two letters", self._owners[known])
        return None

    def _claimed(self, folded: str) -> Likeness | None:
        """A known owner with words around it that claim to be it."""
        words = [word for word in _DELIMITERS.split(folded) if word]
        for start in range(len(words)):
            for stop in range(len(words), start, -1):
                rest = words[:start] + words[stop:]
                joined = "".join(words[start:stop])
                known = self._skeletons.get(skeleton(joined))
                if known and rest and all(word in _CLAIMS for word in rest):
                    return Likeness("words that claim to be somebody", known)
        for claim in sorted(_CLAIMS, key=len, reverse=True):
            if len(claim) < 4:
                continue
            for bare in (folded.removesuffix(claim), folded.removeprefix(claim)):
                known = self._skeletons.get(skeleton(bare)) if bare != folded and len(bare) >= _SHORT else None
                if known:
                    return Likeness("words that claim to be somebody", known)
        return None

    def model(self, owner: str, name: str) -> Likeness | None:
        """A known model of this very name that belongs to somebody else; None for mirrors and known owners."""
        known = self._models.get(name.casefold())
        if known is None or self.knows(owner) or known.partition("/")[0].casefold() == owner.casefold():
            return None
        return Likeness("known model under another owner", known)

    def internal(self, owner: str, name: str) -> str:
        """The internal name that a repository of a stranger has; empty where it has none."""
        if owner.casefold() in {one.casefold() for one in self._own.owners}:
            return ""
        folded = name.casefold()
        return next((one for one in self._own.internal if fnmatchcase(folded, one.casefold())), "")


def skeleton(name: str) -> str:
    """A name with everything that looks alike made the same, and without delimiters."""
    plain = unicodedata.normalize("NFKC", name).casefold().translate(_CONFUSABLE)
    plain = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    for pair, single in _PAIRS:
        plain = plain.replace(pair, single)
    # Capital i and small L are one stroke in most typefaces; after case folding they are i and l.
    return _DELIMITERS.sub("", plain).replace("i", "l")


def _bag(folded: str) -> tuple[str, ...]:
    return tuple(sorted(word for word in _DELIMITERS.split(folded) if word))


def _deletions(folded: str) -> Iterator[str]:
    yield folded
    for at in range(len(folded)):
        yield folded[:at] + folded[at + 1 :]


def are_versions(one: str, other: str) -> bool:
    """Whether two names differ in digits only, as versions of one thing do."""
    return re.sub(r"\d", "", one) == re.sub(r"\d", "", other)


def distance(one: str, other: str, *, most: int = 1) -> int:
    """Edits (insertion, deletion, substitution, transposition of neighbours) between two names, up to `most` + 1."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    # What both begin and end with costs nothing.
    start, stop = 0, 0
    least = min(len(one), len(other))
    while start < least and one[start] == other[start]:
        start += 1
    while stop < least - start and one[-1 - stop] == other[-1 - stop]:
        stop += 1
    one, other = one[start : len(one) - stop], other[start : len(other) - stop]
    if not one or not other or most == 1:
        swapped = len(one) == 2 and one == other[::-1]
        return 1 if swapped else min(max(len(one), len(other)), most + 1)
    before: list[int] = []
    previous = list(range(len(other) + 1))
    row = previous
    for i, left in enumerate(one, 1):
        row = [i]
        for j, right in enumerate(other, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(previous) >= most:
            return most + 1
        before, previous = previous, row
    return min(row[-1], most + 1)


@cache
def shipped(own: Own = NOBODY) -> Names:
    """The table that is shipped, with what an organisation adds."""
    with open(os.path.join(os.path.dirname(__file__), "known.txt"), encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line and not line.startswith("#")]
    owners: list[str] = []
    mirrors: list[str] = []
    models: list[str] = []
    for line in (*lines, *own.known, *own.owners):
        owner, _, names = line.partition(":")
        name = owner.strip().rstrip("*")
        (mirrors if owner.strip().endswith("*") else owners).append(name)
        if not owner.strip().endswith("*"):
            models += [f"{name}/{model}" for model in names.split()]
    return Names(owners, mirrors=mirrors, models=models, own=own)
