"""Knows what was tried inside the sandbox, as facts: which call, on what, and what became of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What an attempt reaches for."""

    PROGRAM = "program"
    NETWORK = "network"
    READ = "read"
    WRITE = "write"
    PROCESS = "process"
    KERNEL = "kernel"
    LIMIT = "limit"
    ANSWER = "answer"


class Attempt(Struct, frozen=True, kw_only=True):
    """One thing that was tried, `count` times: the system call, its object in words, and what the sandbox did about it."""

    kind: Kind
    call: str
    what: str
    outcome: str
    count: int = 1
