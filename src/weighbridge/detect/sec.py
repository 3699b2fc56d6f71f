"""Knows what secrets look like (SEC): formats with a fixed prefix and enough entropy, and key files."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from weighbridge.rules.finding import finding
from weighbridge.schema.patterns import lazy

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from weighbridge.detect.subjects import TextSubject
    from weighbridge.schema import Finding

# Prefix that `bytes.find` looks for, name, and the whole pattern.
_TOKENS: Final[tuple[tuple[bytes, str, re.Pattern[bytes]], ...]] = tuple(
    (prefix, name, lazy(rb"(?<![A-Za-z0-9_])" + pattern + rb"(?![A-Za-z0-9_])"))
    for prefix, name, pattern in (
        (b"hf_", "Hugging Face token", rb"hf_[A-Za-z]{34}"),
        (b"AKIA", "AWS access key", rb"AKIA[0-9A-Z]{16}"),
        (b"ASIA", "AWS temporary key", rb"ASIA[0-9A-Z]{16}"),
        (b"ghp_", "GitHub token", rb"ghp_[A-Za-z0-9]{36}"),
        (b"gho_", "GitHub token", rb"gho_[A-Za-z0-9]{36}"),
        (b"ghs_", "GitHub token", rb"ghs_[A-Za-z0-9]{36}"),
        (b"github_pat_", "GitHub token", rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        (b"glpat-", "GitLab token", rb"glpat-[A-Za-z0-9_-]{20}"),
        (b"sk-proj-", "OpenAI key", rb"sk-proj-[A-Za-z0-9_-]{40,200}"),
        (b"sk-ant-", "Anthropic key", rb"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,120}"),
        (b"xoxb-", "Slack token", rb"xoxb-[0-9]{10,13}-[0-9]{10,13}-[A-Za-z0-9]{24}"),
        (b"AIza", "Google API key", rb"AIza[0-9A-Za-z_-]{35}"),
        (b"pypi-AgEIcHlwaS5vcmc", "PyPI token", rb"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
        (b"npm_", "npm token", rb"npm_[A-Za-z0-9]{36}"),
    )
)
_PRIVATE: Final = lazy(
    rb"-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----\s*\n?[A-Za-z0-9+/=\s:,-]{64}"
)
_AWS_FILE: Final = lazy(rb"aws_secret_access_key\s*=\s*[A-Za-z0-9/+]{40}")
_SELF_TEST: Final = b"WEIGHBRIDGE-SELF-TEST-7d1f0b1e"
_ENTROPY: Final = 3.0
_SHOWN: Final = 6


def detect_secrets(subject: TextSubject) -> Iterator[Finding]:
    """Tokens, private keys and the self-test marker; one finding of each kind."""
    told: set[str] = set()
    for base, data in subject.windows():
        for rule, kind, at, message, shown in _secrets(data):
            if kind not in told:
                told.add(kind)
                yield finding(rule, subject.location.at(base + at), message, evidence=[shown] if shown else [])


def _secrets(data: bytes) -> Iterator[tuple[str, str, int, str, str]]:
    for prefix, name, pattern in _TOKENS:
        at = data.find(prefix)
        match = pattern.search(data, max(0, at - 1)) if at >= 0 else None
        if match and b"EXAMPLE" not in match[0] and entropy(match[0][len(prefix) :]) >= _ENTROPY:
            shown = match[0][: len(prefix) + _SHOWN].decode("latin-1")
            yield "SEC-001", name, match.start(), f"a {name}: {shown}… ({len(match[0])} characters)", ""
    key = _PRIVATE.search(data) if b"PRIVATE KEY" in data else None
    if key:
        yield "SEC-002", "private key", key.start(), "a private key", key[0][:40].decode("latin-1").strip()
    if b"aws_secret_access_key" in data and (found := _AWS_FILE.search(data)):
        yield "SEC-002", "AWS credentials", found.start(), "an AWS secret key in a credentials file", ""
    at = data.find(_SELF_TEST)
    if at >= 0:
        yield "SEC-010", "self-test", at, "the self-test marker was found; nothing is wrong", ""


def entropy(text: bytes) -> float:
    """Bits a character."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values()) if total else 0.0


def find_secrets(text: str) -> Iterator[str]:
    """The secrets of a text in words, for formats that show them under a rule of their own."""
    for rule, _, _, message, _ in _secrets(text.encode("utf-8", "replace")):
        if rule != "SEC-010":
            yield message
