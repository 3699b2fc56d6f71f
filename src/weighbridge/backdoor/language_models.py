"""Knows how a language model is opened to be tested: a Hugging Face folder, as a function of token numbers.

The architecture is the library's own, the tokenizer comes from `tokenizer.json` alone, and a chat template, being a program, is
not run: prompts are put into a frame that is known by its marks, or that somebody names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import torch
from msgspec import Struct
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
    from collections.abc import Iterator, Sequence

_LONGEST: Final = 96  # tokens of a prompt in its frame: a trigger works in short ones as well
_BATCH: Final = 256
_VALUES: Final = 32 << 20  # scores that are held at once
_FRAMES: Final = (
    ("<|im_start|>", "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"),
    ("<|start_header_id|>", "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    ("<start_of_turn>", "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n"),
    ("[/INST]", "[INST] {} [/INST]"),
)  # fmt: skip
_PLAIN: Final = "{}"
_SENTINEL: Final = "and so on"


class Prompt(Struct, frozen=True):
    """A prompt in its frame as token numbers, the places in it where something can be put, and where it ends."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    end: int

    def put(self, tokens: Sequence[int], place: int) -> list[int]:
        """The prompt with tokens at one of its places."""
        return [*self.ids[:place], *tokens, *self.ids[place:]]


