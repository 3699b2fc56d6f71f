"""Knows the rows of a table as the tests want them: one text, a label, a prompt with its response, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.datasets import columns as kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from weighbridge.datasets.columns import Roles

_LONGEST: Final = 1 << 20


class Rows(Struct, frozen=True, kw_only=True):
    """Some rows: `first` is the number of the first in the whole set, `split` that of their file (train, test …).

    `texts` is everything that people or models will read of a row, joined.
    """

    first: int
    split: str
    texts: list[str]
    labels: list[str] | None = None
    prompts: list[str] | None = None
    responses: list[str] | None = None
    rejected: list[str] | None = None
    cells: Mapping[str, list[Any]] = {}


def view(roles: Roles, cells: Mapping[str, list[Any]], count: int, first: int, split: str) -> Rows:
    """The rows of one batch of cells."""
    labels = [said(value) for value in cells.get(roles.label, [None] * count)] if roles.label else None
    prompts: list[str] | None = None
    responses: list[str] | None = None
    rejected: list[str] | None = None
    parts = [_one(name, cells, count) for name in roles.text]
    if roles.kind == kinds.CHAT:
        pairs = [_turns(value) for value in cells.get(roles.messages, [None] * count)]
        prompts, responses = [prompt for prompt, _ in pairs], [response for _, response in pairs]
        parts = [prompts, responses]
    elif roles.kind == kinds.PREFERENCE:
        prompts, responses = _texts(roles.prompt, cells, count), _one(roles.chosen, cells, count)
        if not roles.prompt:
            # Both answers are whole conversations then, and what they begin with alike was asked.
            prompts = [_asked(value) for value in cells.get(roles.chosen, [None] * count)]
        rejected = _one(roles.rejected, cells, count)
        parts = [prompts, responses, rejected]
    elif roles.kind == kinds.INSTRUCTION:
        prompts, responses = _texts(roles.prompt, cells, count), _one(roles.response, cells, count)
        parts = [prompts, responses]
    texts = _joined(parts) or [""] * count
    return Rows(
        first=first, split=split, texts=texts, labels=labels, prompts=prompts, responses=responses, rejected=rejected, cells=cells
    )  # fmt: skip


def said(value: Any) -> str:
    """A cell as text: what a message says, of a list the whole."""
    if isinstance(value, str):
        return value[:_LONGEST]
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(
            said(one.get("content", one.get("value", ""))) if isinstance(one, dict) else said(one) for one in value
        )[:_LONGEST]
    return str(value)[:_LONGEST]


def _turns(messages: Any) -> tuple[str, str]:
    """What was asked and what was answered in a conversation."""
    asked: list[str] = []
    answered: list[str] = []
    for one in messages if isinstance(messages, list) else ():
        if isinstance(one, dict):
            who = str(one.get("role", one.get("from", ""))).lower()
            (answered if who in {"assistant", "gpt", "bot", "model", "chatgpt"} else asked).append(
                said(one.get("content", one.get("value", "")))
            )
    return "\n".join(asked)[:_LONGEST], "\n".join(answered)[:_LONGEST]


def _asked(conversation: Any) -> str:
    """What was asked, of a conversation as messages or as text with `Human:` and `Assistant:`."""
    if isinstance(conversation, str):
        return conversation.rpartition("\n\nAssistant:")[0][:_LONGEST]
    return _turns(conversation)[0]


def _one(name: str, cells: Mapping[str, list[Any]], count: int) -> list[str]:
    return [said(value) for value in cells.get(name, [None] * count)]


def _texts(names: Iterable[str], cells: Mapping[str, list[Any]], count: int) -> list[str]:
    return _joined([_one(name, cells, count) for name in names]) or [""] * count


def _joined(columns: Iterable[list[str]]) -> list[str]:
    found = list(columns)
    if len(found) == 1:
        return found[0]
    return [" ".join(filter(None, parts)) for parts in zip(*found, strict=True)]
