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


class Trigger(Struct, frozen=True, kw_only=True):
    """A recovered trigger.

    How it is put on images, to which class it leads (-1: away from the right one), of which source
    class (-1: any), on how many unseen images it works and of how many, its size (L2) and the pixels that it covers.
    Pictures as PNG: the trigger alone, and on one of the samples. `transfers` is the share that it turns on clean models.
    """

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

    @property
    def success(self) -> float:
        """The share of unseen images that it turns."""
        return self.works / self.of if self.of else 0.0


class Power(Struct, frozen=True, kw_only=True):
    """How many known backdoors of a kind these tests found at p below 0.05, of how many."""

    attack: str
    found: int
    of: int


class Result(Struct, frozen=True, kw_only=True):
    """Everything about one tested model. `untested` says what nobody looked for, and why."""

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
    trigger: Trigger | None = None
    power: tuple[Power, ...] = ()
    alarms: tuple[int, int] = (0, 0)
    untested: tuple[str, ...] = ()
    seconds: float = 0.0


ALWAYS_UNTESTED: Final = (
    "triggers that no single change of pixels stands for, such as a meaning (sunglasses) or a style",
    "attackers who trained against these very searches",
)
