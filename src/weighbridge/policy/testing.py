"""Knows which models an organisation wants tested for backdoors, and with what: the tables `[[test]]` of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


class TestPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How models are tested whose artifact is named like `match` (with `*`).

    `data` holds samples, `references` names scores of clean models, `clean` other models of the same task, `pixels` what
    is expected of them; `base` is what language models and adapters were made from, and `frame` what stands around their prompts, with `{}`
    for the prompt; a test that would take longer than `budget` is not begun. What a plan names has to be tested:
    where it cannot be, the artifact is not wholly inspected.
    """

    match: str = "*"
    data: str = ""
    references: str = ""
    clean: tuple[str, ...] = ()
    pixels: str = ""
    budget: str = "10m"
    base: str = ""
    frame: str = ""

    @property
    def seconds(self) -> float:
        """The budget in seconds. Raises UsageError."""
        return seconds_of(self.budget)


def plan_for(plans: Iterable[TestPlan], name: str) -> TestPlan | None:
    """The first plan for an artifact of this name."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # few configurations have plans

    return next((one for one in plans if fnmatchcase(name.lower(), one.match.lower())), None)


def seconds_of(text: str) -> float:
    """`90s`, `5m` or `1h` in seconds; 0 for nothing. Raises UsageError."""
    if not text:
        return 0.0
    number, unit = (text[:-1], text[-1]) if text[-1] in _UNITS else (text, "s")
    try:
        found = float(number) * _UNITS[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < 1e7:
        raise UsageError(f"the time {text!r} is not understood", hint="such as 90s, 5m or 1h")
    return found