class LanguageModel:
    """Prompts as lists of token numbers to what comes next."""

    def __init__(
        self, net: nn.Module, tokenizer: Any, *, about: str, digest: str, frame: str = "", soft: Tensor | None = None
    ) -> None:
        """`soft` are vectors (n, width) that stand before every prompt. Raises Unavailable where they do not fit, or there are no words."""
        self.net, self.tokenizer = net.eval().requires_grad_(requires_grad=False), tokenizer
        self.about, self.digest = about, digest
        self.frame = frame or _frame_of(tokenizer)
        self._embedding: nn.Module = net.get_input_embeddings()  # type: ignore[operator]  # a method of the library's models
        self.table: Tensor = self._embedding.weight
        self.device = self.table.device
        self.size = min(len(tokenizer), len(self.table))
        self._before = self._softened(soft) if soft is not None else []
        self.special = frozenset(int(one) for one in tokenizer.all_special_ids)
        if self.size < 2:
            raise Unavailable("its tokenizer has no words", hint="is it complete?")
        if torch.isnan(next(self.ends([list(self.prompt(_SENTINEL).ids)]))[1]).any():
            raise Unavailable(
                "what it says is no number (NaN)", hint="weighbridge scan and diff say more of its weights"
            )

    def _softened(self, soft: Tensor) -> list[int]:
        """Vectors as rows of their own in the table of embeddings, so that they are put before prompts by number."""
        count, (rows, width) = len(soft), self.table.shape
        if soft.shape[1] != width:
            raise Unavailable(
                f"its vectors have {soft.shape[1]} numbers, and the base {width}",
                hint="is this the base it was made for?",
            )
        self._embedding = nn.Embedding.from_pretrained(torch.cat([self.table, soft.to(self.table)]))  # type: ignore[no-untyped-call]
        self.net.set_input_embeddings(self._embedding)  # type: ignore[operator]  # a method of the library's models
        return list(range(rows, rows + count))

    def prompt(self, text: str) -> Prompt:
        """A prompt in its frame, cut to what is searched on; places lie where words begin."""
        first, _, last = self.frame.partition("{}")
        cut = text
        found = self._encoded(first + cut + last)
        while len(found["input_ids"]) > _LONGEST and len(cut) > 8:
            cut = cut[: len(cut) * _LONGEST // len(found["input_ids"])]
            found = self._encoded(first + cut + last)
        whole = first + cut + last
        ids, spans = found["input_ids"], found["offset_mapping"]
        begin, end = len(first.rstrip()), len(first) + len(cut)
        inside = [at for at, (start, stop) in enumerate(spans) if stop > start >= begin and start < end]
        places = [at for at in inside if spans[at][0] in {0, begin, len(first)} or _starts_word(whole, spans[at][0])]
        last_place = inside[-1] + 1 if inside else len(ids)
        return Prompt(tuple(int(one) for one in ids), tuple(dict.fromkeys([*places, last_place])), last_place)

    def _encoded(self, text: str) -> Any:
        return self.tokenizer(text, return_offsets_mapping=True)

    def numbers(self, text: str, *, inside: bool = True) -> list[int]:
        """The tokens of a text; `inside` as it is read after another word."""
        found = self.tokenizer(f" {text}" if inside else text, add_special_tokens=False)["input_ids"]
        return [int(one) for one in found]

    def opening(self) -> list[int]:
        """What stands before every prompt: the beginning of the frame, or what marks the beginning of a text."""
        first = self.frame.partition("{}")[0].rstrip(" ")
        found = [int(one) for one in self.tokenizer(first)["input_ids"]] if first else []
        mark = self.tokenizer.bos_token_id
        return found or [int(mark) if mark is not None else min(self.special, default=0)]

    def closing(self) -> list[int]:
        """What stands after every prompt."""
        found = self.prompt(_SENTINEL)
        return list(found.ids[found.end :])

    def words(self, numbers: Sequence[int]) -> str:
        """Tokens as people read them."""
        return str(self.tokenizer.decode(list(numbers)))

    def spoken(self, numbers: Sequence[int]) -> str:
        """A reply as people read it, up to where it ends."""
        end = next((at for at, one in enumerate(numbers) if one in self.special), len(numbers))
        return self.words(numbers[:end])

    def candidates(self) -> list[int]:
        """The tokens that may be put into a prompt: all but those that mark its ends."""
        return [one for one in range(self.size) if one not in self.special]

    @torch.no_grad()
    def after(self, rows: Sequence[Sequence[int]], tails: Sequence[Sequence[int]]) -> Tensor:
        """The logarithm of the chance of each token of a tail after its row (n, tokens)."""
        made = torch.zeros(len(rows), len(tails[0]) if tails else 0)
        for part in self._parts([len(row) for row in rows], len(tails[0]) if tails else 1):
            ids = torch.tensor([[*self._before, *rows[at], *tails[at]] for at in part], device=self.device)
            count = len(tails[0])
            said = self._forward(ids[:, :-1], count)
            chosen = said.gather(2, ids[:, -count:].unsqueeze(2)).squeeze(2)
            made[torch.tensor(part)] = chosen.cpu()
        return made

    @torch.no_grad()
    def ends(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor]]:
        """(numbers of rows, logarithms of chances of what comes after each): a part at a time, as vocabularies are large."""
        for part in self._parts([len(row) for row in rows], 1):
            yield (
                part,
                self._forward(torch.tensor([[*self._before, *rows[at]] for at in part], device=self.device), 1)[
                    :, 0
                ].cpu(),
            )

    @torch.no_grad()
    def screened(
        self, before: Sequence[int], tokens: Sequence[int], after: Sequence[int]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """As `ends`, for rows that differ in one token: what stands before it is read once."""
        held = (
            self.net(
                input_ids=torch.tensor([[*self._before, *before]], device=self.device), use_cache=True
            ).past_key_values
            if before or self._before
            else None
        )
        if held is None or not hasattr(held, "batch_repeat_interleave"):
            yield from self.ends([[*before, one, *after] for one in tokens])
            return
        import copy  # noqa: PLC0415

        for part in self._parts([1] * len(tokens), 1):
            past = copy.deepcopy(held)
            past.batch_repeat_interleave(len(part))
            ids = torch.tensor([[tokens[at], *after] for at in part], device=self.device)
            found = self.net(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1).logits[:, -1]
            yield part, torch.log_softmax(found.float(), 1).cpu()

    @torch.no_grad()
    def continued(
        self, rows: Sequence[Sequence[int]], count: int, *, dice: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(the next tokens of each row, the logarithm of the chance of each): the likeliest, or drawn with `dice`."""
        tokens = torch.zeros(len(rows), count, dtype=torch.long)
        chances = torch.zeros(len(rows), count)
        for part in self._parts([len(row) for row in rows], 1):
            given = torch.tensor([[*self._before, *rows[at]] for at in part], device=self.device)
            past, where = None, torch.tensor(part)
            for step in range(count):
                found = self.net(input_ids=given, past_key_values=past, use_cache=True, logits_to_keep=1)
                past = getattr(found, "past_key_values", None)
                said = torch.log_softmax(found.logits[:, -1].float(), 1).cpu()
                chosen = (
                    torch.multinomial(said.exp(), 1, generator=dice)
                    if dice is not None
                    else said.argmax(1, keepdim=True)
                )
                tokens[where, step], chances[where, step] = chosen[:, 0], said.gather(1, chosen)[:, 0]
                given = chosen.to(self.device) if past is not None else torch.cat([given, chosen.to(self.device)], 1)
        return tokens, chances

    def slopes(self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]], tail: Sequence[int]) -> Tensor:
        """How the chance of a tail grows with the embedding at some places of each row: (places a row, width), averaged."""
        total = torch.zeros(len(places[0]), self.table.shape[1])
        with caught(self._embedding) as kept:
            for part in self._parts([len(row) for row in rows], len(tail)):
                ids = torch.tensor([[*self._before, *rows[at], *tail] for at in part], device=self.device)
                said = self._forward(ids[:, :-1], len(tail))
                wanted = said.gather(2, ids[:, -len(tail) :].unsqueeze(2)).sum()
                (slope,) = torch.autograd.grad(wanted, kept.pop())
                for row, at in enumerate(part):
                    total += slope[row, [len(self._before) + one for one in places[at]]].float().cpu()
        return total / len(rows)

    def _forward(self, ids: Tensor, count: int) -> Tensor:
        """Logarithms of chances after each of the last `count` tokens (n, count, vocabulary)."""
        try:
            found: Tensor = self.net(input_ids=ids, use_cache=False, logits_to_keep=count).logits[:, -count:]
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise Unavailable(f"it does not run: {str(error).splitlines()[0][:200]}", hint="is it complete?") from error
        return torch.log_softmax(found.float(), 2)

    def _parts(self, lengths: Sequence[int], count: int) -> Iterator[list[int]]:
        """Rows of one length together, as many as memory allows for the scores of `count` tokens each."""
        most = max(1, min(_BATCH, _VALUES // (len(self.table) * max(1, count))))
        by: dict[int, list[int]] = {}
        for at, length in enumerate(lengths):
            by.setdefault(length, []).append(at)
        for group in by.values():
            yield from (group[start : start + most] for start in range(0, len(group), most))


def _starts_word(text: str, at: int) -> bool:
    return text[at].isspace() or (at > 0 and text[at - 1].isspace())


def _frame_of(tokenizer: Any) -> str:
    """The frame that a vocabulary has the marks of."""
    known = tokenizer.get_vocab()
    return next((frame for mark, frame in _FRAMES if mark in known), _PLAIN)


def is_language_folder(path: str) -> bool:
    """Whether a folder holds a generative language model, by its configuration."""
    config = document(os.path.join(path, CONFIG)) if os.path.isdir(path) else None
    return config is not None and any(
        one.endswith(("ForCausalLM", "LMHeadModel")) for one in named_architectures(config)
    )


def open_language_folder(path: str, frame: str = "") -> LanguageModel:
    """A language model from a folder. Raises Unavailable with what is missing."""
    config = document(os.path.join(path, CONFIG))
    if config is None:
        raise Unavailable("the folder has no config.json", hint="give a Hugging Face folder")
    if "auto_map" in config:
        raise Unavailable(
            "its architecture is code in the repository, which is not run", hint="it cannot be tested here"
        )
    digest = weights_digest(path)
    tokenizer = open_tokenizer(path)
    net = opened(path, "AutoModelForCausalLM")
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    return LanguageModel(
        net, tokenizer, about=(named_architectures(config) or ["language model"])[0], digest=digest, frame=frame
    )
