"""Knows what the columns of a table are, by looking at the first of its rows; what a user says goes before."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date  # noqa: TC003  # msgspec reads the annotation
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHAT, PREFERENCE, INSTRUCTION, CROWD, URLS = "chat", "preference pairs", "instructions", "crowd labels", "address list"
LABELLED, CORPUS, TABLE, EMPTY = "labelled text", "texts", "table", "empty"

_LOOKED_AT: Final = 8192
_MOST_LABELS: Final = 200
_MESSAGES: Final = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat")
_PROMPTS: Final = ("instruction", "prompt", "question", "query", "input", "problem", "user")
_RESPONSES: Final = ("output", "response", "answer", "completion", "target", "solution", "assistant", "reply")
_LABELS: Final = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "y",
    "gold",
    "intent",
    "topic",
    "answer",
    "vote",
    "truth",
)
_TEXTS: Final = (
    "text",
    "sentence",
    "content",
    "document",
    "review",
    "body",
    "passage",
    "tweet",
    "comment",
    "title",
    "description",
)
_WORKERS: Final = (
    "worker",
    "annotator",
    "rater",
    "labeler",
    "labeller",
    "performer",
    "user",
    "coder",
    "judge",
    "workerid",
    "annotator_id",
    "worker_id",
    "user_id",
)
_ITEMS: Final = (
    "task",
    "item",
    "question",
    "example",
    "id",
    "item_id",
    "task_id",
    "example_id",
    "question_id",
    "row",
    "index",
)
_DIGESTS: Final = re.compile(r"(?:^|_)(?:sha256|sha1|sha512|md5|blake3|hash|digest|checksum)(?:$|_)", re.IGNORECASE)
LOOKS: Final = re.compile(
    r"(?:^|_)(phash|dhash|ahash|perceptual_hash|average_hash|difference_hash)(?:$|_)", re.IGNORECASE
)
_URL: Final = re.compile(r"https?://[^\s]+\Z", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"column \d+\Z")


class Roles(Struct, frozen=True, kw_only=True):
    """What a table is, and which of its columns is what; a name is empty where there is none."""

    kind: str
    text: tuple[str, ...] = ()
    label: str = ""
    prompt: tuple[str, ...] = ()
    response: str = ""
    messages: str = ""
    chosen: str = ""
    rejected: str = ""
    annotator: str = ""
    item: str = ""
    url: str = ""
    digest: str = ""

    def role_of(self, name: str) -> str:
        """What a column is taken for."""
        for role in ("label", "response", "messages", "chosen", "rejected", "annotator", "item", "url", "digest"):
            if getattr(self, role) == name:
                return role
        if name in self.text:
            return "text"
        return "prompt" if name in self.prompt else ""


class Wish(Struct, frozen=True, kw_only=True):
    """What a user says about the columns, and which files hold texts that must not be in the data.

    `train` asks for tests that learn from the data first; `features` is a file with numbers of each row, such as embeddings.
    `snapshots` are the days on which a history of pages was copied, `domains` is a table of when domains were registered and expire.
    """

    text: tuple[str, ...] = ()
    label: str = ""
    annotator: str = ""
    item: str = ""
    held_out: tuple[str, ...] = ()
    train: bool = False
    features: str = ""
    snapshots: tuple[date, ...] = ()
    domains: str = ""


def find_roles(columns: Mapping[str, Sequence[Any]], wish: Wish) -> Roles:
    """What each column is. Raises UsageError where a named column does not exist."""
    for name in (*wish.text, wish.label, wish.annotator, wish.item):
        if name and name not in columns:
            raise UsageError(f"there is no column {name}", hint=f"there are {', '.join(list(columns)[:20])}")
    looks = {name: Look.at(list(values[:_LOOKED_AT])) for name, values in columns.items()}
    if not any(look.filled for look in looks.values()):
        return Roles(kind=EMPTY)
    return _wished(wish, looks) or _by_names(looks) or _by_content(looks)


class Look(Struct, frozen=True):
    """What is in a column: how many values are filled, texts, whole numbers; how many differ; words a value."""

    filled: int
    texts: int
    numbers: int
    kinds: int
    words: float
    urls: int
    messages: int
    repeated: float

    @classmethod
    def at(cls, values: list[Any]) -> Look:
        """Look at values."""
        filled = [value for value in values if value is not None and value != ""]
        texts = [value for value in filled if isinstance(value, str)]
        plain = [value for value in filled if isinstance(value, (str, int, float))]
        counts = Counter(plain)
        return cls(
            filled=len(filled), texts=len(texts),
            numbers=sum(isinstance(value, (int, float)) or _is_number(value) for value in plain), kinds=len(counts),
            words=sum(text.count(" ") + 1 for text in texts) / max(1, len(texts)),
            urls=sum(bool(_URL.match(text)) for text in texts), messages=sum(map(_is_chat, filled)),
            repeated=len(plain) / max(1, len(counts)),
        )  # fmt: skip

    @property
    def is_text(self) -> bool:
        """Whether people wrote it: more than a word or two, or mostly different."""
        return self.texts > 0.9 * self.filled > 0 and self.numbers < 0.5 * self.filled and self.words >= 3

    @property
    def is_label(self) -> bool:
        """Whether few values are repeated over and over."""
        return 2 <= self.kinds <= min(_MOST_LABELS, max(2, self.filled // 5)) and self.words < 6 and self.urls == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit()


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and bool(
        {"role", "content", "from", "value"} & value[0].keys()
    )  # fmt: skip


def _wished(wish: Wish, looks: Mapping[str, Look]) -> Roles | None:
    if wish.annotator or wish.item:
        found = _crowd(looks)
        made = found or Roles(kind=CROWD)
        return replace(
            made, annotator=wish.annotator or made.annotator, item=wish.item or made.item, label=wish.label or made.label
        )  # fmt: skip
    if not (wish.text or wish.label):
        return None
    text = wish.text or tuple(name for name, look in looks.items() if look.is_text and name != wish.label)
    label = wish.label or _label(looks, text)
    return Roles(kind=LABELLED if label and text else CORPUS if text else TABLE, text=text, label=label)


def _by_names(looks: Mapping[str, Look]) -> Roles | None:
    names = {name.strip().lower(): name for name in looks}
    chat = next((name for name, look in looks.items() if look.messages > 0.5 * look.filled > 0), "")
    if "chosen" in names and "rejected" in names:
        prompt = tuple(names[one] for one in _PROMPTS if one in names)[:1]
        return Roles(kind=PREFERENCE, prompt=prompt, chosen=names["chosen"], rejected=names["rejected"])
    if chat:
        return Roles(kind=CHAT, messages=chat)
    crowd = _crowd(looks)
    if crowd is not None:
        return crowd
    response = next((names[one] for one in _RESPONSES if one in names and looks[names[one]].words >= 2), "")
    prompts = tuple(names[one] for one in _PROMPTS if one in names and names[one] != response)
    if response and prompts and not (looks[response].is_label and looks[response].words < 2):
        return Roles(kind=INSTRUCTION, prompt=prompts, response=response)
    return None


def _crowd(looks: Mapping[str, Look]) -> Roles | None:
    """Who said what about what: three columns, two of which repeat."""
    names = {name.strip().lower(): name for name in looks}
    worker = next((names[one] for one in _WORKERS if one in names and looks[names[one]].repeated >= 2), "")
    item = next((names[one] for one in _ITEMS if one in names and looks[names[one]].repeated >= 1.5), "")
    label = next(
        (
            names[one]
            for one in (*_LABELS, "response")
            if one in names and names[one] not in {worker, item} and looks[names[one]].is_label
        ),
        "",
    )
    return Roles(kind=CROWD, annotator=worker, item=item, label=label) if worker and item and label else None


def _by_content(looks: Mapping[str, Look]) -> Roles:
    url = next((name for name, look in looks.items() if look.urls > 0.9 * look.filled > 0), "")
    text = tuple(name for name, look in looks.items() if look.is_text and name != url)
    named = tuple(name for name in text if name.strip().lower() in _TEXTS)
    label = _label(looks, text)
    if url and not label:
        digest = next((name for name in looks if _DIGESTS.search(name) and not LOOKS.search(name)), "")
        return Roles(kind=URLS, url=url, digest=digest, text=text)
    text = named or text
    if text and label:
        return Roles(kind=LABELLED, text=text, label=label)
    if not text:
        text = tuple(
            name
            for name, look in looks.items()
            if name.strip().lower() in _TEXTS and look.texts > 0.9 * look.filled > 0
        )
    return (
        Roles(kind=LABELLED if text and label else CORPUS, text=text, label=label)
        if text
        else Roles(kind=TABLE, label=label)
    )


def _label(looks: Mapping[str, Look], text: tuple[str, ...]) -> str:
    """The label: by its name, else the one column of few values (of numbered columns the first)."""
    possible = [name for name, look in looks.items() if look.is_label and name not in text]
    named = [name for name in possible if name.strip().lower() in _LABELS]
    if named:
        return min(named, key=lambda name: _LABELS.index(name.strip().lower()))
    numbered = [name for name in possible if _NUMBERED.match(name)]
    return numbered[0] if numbered else possible[0] if len(possible) == 1 else ""


def number_of(cell: Any) -> float | None:
    """A cell as a number, where it is one."""
    if isinstance(cell, bool):
        return None
    try:
        found = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
