"""Knows what a behaviour test comes to: a verdict in words, what it rests on, and what was not tested.

The word clean is not among them: a search that finds nothing has found nothing (Goldwasser et al. 2022, planted backdoors
that no test can see).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Verdict(StrEnum):
    """What a model is after its tests."""

    FOUND = "trigger found"
    SUSPICIOUS = "suspicious"
    NOTHING = "no evidence"
    UNTESTABLE = "not testable"


class Test(Struct, frozen=True, kw_only=True):
    """One test: what it looks for, its number (a logarithm of a size: smaller is more suspicious), and its p-value."""

    name: str
    about: str
    value: float
    p_value: float | None = None


class Shown(Struct, frozen=True, kw_only=True):
    """A recovered trigger, with pictures as PNG: the trigger alone, and on one of the samples."""

    kind: str
    target: int
    source: int
    works: int
    of: int
    size: float
    pixels: int
    picture: bytes
    stamped: bytes
    transfers: float | None = None


class Measured(Struct, frozen=True, kw_only=True):
    """How many known backdoors of a kind these tests found, of how many."""

    attack: str
    found: int
    of: int


class Result(Struct, frozen=True, kw_only=True):
    """Everything about one tested model. `reasons` are sentences; `untested` says what nobody looked for, and why."""

    model: str
    digest: str
    about: str
    verdict: Verdict
    because: str
    p_value: float | None = None
    reference: str = ""
    references: int = 0
    pixels: str = ""
    samples: str = ""
    tests: tuple[Test, ...] = ()
    trigger: Shown | None = None
    power: tuple[Measured, ...] = ()
    alarms: tuple[int, int] = (0, 0)
    untested: tuple[str, ...] = ()
    seconds: float = 0.0


ALWAYS_UNTESTED: Final = (
    "triggers that no single change of pixels stands for, such as a meaning (sunglasses) or a style",
    "attackers who trained against these very searches",
)
