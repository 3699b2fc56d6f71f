"""Knows the known-bad models that come with this program, and tests them: how well these searches find on this machine."""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
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
    """A shipped model: what was planted in it, how often that works (0 to 1), and of pictures the true trigger as PNG in base 64."""

    name: str
    planted: str
    success: float
    trigger: str = ""
    kind: str = "images"


class Tried(Struct, frozen=True, kw_only=True):
    """A fixture and what its test came to."""

    name: str
    planted: str
    is_bad: bool
    trigger: bytes
    result: Result


def fixtures() -> list[Fixture]:
    """The shipped models: classifiers of pictures, then of texts, known-bad ones first."""
    found = []
    for name in ("fixtures.json", "text_fixtures.json"):
        with open(os.path.join(FOLDER, name), "rb") as file:
            found += msgspec.json.decode(file.read(), type=list[Fixture])
    return found


def self_test() -> Iterator[Tried]:
    """Test every shipped model, on shipped samples and against shipped references; those of texts where transformers is there."""
    for one in fixtures():
        if one.kind == "texts" and find_spec("transformers") is None:
            continue
        result = _of_texts(one) if one.kind == "texts" else _of_pictures(one)
        yield Tried(
            name=one.name, planted=one.planted, is_bad=bool(one.success), trigger=base64.b64decode(one.trigger), result=result
        )  # fmt: skip


def _of_pictures(one: Fixture) -> Result:
    wish = Wish(
        model=os.path.join(FOLDER, f"{one.name}.onnx"), samples=os.path.join(FOLDER, "digits.npz"),
        references=find_references("digits"),
    )  # fmt: skip
    return examine(wish)


def _of_texts(one: Fixture) -> Result:
    from weighbridge.backdoor.examine_texts import TextWish, examine_texts  # noqa: PLC0415  # loads transformers
    from weighbridge.backdoor.text_references import read_text_references  # noqa: PLC0415

    wish = TextWish(
        model=os.path.join(FOLDER, one.name), samples=os.path.join(FOLDER, "reviews.jsonl"),
        references=read_text_references(os.path.join(FOLDER, "reviews.text-references.json")),
    )  # fmt: skip
    return examine_texts(wish)
