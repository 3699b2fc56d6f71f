"""Knows how an inspection and the digests of an artifact become its description, from which bills of materials are made."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.inspection.plan import Options, collect
from weighbridge.provenance.bom import Claim, Description
from weighbridge.provenance.digest import digests, members
from weighbridge.schema import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import Note
    from weighbridge.schema import Coverage

_FRONT: Final = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_DTYPES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}
_PICKLED: Final = re.compile(r"pickle|torch|joblib|zip \(")
_WEIGHTS: Final = {"safetensors": "safetensors", "gguf": "gguf", "onnx": "onnx", "hdf5": "hdf5"}


def describe(path: str, options: Options | None = None) -> Description:
    """Inspect an artifact on this machine and put together what is known of it. Raises SourceError, VerificationFailed."""
    result = collect([path], options or Options())
    base = path.rstrip("/")
    formats = {_relative(entry.path[0], base): entry.format for entry in result.coverage if len(entry.path) == 1}
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings

    return Description(
        name=os.path.basename(os.path.realpath(path)),
        files=digests(members(path)),
        formats=formats,
        claims=tuple(
            dict.fromkeys(
                [*_observed(result.notes, result.coverage, base), *_declared(result.notes, base), *_card(path)]
            )
        ),
        findings=tuple(sorted(dict.fromkeys(result.findings), key=Finding.sort_key)),
        tool=f"weighbridge {__version__}",
    )


def _relative(path: str, base: str) -> str:
    return path.removeprefix(f"{base}/") if path != base else os.path.basename(base)


def _observed(notes: tuple[Note, ...], coverage: tuple[Coverage, ...], base: str) -> Iterator[Claim]:
    parameters, places = 0, []
    for note in notes:
        name = _relative(note.path[0], base)
        if note.kind == "tensors" and isinstance(note.value, tuple) and "adapter" not in name:
            parameters += sum(math.prod(shape) for _, shape in note.value)
            places.append(name)
        elif note.kind == "dtypes" and isinstance(note.value, tuple):
            yield from (Claim("dtype", dtype, "observed", name) for dtype in note.value)
    if parameters:
        yield Claim("parameters", str(parameters), "observed", ", ".join(sorted(places)[:3]))
    for entry in coverage:
        kind = _WEIGHTS.get(entry.format) or ("pickle" if _PICKLED.match(entry.format) else "")
        if kind and len(entry.path) == 1:
            yield Claim("weights format", kind, "observed", _relative(entry.path[0], base))


def _declared(notes: tuple[Note, ...], base: str) -> Iterator[Claim]:
    for note in notes:
        name = _relative(note.path[0], base)
        config = note.value
        if note.kind != "config" or not isinstance(config, dict) or "/" in name:
            continue
        architectures = config.get("architectures")
        if isinstance(architectures, list) and architectures:
            yield Claim("architecture", str(architectures[0]), "declared", name)
        if isinstance(config.get("model_type"), str) and name == "config.json":
            yield Claim("family", config["model_type"], "declared", name)
        dtype = config.get("dtype") or config.get("torch_dtype")
        if isinstance(dtype, str) and dtype in _DTYPES and name == "config.json":
            yield Claim("dtype", _DTYPES[dtype], "declared", name)
        if isinstance(config.get("base_model_name_or_path"), str):
            yield Claim("base model", config["base_model_name_or_path"], "declared", name)


def _card(path: str) -> Iterator[Claim]:
    """The front matter of the card: what its author says."""
    card = os.path.join(path, "README.md")
    try:
        with open(card, encoding="utf-8", errors="replace") as file:
            match = _FRONT.match(file.read(1 << 16))
    except OSError:
        return
    if match is None:
        return
    from weighbridge.formats.document import read_yaml  # noqa: PLC0415  # only artifacts with a card
    from weighbridge.schema import LimitExceeded, MalformedInput  # noqa: PLC0415

    try:
        table = read_yaml(match[1]).root
    except (MalformedInput, LimitExceeded):
        return
    for key, name in (
        ("license", "licence"),
        ("pipeline_tag", "task"),
        ("base_model", "base model"),
        ("datasets", "dataset"),
    ):
        yield from (Claim(name, one, "declared", "README.md") for one in _texts(table, key))
    if "safetensors" in _texts(table, "tags"):
        yield Claim("weights format", "safetensors", "declared", "README.md")


def _texts(table: Any, key: str) -> list[str]:
    value = table.get(key) if isinstance(table, dict) else None
    return [str(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
