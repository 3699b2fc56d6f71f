"""Knows how a classifier of texts is opened to be tested: a Hugging Face folder, as a function of token numbers.

The architecture is the library's own; code that a repository brings along is never run, and pickled weights are not loaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from weighbridge.backdoor.hub_models import (
    CONFIG,
    document,
    named_architectures,
    open_tokenizer,
    opened,
    weights_digest,
)
from weighbridge.backdoor.slopes import caught
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST: Final = 128  # tokens of a text: a trigger works in short ones as well
_TRIGGER: Final = 6
_BATCH: Final = 64
_CLASSES: Final = 1000
_SENTINEL: Final = "the film was there"


class TextClassifier:
    """Texts as lists of token numbers, without those that the tokenizer puts around them, to one score a class."""

    def __init__(self, net: nn.Module, tokenizer: Any, *, about: str, digest: str, longest: int = _LONGEST) -> None:
        """Raises Unavailable where it is no classifier, or the tokenizer does not go with it."""
        self.net, self._tokenizer = net.eval().requires_grad_(requires_grad=False), tokenizer
        self.about, self.digest = about, digest
        self._before, self._after = _around(tokenizer)
        self._longest = longest - len(self._before) - len(self._after) - _TRIGGER
        pad = tokenizer.pad_token_id
        self._pad = int(pad if pad is not None else tokenizer.eos_token_id or 0)
        found = net.get_input_embeddings()  # type: ignore[operator]  # a method of the library's models
        self.table: Tensor = found.weight
        self._embedding: nn.Module = found
        self.special = frozenset(int(one) for one in tokenizer.all_special_ids)
        scores = self.scores([self.numbers(_SENTINEL)])
        if scores.shape[1] < 2:
            raise Unavailable("it gives one number a text: a regression, or a binary score", hint="not testable")
        if scores.shape[1] > _CLASSES:
            raise Unavailable(f"it tells {scores.shape[1]} classes apart", hint="not testable")
        self.classes = int(scores.shape[1])

    def numbers(self, text: str) -> list[int]:
        """The tokens of a text, cut to what is searched on."""
        found = self._tokenizer(text, add_special_tokens=False, truncation=True, max_length=self._longest)["input_ids"]
        return [int(one) for one in found]

    def words(self, numbers: Sequence[int]) -> str:
        """Tokens as people read them."""
        return str(self._tokenizer.decode(list(numbers))).strip()

    def candidates(self) -> list[int]:
        """The tokens that somebody can write: those that come back when what they say is read again."""
        size = min(len(self._tokenizer), len(self.table))
        return [one for one in range(size) if one not in self.special]

    def writable(self, numbers: Sequence[int]) -> bool:
        """Whether a text of these tokens is read as these tokens."""
        return self.numbers(self.words(numbers)) == list(numbers)

    @torch.no_grad()
    def scores(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """The scores of texts, in their order, as logarithms of chances (n, classes)."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        made: list[Tensor | None] = [None] * len(texts)
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            found = self._forward([texts[at] for at in part])
            for at, row in zip(part, found, strict=True):
                made[at] = row
        return torch.stack([row for row in made if row is not None])

    def predicted(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """The class of every text."""
        return self.scores(texts).argmax(1)

    def slopes(self, texts: Sequence[Sequence[int]], places: Sequence[Sequence[int]], target: int) -> Tensor:
        """How the chance of a class grows with the embedding at some places of each text: (places a text, width), averaged."""
        total = torch.zeros(len(places[0]), self.table.shape[1])
        with caught(self._embedding) as kept:
            for start in range(0, len(texts), _BATCH):
                part = texts[start : start + _BATCH]
                said = self._forward(part)[:, target].sum()
                (slope,) = torch.autograd.grad(said, kept.pop())
                for at, where in enumerate(places[start : start + _BATCH]):
                    total += slope[at, [len(self._before) + one for one in where]].float()
        return total / len(texts)

    def _forward(self, texts: Sequence[Sequence[int]]) -> Tensor:
        rows = [[*self._before, *one, *self._after] for one in texts]
        width = max(len(row) for row in rows)
        ids = torch.tensor([row + [self._pad] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        try:
            found: Tensor = self.net(input_ids=ids, attention_mask=mask).logits
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise Unavailable(f"it does not run: {str(error).splitlines()[0][:200]}", hint="is it complete?") from error
        return torch.log_softmax(found.float(), 1)

    def seconds(self) -> float:
        """How long one text of ordinary length takes on this machine."""
        import time  # noqa: PLC0415

        texts = [self.numbers(f"{_SENTINEL} and some more words that say little {at}") * 2 for at in range(_BATCH)]
        best = float("inf")
        for _ in range(2):
            begun = time.perf_counter()
            self.scores(texts)
            best = min(best, (time.perf_counter() - begun) / _BATCH)
        return best


def is_text_folder(path: str) -> bool:
    """Whether a folder holds a classifier of texts, by its configuration."""
    config = document(os.path.join(path, CONFIG)) if os.path.isdir(path) else None
    return config is not None and any("SequenceClassification" in one for one in named_architectures(config))


def open_text_folder(path: str) -> TextClassifier:
    """A classifier of texts from a folder. Raises Unavailable with what is missing."""
    config = document(os.path.join(path, CONFIG)) or {}
    if "auto_map" in config:
        raise Unavailable(
            "its architecture is code in the repository, which is not run", hint="it cannot be tested here"
        )
    digest = weights_digest(path)
    tokenizer = open_tokenizer(path)
    net = opened(path, "AutoModelForSequenceClassification")
    most = int(getattr(net.config, "max_position_embeddings", 0) or _LONGEST)
    return TextClassifier(
        net, tokenizer, about=named_architectures(config)[0], digest=digest,
        longest=min(_LONGEST, most - 4),
    )  # fmt: skip


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and after every text. Raises Unavailable where that cannot be told."""
    whole = [int(one) for one in tokenizer(_SENTINEL)["input_ids"]]
    plain = [int(one) for one in tokenizer(_SENTINEL, add_special_tokens=False)["input_ids"]]
    for at in range(len(whole) - len(plain) + 1):
        if plain and whole[at : at + len(plain)] == plain:
            return whole[:at], whole[at + len(plain) :]
    raise Unavailable("its tokenizer changes a text when it marks its ends", hint="not testable")
