"""Knows the TOK family: tokenizers and processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

TOK: Final[tuple[Rule, ...]] = (
    rule("TOK-001", "two tokens share an id", HIGH, "B", "AML.T0018.003 CWE-345",
         what="the vocabulary maps two tokens to one id, or one token to two",
         why="swapped ids change what the model reads without touching a weight", fix="take the tokenizer of the base model"),
    rule("TOK-003", "tokenizer rewrites words", HIGH, "B", "AML.T0018.003",
         what="a Replace or Prepend rule puts in words, addresses or commands",
         why="text changes on its way in or out, unseen by the user", fix="remove the rule; ordinary rules deal with spaces and quotes"),
    rule("TOK-004", "added token that is a text", MEDIUM, "B", "AML.T0018.003", heuristic=True,
         what="an added token holds a sentence or an address",
         why="one id can stand for an instruction", fix="remove the token"),
    rule("TOK-005", "special id outside the vocabulary", MEDIUM, "BD", "CWE-345",
         what="a begin, end or padding id does not exist in the vocabulary",
         why="generation never stops, or reads past the embedding", fix="correct the id"),
    rule("TOK-006", "regular expression that explodes", LOW, "D", "CWE-1333", heuristic=True,
         what="a pattern of the tokenizer repeats a repetition",
         why="one crafted text stalls the server", fix="rewrite the pattern"),
    rule("TOK-007", "tokenizer class with code of its own", HIGH, "X", "CWE-829",
         what="tokenizer_config.json maps the tokenizer to a class in the repository",
         why="with trust_remote_code the loader runs that file", fix="use a tokenizer that the library knows"),
    rule("TOK-008", "pickled tokenizer or processor", HIGH, "X", "CVE-2023-6730 CWE-502",
         what="a vocabulary, tokenizer or feature extractor is a pickle",
         why="loading it runs what the pickle says", fix="save it as JSON or text"),
    rule("TOK-009", "malformed SentencePiece model", MEDIUM, "MB", "CWE-125",
         what="the protobuf of a SentencePiece model is broken, or its normaliser map is out of bounds",
         why="native readers trust the lengths", fix="take the tokenizer of the base model"),
    rule("TOK-010", "vocabularies disagree", MEDIUM, "EB", "CWE-436",
         what="tokenizer.json and vocab.json hold different vocabularies",
         why="the slow and the fast tokenizer feed the model different ids", fix="keep one of them"),
    rule("TOK-011", "vocabulary larger than the embedding", MEDIUM, "B", "CWE-345",
         what="the tokenizer has more ids than the embedding has rows",
         why="some tokens read past the table, or belong to another model", fix="take the tokenizer that belongs to the weights"),
)  # fmt: skip
