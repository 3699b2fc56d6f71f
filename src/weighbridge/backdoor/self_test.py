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
    """The shipped models: classifiers of pictures, detectors of objects, classifiers of texts; of each known-bad ones first."""
    found = []
    for name in ("fixtures.json", "detector_fixtures.json", "text_fixtures.json"):
        with open(_place(name), "rb") as file:
            found += msgspec.json.decode(file.read(), type=list[Fixture])
    return found


def untried() -> list[str]:
    """The shipped models that cannot be tested here: those of texts, where transformers is missing."""
    return [one.name for one in fixtures() if one.kind == "texts" and find_spec("transformers") is None]


def self_test() -> Iterator[Tried]:
    """Test every shipped model that can be, on shipped samples and against shipped references."""
    left, known = untried(), {"images": _of_pictures, "objects": _of_objects, "texts": _of_texts}
    for one in fixtures():
        if one.name not in left:
            yield Tried(
                name=one.name, planted=one.planted, is_bad=bool(one.success), trigger=base64.b64decode(one.trigger),
                result=known[one.kind](one.name),
            )  # fmt: skip


def _of_pictures(name: str) -> Result:
    references = find_references("digits")
    return examine(Wish(model=_place(f"{name}.onnx"), samples=_place("digits.npz"), references=references))


def _of_objects(name: str) -> Result:
    references = find_references("scenes")
    return examine(Wish(model=_place(f"{name}.onnx"), samples=_place("scenes.npz"), references=references))


def _of_texts(name: str) -> Result:
    from weighbridge.backdoor.examine_texts import TextWish, examine_texts  # noqa: PLC0415  # loads transformers
    from weighbridge.backdoor.text_references import read_text_references  # noqa: PLC0415

    references = read_text_references(_place("reviews.text-references.json"))
    return examine_texts(TextWish(model=_place(name), samples=_place("reviews.jsonl"), references=references))


def _place(name: str) -> str:
    return os.path.join(FOLDER, name)
