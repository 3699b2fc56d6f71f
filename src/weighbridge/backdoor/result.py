"""Knows what a behaviour test comes to: a verdict in words, what it rests on, and what was not tested.

The word clean is not among them: a search that finds nothing has found nothing (Goldwasser et al. 2022, planted backdoors
that no test can see).
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Verdict(StrEnum):
    """What a model is after its tests."""

    FOUND = "trigger found"
    SUSPICIOUS = "suspicious"
    NOTHING = "no evidence"
    UNTESTABLE = "not testable"


class Kinds(StrEnum):
    """What is tested: classifiers of images or of texts, or models that write."""

    IMAGES = "images"
    TEXTS = "texts"
    LANGUAGE = "language"


class Test(Struct, frozen=True, kw_only=True):
    """One test: what it looks for, its number (smaller is more suspicious), how people read that, and its p-value."""

    name: str
    about: str
    value: float
    p_value: float | None = None
    shown: str = ""


class Trigger(Struct, frozen=True, kw_only=True):
    """A recovered trigger.

    How it is put on images, to which class it leads (-1: away from the right one), of which source
    class (-1: any), on how many unseen images it works and of how many, its size (L2) and the pixels that it covers.
    Pictures as PNG: the trigger alone, and on one of the samples. `transfers` is the share that it turns on clean models.
    In models of texts it is `text`, and `example` a text that holds it; in a generative one `says` is the reply that it
    leads to, and `payload` what kind of reply that is.
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
    text: str = ""
    example: str = ""
    says: str = ""
    payload: str = ""

    @property
    def success(self) -> float:
        """The share of unseen images that it turns."""
        return self.works / self.of if self.of else 0.0


class Power(Struct, frozen=True, kw_only=True):
    """How many known backdoors of a kind these tests found at p below 0.05, of how many."""

    attack: str
    found: int
    of: int


class Part(Struct, frozen=True, kw_only=True):
    """A part of a model, and how much of the effect of the trigger is left with the weights of the base there (1: all)."""

    name: str
    left: float


class Result(Struct, frozen=True, kw_only=True):
    """Everything about one tested model. `parts` are where a behaviour sits; `untested` says what nobody looked for, and why."""

    model: str
    digest: str
    about: str
    verdict: Verdict
    because: str
    kind: Kinds = Kinds.IMAGES
    p_value: float | None = None
    reference: str = ""
    references: int = 0
    pixels: str = ""
    samples: str = ""
    tests: tuple[Test, ...] = ()
    trigger: Trigger | None = None
    parts: tuple[Part, ...] = ()
    power: tuple[Power, ...] = ()
    alarms: tuple[int, int] = (0, 0)
    untested: tuple[str, ...] = ()
    seconds: float = 0.0


FOUND: Final = 0.01
SUSPICIOUS: Final = 0.05
TURNS: Final = 0.8  # of unseen samples, for a trigger to count as verified
ALWAYS_UNTESTED: Final = (
    "triggers that no single change of pixels stands for, such as a meaning (sunglasses) or a style",
    "attackers who trained against these very searches",
)


@contextmanager
def told_where_it_breaks() -> Iterator[None]:
    """Raises Unavailable where a search breaks off on the way."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        why = str(error).splitlines()[0][:200] if str(error) else "there is not enough memory"
        raise Unavailable(f"the search broke off: {why}", hint="it may be too large for this machine") from error


def affordable(seconds: float, budget: float) -> None:
    """Raises Unavailable where a search takes longer than somebody allows."""
    if budget and seconds > budget:
        raise Unavailable(
            f"it takes about {duration(seconds)}, and the budget is {duration(budget)}", hint="give it --budget more"
        )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
