"""Knows what a fine-tuning job says it did: its method, rank, modules, base and training data, as services write such documents.

Several spellings are read: those of peft (`r`, `target_modules`), of Together (`training_type`: `lora_r`, `lora_trainable_modules`),
of OpenAI (`method`: `type`) and plain ones. What is not understood is not guessed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.schema import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTES: Final = 4 << 20
_METHODS: Final = {
    "lora": "lora", "qlora": "lora", "dora": "lora", "rslora": "lora", "peft": "lora", "adapter": "lora",
    "full": "full", "sft": "", "supervised": "", "dpo": "", "head": "head", "linear probe": "head", "classifier": "head",
    "quantised": "quantised", "quantized": "quantised", "quantisation": "quantised", "quantization": "quantised",
}  # fmt: skip
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})\Z")


class Job(Struct, frozen=True, kw_only=True):
    """What was ordered. `method` is lora, full, head, quantised or not said; `rank` 0 where it is not said.

    `modules` are the last parts of module names that may change (empty: any), `saved` those that are trained whole. `base` is
    the SHA-256 of the base where it is stated, `data` those of training files; `files` how many training files are named at all.
    """

    method: str = ""
    rank: int = 0
    modules: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    vocabulary: bool = False
    base: str = ""
    data: tuple[str, ...] = ()
    files: int = 0


def read_job(path: str) -> Job:
    """A job from its document in JSON. Raises SourceError, UsageError where it is none."""
    try:
        with open(path, "rb") as file:
            table = json.loads(file.read(_BYTES))
    except OSError as error:
        raise SourceError(f"{path}: {(error.strerror or str(error)).lower()}", hint="check the path") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: no job in JSON: {error}", hint="the document that the service gives of a job"
        ) from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: no job in JSON", hint="an object with method, rank, target_modules")
    return _job(table)


def _job(table: dict[str, Any]) -> Job:
    flat = dict(_flat(table))
    rank = next((flat[key] for key in ("rank", "lora_r", "lora_rank", "r") if isinstance(flat.get(key), int)), 0)
    said = next(
        (
            str(flat[key])
            for key in ("method", "training_type", "type", "tuning", "algorithm")
            if isinstance(flat.get(key), str)
        ),
        "",
    )
    method = _METHODS.get(said.lower(), "")
    if not method and (rank or flat.get("lora") is True):
        method = "lora"
    files = [
        value
        for key, value in _all(table)
        if key in {"training_file", "training_files", "validation_file", "dataset", "datasets", "data"}
    ]
    named = [one for value in files for one in (value if isinstance(value, list) else [value])]
    return Job(
        method=method, rank=int(rank),
        modules=_modules(flat.get("target_modules", flat.get("lora_trainable_modules", flat.get("modules")))),
        saved=_modules(flat.get("modules_to_save")), vocabulary=flat.get("vocabulary") is True or flat.get("resize_vocabulary") is True,
        base=_digest(flat.get("base_sha256", flat.get("base_digest", ""))), data=tuple(found for one in named if (found := _digests_in(one))),
        files=len(named),
    )  # fmt: skip


def _flat(table: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value under its own name, inner ones first, so that what stands further out counts."""
    for key, value in table.items():
        if isinstance(value, dict) and depth < 8:
            yield from _flat(value, depth + 1)
            if isinstance(value.get("type"), str) and key in {"method", "training_type"}:
                yield key, value["type"]
    for key, value in table.items():
        if not isinstance(value, dict):
            yield str(key).lower(), value


def _all(table: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        yield str(key).lower(), value
        if isinstance(value, dict) and depth < 8:
            yield from _all(value, depth + 1)


def _modules(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (
            ()
            if value in {"", "all", "all-linear"}
            else tuple(part.strip() for part in value.split(",") if part.strip())
        )
    return tuple(str(one) for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _digest(value: object) -> str:
    match = _DIGEST.match(value) if isinstance(value, str) else None
    return match[1].lower() if match else ""


def _digests_in(value: object) -> str:
    if isinstance(value, dict):
        return next((found for one in value.values() if (found := _digest(one))), "")
    return _digest(value)
