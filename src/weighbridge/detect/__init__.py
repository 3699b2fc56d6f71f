"""Opinions about facts. A detector takes one subject and yields findings; DETECTORS lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.arc import detect_tree
from weighbridge.detect.jax import detect_msgpack, detect_orbax
from weighbridge.detect.jbl import detect_joblib, detect_skops
from weighbridge.detect.knowledge import Knowledge
from weighbridge.detect.npy import detect_npy, detect_npz
from weighbridge.detect.pkl import detect_pickle
from weighbridge.detect.pkl_stream import detect_stream
from weighbridge.detect.scn import detect_limit, detect_member
from weighbridge.detect.sec import detect_secrets
from weighbridge.detect.stn import detect_folder, detect_index, detect_safetensors
from weighbridge.detect.subjects import (
    LimitSubject,
    MemberSubject,
    MsgpackSubject,
    NpySubject,
    PickleSubject,
    ProgramSubject,
    SafetensorsSubject,
    SkopsSubject,
    Subject,
    TextSubject,
    TorchSubject,
    TreeSubject,
)
from weighbridge.detect.tch import detect_legacy, detect_program, detect_side_file, detect_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.schema import Finding

DETECTORS: Final[tuple[tuple[type[Subject], Callable[[Any], Iterator[Finding]]], ...]] = (
    (MemberSubject, detect_member),
    (MemberSubject, detect_side_file),
    (PickleSubject, detect_pickle),
    (PickleSubject, detect_stream),
    (PickleSubject, detect_legacy),
    (PickleSubject, detect_joblib),
    (TreeSubject, detect_tree),
    (TreeSubject, detect_npz),
    (TreeSubject, detect_folder),
    (TorchSubject, detect_torch),
    (ProgramSubject, detect_program),
    (NpySubject, detect_npy),
    (SafetensorsSubject, detect_safetensors),
    (MsgpackSubject, detect_msgpack),
    (SkopsSubject, detect_skops),
    (TextSubject, detect_index),
    (TextSubject, detect_orbax),
    (TextSubject, detect_secrets),
    (LimitSubject, detect_limit),
)


def detect(subject: Subject) -> Iterator[Finding]:
    """Everything that the detectors have to say about one subject."""
    for kind, detector in DETECTORS:
        if type(subject) is kind:
            yield from detector(subject)


__all__ = ["DETECTORS", "Knowledge", "Subject", "detect"]
