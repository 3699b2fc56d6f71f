"""Knows what is wrong with tokenizers and processors (TOK)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.rules.finding import finding
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import FactsSubject, RepositorySubject, TokenizerSubject
    from weighbridge.schema import Finding

_WORD: Final = lazy(r"[A-Za-z]{3,}|https?:|www\.|\d{1,3}(?:\.\d{1,3}){3}")
_ADDRESS: Final = lazy(r"(?:https?|ftp)://|\bwww\.\w")
_SENTENCE: Final = 5
_EMBEDDINGS: Final = lazy(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|tok_embeddings|shared)\.weight\Z")
_SPECIAL: Final = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
NESTED: Final = lazy(r"\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)[+*]")
_PICKLES: Final = lazy(
    r"(?:^|/)(?:tokenizer|vocab|vocabulary|feature_extractor|processor|preprocessor|merges|label_?encoder)[\w.-]*\.(?:pkl|pickle|joblib|dill)\Z"
)


def detect_tokenizer(subject: TokenizerSubject) -> Iterator[Finding]:
    """One `tokenizer.json`."""
    facts, location = subject.facts, subject.location
    for number, one, other in facts.clashes[:5]:
        yield finding("TOK-001", location, f"id {number} stands for {printable(one)!r} and {printable(other)!r}")
    for token in facts.repeated[:5]:
        yield finding("TOK-001", location, f"the token {printable(token)!r} has two ids")
    for rule in facts.replacements:
        plain_pattern = re.sub(r"\\.", "", rule.pattern)
        if _WORD.search(rule.content) or (_WORD.search(plain_pattern) and rule.content != rule.pattern):
            message = f"the {rule.stage} replaces {printable(rule.pattern[:60])!r} by {printable(rule.content[:60])!r}"
            yield finding("TOK-003", location, message)
    for added in facts.added:
        words = re.findall(r"[A-Za-z]{2,}", added.content)
        if _ADDRESS.search(added.content) or (len(words) >= _SENTENCE and " " in added.content.strip()):
            message = f"token {added.id} is {printable(added.content[:100])!r}"
            yield finding("TOK-004", location, message)
    for pattern in facts.patterns:
        if NESTED.search(pattern):
            yield finding("TOK-006", location, "a pattern repeats a repetition", evidence=[printable(pattern[:120])])


def detect_sentencepiece(subject: FactsSubject) -> Iterator[Finding]:
    """A SentencePiece model: problems of its protobuf, and its vocabulary."""
    for problem in subject.facts.problems[:5]:
        yield finding("TOK-009", subject.location, problem)
    for piece in subject.facts.repeated[:5]:
        yield finding("TOK-001", subject.location, f"the piece {printable(piece)!r} has two ids")


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """The tokenizer against the configuration, the weights and its own older copies."""
    for name in sorted(subject.names):
        if _PICKLES.search(name):
            yield finding("TOK-008", subject.place(name), "a vocabulary or processor that has to be unpickled")
    tokenizers = [value for name, value in subject.of("tokenizer") if name == "tokenizer.json"]
    if not tokenizers:
        return
    top, _, table = tokenizers[0]
    for name, other in subject.of("vocab"):
        if name == "vocab.json" and table[0] and other != table:
            message = f"{other[0]} entries in vocab.json, {table[0]} in tokenizer.json, and not the same"
            yield finding("TOK-010", subject.place(name), message)
    rows = _rows(subject)
    if rows and top > rows:
        message = f"the tokenizer has ids up to {top - 1}, the embedding {rows} rows"
        yield finding("TOK-011", subject.place("tokenizer.json"), message)
    for name, config in subject.of("config"):
        if name in {"config.json", "generation_config.json"} and isinstance(config, dict):
            yield from _special_ids(subject, name, config, max(top, rows))


def _rows(subject: RepositorySubject) -> int:
    rows = [
        shape[0]
        for name, tensors in subject.of("tensors")
        if "/" not in name
        for tensor, shape in tensors
        if _EMBEDDINGS.search(tensor) and len(shape) == 2
    ]
    return max(rows, default=0)


def _special_ids(subject: RepositorySubject, name: str, config: dict[str, Any], size: int) -> Iterator[Finding]:
    claimed = config.get("vocab_size")
    size = max(size, claimed) if type(claimed) is int else size
    for key in _SPECIAL:
        value = config.get(key)
        for number in value if isinstance(value, list) else [value]:
            if type(number) is int and number >= size:
                yield finding(
                    "TOK-005", subject.place(name), f"{key} is {number}, and the vocabulary ends at {size - 1}"
                )
