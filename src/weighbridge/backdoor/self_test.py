"""Knows the known-bad models that come with this program, and tests them: how well these searches find on this machine."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.backdoor.examine import Wish, examine
from weighbridge.backdoor.references import find_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.backdoor.result import Result

FOLDER: Final = os.path.join(os.path.dirname(__file__), "shipped")


class Fixture(Struct, frozen=True, kw_only=True):
    """A shipped model: what was planted in it, how often that works (0 to 1), and the true trigger as PNG in base 64."""

    name: str
    planted: str
    success: float
    trigger: str = ""


class Tried(Struct, frozen=True, kw_only=True):
    """A fixture and what its test came to."""

    name: str
    planted: str
    is_bad: bool
    trigger: bytes
    result: Result


def fixtures() -> list[Fixture]:
    """The shipped models, known-bad ones first."""
    with open(os.path.join(FOLDER, "fixtures.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=list[Fixture])


def self_test() -> Iterator[Tried]:
    """Test every shipped model, on shipped samples and against shipped references."""
    references = find_references("digits")
    for one in fixtures():
        wish = Wish(
            model=os.path.join(FOLDER, f"{one.name}.onnx"),
            samples=os.path.join(FOLDER, "digits.npz"),
            references=references,
        )
        yield Tried(
            name=one.name, planted=one.planted, is_bad=bool(one.success), trigger=base64.b64decode(one.trigger),
            result=examine(wish),
        )  # fmt: skip
