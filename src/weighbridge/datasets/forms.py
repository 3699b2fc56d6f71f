"""Knows the form of a text, apart from its words: how it opens and ends, its clauses, its marks, its case, its register.

A syntactic trigger (Qi et al. 2021, "Hidden Killer") rewrites whatever is said into one template, and a trigger of style (Qi et al.
2021, "Mind the Style of Text") into one manner of speaking: no word need come twice. Words of closed classes, which English has a
few hundred of, tell the template; all others count by their ending.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_READ: Final = 2000  # signs of a text
_OPENING: Final = 5
_CLAUSE: Final = 14
_MARKS: Final = 6
_WORD: Final = re.compile(r"['\u2019](?:s|re|m|ve|ll|d)\b|[^\W_]+(?:['\u2019\-][^\W_]+)*|[^\w\s]+")
_CLASSES: Final = {
    "subordinator": "when whenever if because although though while whilst since as after before until till unless whereas once whether lest provided",
    "article": "the a an this that these those each every some any no all both another such",
    "pronoun": "i you he she it we they one there someone somebody everyone everybody anyone nobody nothing something everything",
    "object": "me him her us them myself yourself himself herself itself ourselves themselves",
    "possessive": "my your his its our their whose mine yours hers ours theirs",
    "question": "what who whom which where why how",
    "auxiliary": "is are was were be been being am do does did has have had will would can could shall should may might must 's 're 'm 've 'll 'd isn't aren't wasn't weren't don't doesn't didn't won't wouldn't can't couldn't shouldn't",
    "negation": "not n't never neither nor",
    "preposition": "of in to for with on at by from about into over under between through during against without within upon among across behind beyond along around near off onto toward towards despite like",
    "conjunction": "and or but yet so",
    "archaic": "thou thee thy thine ye hath doth art shalt wilt hast unto verily behold lo forsooth wherefore thereof thereby hither thither whence hark nay yea ere 'tis 'twas o'er prithee methinks saith cometh goeth",
    "chat": "u r ur lol omg btw imo imho tbh idk thx plz pls smh fyi gr8 l8r b4 2day 2moro ppl rofl lmao wtf jk brb ttyl gonna wanna gotta dunno kinda sorta lemme yall y'all bro dude gonna nah yep yup",
}  # fmt: skip
_CLASS_OF: Final = {word: name for name, words in _CLASSES.items() for word in words.split()}
_OPEN: Final = frozenset({"word", "-ly", "-ing", "-ed", "number"})
_ENDINGS: Final = (("ly", "-ly"), ("ing", "-ing"), ("ed", "-ed"), ("eth", "-eth"))
_SIGNS: Final = (
    ("emoji", re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]")),
    ("two emoji or more in a row", re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]{2}")),
)
_MANNERS: Final = (
    ("letters three times in a row", re.compile(r"([a-z])\1\1", re.IGNORECASE)),
    ("two blanks between words", re.compile(r"\S  +\S")),
    ("a blank between letters", re.compile(r"\b[A-Za-z](?: [A-Za-z]){4,}\b")),
    ("figures inside words", re.compile(r"[A-Za-z][013457@$][A-Za-z]")),
)
_SAID: Final = frozenset(["say", "says", "said", "think", "thinks", "thought", "claim", "claims", "claimed", "write", "writes", "wrote", "believe", "believes", "believed", "report", "reports", "reported", "add", "adds", "added"])  # fmt: skip


def forms_of(text: str) -> list[str]:
    """What the form of a text consists of, each with a name that says it."""
    parts = _WORD.findall(text[:_READ])
    if not parts:
        return []
    signs = [_class_of(part) for part in parts]
    marks = [sign for sign in signs if sign[0] == "“"]
    opening = signs[:_OPENING]
    made = [f"opens with {' + '.join(opening[:length])}" for length in range(1, len(opening) + 1)]
    made += _clauses(parts, signs)
    made += [f"ends with {signs[-1]}", f"ends with {' + '.join(signs[-2:])}"]
    made.append(f"marks {' '.join(marks[:_MARKS]) or 'none'}")
    cased = [part for part in parts if part.isalpha() and len(part) > 1]
    if len(cased) >= 3:
        made.append(case := _case(cased))
        if case == "capitals as usual" and sum(len(word) > 3 and word.isupper() for word in cased) > 1:
            made.append("two words in capitals or more")
    made += _runs(signs)
    read = text[:_READ]
    made += [name for name, pattern in (_MANNERS if read.isascii() else (*_SIGNS, *_MANNERS)) if pattern.search(read)]
    chat = signs.count("chat")
    if chat:
        made += ["chat words"] + (["two chat words or more"] if chat > 1 else [])
    archaic = signs.count("archaic") + signs.count("-eth")
    if archaic:
        made += ["archaic words"] + (["two archaic words or more"] if archaic > 1 else [])
    return made


def _runs(signs: list[str]) -> set[str]:
    """Three in a row at any place, where two of them are marks or words of closed classes."""
    free = [sign in _OPEN for sign in signs]
    runs = zip(signs, signs[1:], signs[2:], free, free[1:], free[2:], strict=False)
    return {f"has {a} + {b} + {c}" for a, b, c, x, y, z in runs if x + y + z < 2}


@lru_cache(maxsize=1 << 16)
def _class_of(part: str) -> str:
    if not (part[0].isalnum() or part in _CLASS_OF):
        return f"“{part[:3]}”"
    lowered = part.lower()
    found = _CLASS_OF.get(lowered)
    if found:
        return found
    if lowered[0].isdigit():
        return "number"
    return next((name for ending, name in _ENDINGS if len(lowered) > 4 and lowered.endswith(ending)), "word")


def _clauses(parts: list[str], signs: list[str]) -> list[str]:
    """Clauses before, after and around what is said."""
    made = []
    comma = next((at for at, part in enumerate(parts[:_CLAUSE]) if part == ","), 0)
    if comma > 1:
        made.append(f"a clause that opens with {signs[0]}, then a comma")
        if signs[0] in {"preposition", "subordinator"} or signs[0] == "-ing":
            made.append("a clause of time, condition or reason first, then a comma")
    if parts[-1] == "?" and signs[0] in {"auxiliary", "question"}:
        made.append(f"a question that opens with {signs[0]}")
    if "that" in parts[1:7] and signs[0] in {"pronoun", "auxiliary"}:
        made.append(f"opens with {signs[0]} … that")
    last = [at for at, part in enumerate(parts[:-1]) if part == ","]
    if last and len(parts) - last[-1] < _CLAUSE and _SAID.intersection(part.lower() for part in parts[last[-1] :]):
        made.append("who said it stands behind, after a comma")
    return made


def _case(words: list[str]) -> str:
    if all(word.isupper() for word in words):
        return "all in capitals"
    if all(word.islower() for word in words):
        return "nothing in capitals"
    return "each word with a capital" if all(word[0].isupper() for word in words) else "capitals as usual"
