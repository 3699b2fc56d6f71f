"""Knows how a line of Python that a COD rule is about reads when it is mended."""

from __future__ import annotations

import re
from typing import Final

# (rule, what stands there, what should): the first pattern of a rule that fits is used.
_SWAPS: Final[tuple[tuple[str, re.Pattern[str], str], ...]] = (
    ("COD-001", re.compile(r"weights_only\s*=\s*False"), "weights_only=True"),
    ("COD-001", re.compile(r"(\bload\((?:[^()]|\([^()]*\))*)\)"), r"\1, weights_only=True)"),
    ("COD-003", re.compile(r"trust_remote_code\s*=\s*True"), "trust_remote_code=False"),
    (
        "COD-004",
        re.compile(r"(\b(?:from_pretrained|hf_hub_download|snapshot_download|load_dataset)\((?:[^()]|\([^()]*\))*)\)"),
        r'\1, revision="<commit>")',
    ),
    ("COD-005", re.compile(r"safe_mode\s*=\s*False"), "safe_mode=True"),
    ("COD-006", re.compile(r"allow_pickle\s*=\s*True"), "allow_pickle=False"),
    (
        "COD-009",
        re.compile(
            r"\byaml\.(?:unsafe_|full_)?load(_all)?\(([^(),]*(?:\([^()]*\))?)(?:,\s*(?:Loader\s*=\s*)?[\w.]+)?\)"
        ),
        r"yaml.safe_load\1(\2)",
    ),
    ("COD-010", re.compile(r"(\bextractall\((?:[^()]|\([^()]*\))+)\)"), r'\1, filter="data")'),
    ("COD-010", re.compile(r"\bextractall\(\)"), 'extractall(filter="data")'),
    ("COD-011", re.compile(r",?\s*allow_dangerous_deserialization\s*=\s*True"), ""),
    ("COD-014", re.compile(r"verify\s*=\s*False"), "verify=True"),
    ("COD-014", re.compile(r"http://"), "https://"),
    ("COD-020", re.compile(r"0\.0\.0\.0"), "127.0.0.1"),
)


def mended(rule: str, line: str) -> str:
    """The line with the unsafe part replaced; empty where only a person can tell what to write."""
    for known, pattern, instead in _SWAPS:
        if known == rule and pattern.search(line):
            return pattern.sub(instead, line, count=1)
    return ""
