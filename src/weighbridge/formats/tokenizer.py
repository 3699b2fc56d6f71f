"""Knows the vocabulary, added tokens and rewriting rules of a `tokenizer.json`.

Source: tokenizers 0.22 `tokenizer/serialization.rs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.document import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN: Final = 20


class Replacement(Struct, frozen=True):
    """A rule that rewrites text. `stage` is where: normalizer, pre_tokenizer or decoder."""

    stage: str
    pattern: str
    content: str


class AddedToken(Struct, frozen=True):
    """One entry of the added-token table."""

    content: str
    id: int
    special: bool


class TokenizerFacts(Struct, frozen=True, kw_only=True):
    """A tokenizer. `size` counts ids, `top` is the largest one, `clashes` are ids that two tokens claim."""

    kind: str
    size: int
    top: int
    clashes: tuple[tuple[int, str, str], ...]
    holes: int
    repeated: tuple[str, ...]
    added: tuple[AddedToken, ...]
    replacements: tuple[Replacement, ...]
    patterns: tuple[str, ...]


def read_tokenizer(document: dict[str, Any]) -> TokenizerFacts:
    """The facts of a parsed `tokenizer.json`."""
    model = document.get("model")
    model = model if isinstance(model, dict) else {}
    vocabulary = model.get("vocab")
    by_id: dict[int, str] = {}
    clashes: list[tuple[int, str, str]] = []
    repeated: list[str] = []
    for token, number in _vocabulary(vocabulary, repeated):
        other = by_id.setdefault(number, token)
        if other is not token and len(clashes) < _SHOWN:
            clashes.append((number, other, token))
    added = tuple(_added(document.get("added_tokens")))
    for entry in added:
        other = by_id.setdefault(entry.id, entry.content)
        if other != entry.content and len(clashes) < _SHOWN:
            clashes.append((entry.id, other, entry.content))
    top = max(by_id, default=-1)
    return TokenizerFacts(
        kind=str(model.get("type", "")),
        size=len(by_id),
        top=top,
        clashes=tuple(clashes),
        holes=top + 1 - len(by_id),
        repeated=tuple(repeated),
        added=added,
        replacements=tuple(_replacements(document)),
        patterns=tuple(_patterns(document)),
    )


def _vocabulary(table: object, repeated: list[str]) -> Iterator[tuple[str, int]]:
    if isinstance(table, dict):
        yield from ((token, number) for token, number in table.items() if type(number) is int)
    elif isinstance(table, list):
        seen: set[str] = set()
        for number, item in enumerate(table):
            token = item[0] if isinstance(item, list) and item else item
            if isinstance(token, str):
                if token in seen and len(repeated) < _SHOWN:
                    repeated.append(token)
                seen.add(token)
                yield token, number


def _added(table: object) -> Iterator[AddedToken]:
    for item in table if isinstance(table, list) else []:
        if isinstance(item, dict) and isinstance(item.get("content"), str) and type(item.get("id")) is int:
            yield AddedToken(item["content"], item["id"], item.get("special") is True)


def _replacements(document: dict[str, Any]) -> Iterator[Replacement]:
    for stage in ("normalizer", "pre_tokenizer", "decoder", "post_processor"):
        tree = document.get(stage)
        if not isinstance(tree, dict):
            continue
        for node in (tree, *(value for _, _, value in walk(tree) if isinstance(value, dict))):
            if node.get("type") == "Replace":
                pattern = node.get("pattern")
                text = next((str(v) for v in pattern.values()), "") if isinstance(pattern, dict) else str(pattern)
                yield Replacement(stage, text, str(node.get("content", "")))
            elif node.get("type") == "Prepend":
                yield Replacement(stage, "", str(node.get("prepend", "")))


def _patterns(document: dict[str, Any]) -> Iterator[str]:
    for stage in ("normalizer", "pre_tokenizer"):
        tree = document.get(stage)
        if isinstance(tree, dict):
            yield from (str(value) for _, key, value in walk({"": tree}) if key == "Regex")
