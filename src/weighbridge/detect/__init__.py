"""Opinions about facts. A detector takes one subject and yields findings; DETECTORS lists them all."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import Knowledge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.subjects import Subject
    from weighbridge.schema import Finding

# (subject, module, function). Modules are loaded when the first subject of their kind turns up.
DETECTORS: Final[tuple[tuple[str, str, str], ...]] = (
    ("MemberSubject", "scn", "detect_member"),
    ("MemberSubject", "scn", "detect_side_file"),
    ("LimitSubject", "scn", "detect_limit"),
    ("PickleSubject", "pkl", "detect_pickle"),
    ("PickleSubject", "pkl_stream", "detect_stream"),
    ("PickleSubject", "pkl_carrier", "detect_legacy"),
    ("PickleSubject", "pkl_carrier", "detect_joblib"),
    ("TreeSubject", "arc", "detect_tree"),
    ("TreeSubject", "npy", "detect_npz"),
    ("TreeSubject", "stn", "detect_folder"),
    ("TorchSubject", "tch", "detect_torch"),
    ("ProgramSubject", "tch", "detect_program"),
    ("NpySubject", "npy", "detect_npy"),
    ("SafetensorsSubject", "stn", "detect_safetensors"),
    ("MsgpackSubject", "jax", "detect_msgpack"),
    ("SkopsSubject", "jbl", "detect_skops"),
    ("TextSubject", "stn", "detect_index"),
    ("TextSubject", "jax", "detect_orbax"),
    ("TextSubject", "krs", "detect_lambda"),
    ("TextSubject", "sec", "detect_secrets"),
)


@cache
def _detectors(kind: str) -> tuple[Callable[[Any], Iterator[Finding]], ...]:
    return tuple(
        getattr(import_module(f"weighbridge.detect.{module}"), function)
        for subject, module, function in DETECTORS
        if subject == kind
    )


def detect(subject: Subject) -> Iterator[Finding]:
    """Everything that the detectors have to say about one subject."""
    for detector in _detectors(type(subject).__name__):
        yield from detector(subject)


__all__ = ["DETECTORS", "Knowledge", "detect"]
