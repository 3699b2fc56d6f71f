"""The verb `calibrate`: what honest models score, so that a suspect can be held against them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from weighbridge.cli.options import parser
from weighbridge.cli.written import write_file
from weighbridge.schema import Unavailable, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from weighbridge.backdoor.language_references import LanguageReferences
    from weighbridge.backdoor.references import References
    from weighbridge.backdoor.text_references import TextReferences


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    if bool(given.models) == bool(given.recipe):
        raise UsageError("give clean models, or --recipe", hint="weighbridge calibrate clean/*.onnx --data samples/")
    try:
        from weighbridge.backdoor.adapters import is_adapter  # noqa: PLC0415
        from weighbridge.backdoor.calibration import of_language_models, of_models, of_recipe, of_text_models  # noqa: PLC0415  # loading torch takes seconds
        from weighbridge.backdoor.language_models import is_language_folder  # noqa: PLC0415
        from weighbridge.backdoor.text_models import is_text_folder  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f"calibrate needs the extra backdoor ({error.name})", hint="pip install 'weighbridge[backdoor]'"
        ) from error
    is_language = bool(given.models) and (is_adapter(given.models[0]) or is_language_folder(given.models[0]))
    if not given.data and not is_language:
        raise UsageError("there are no samples to score models on", hint="--data samples/")
    name = given.name or given.output.rpartition("/")[2].partition(".")[0]
    steps: Iterator[References | TextReferences | LanguageReferences] = (
        of_language_models(given.models, given.base, given.data, name, given.frame.replace("\\n", "\n"))
        if is_language
        else of_text_models(given.models, given.data, name)
        if given.models and is_text_folder(given.models[0])
        else of_recipe(given.recipe, _count(given.count), given.data, _shape(given.shape), name)
        if given.recipe
        else of_models(given.models, given.data, name, given.pixels)
    )
    made = None
    for made in steps:
        # Written after every model: what was interrupted is of use as far as it came.
        write_file(given.output, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
        print(f"\r{len(made.scores)} models", end="", file=sys.stderr, flush=True)
    if made is None:
        raise UsageError("one classifier of texts says nothing of the next", hint="give several clean models")
    count = len(made.scores)
    print(f"\r{given.output}: {made.recipe}; the smallest p-value with them is {1 / (count + 1):.3g}")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "calibrate",
        "Score clean models of a task, so that `weighbridge test --references` can say how unusual a suspect is.\n"
        "Give the clean models that you have, or train some by a recipe. A hundred allow p < 0.01, twenty p < 0.05.",
        "weighbridge calibrate clean/*.onnx --data samples/ --output digits.references.json",
    )
    made.add_argument("models", nargs="*", help="clean models of the same inputs and classes")
    made.add_argument(
        "--data",
        default="",
        metavar="PATH",
        help="samples, with labels for --recipe; a file of texts for classifiers of texts, of prompts for language models",
    )
    made.add_argument("--output", required=True, metavar="FILE", help="the references")
    made.add_argument("--recipe", choices=("plain", "residual"), help="train small nets instead")
    made.add_argument("--count", default="100", metavar="N", help="how many to train (default: 100)")
    made.add_argument("--shape", default="", metavar="C,H,W", help="channels, height and width, with --recipe")
    made.add_argument("--base", default="", metavar="FOLDER", help="what language models or adapters were made from")
    made.add_argument("--frame", default="", metavar="TEXT", help="as for weighbridge test")
    made.add_argument("--pixels", default="", metavar="RANGE", help="as for weighbridge test")
    made.add_argument("--name", default="", help="of the references, in results")
    return made.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdigit() or not 5 <= int(text) <= 10_000:
        raise UsageError(f"--count takes a number from 5 to 10000, not {text!r}")
    return int(text)


def _shape(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdigit() and 0 < int(part) < 4096 for part in parts):
        raise UsageError(f"--shape takes channels, height and width, not {text!r}", hint="such as 1,28,28")
    return int(parts[0]), int(parts[1]), int(parts[2])
