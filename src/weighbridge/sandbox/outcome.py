"""Knows what comes of loading one file, on every system: layers, answer, attempts, limit, and the tensors as an image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from weighbridge.formats.safetensors import SafetensorsFacts
    from weighbridge.sandbox.attempt import Attempt
    from weighbridge.sandbox.protocol import Answer

# All that a child knows of its surroundings.
ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "TMPDIR": "/nonexistent", "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "KERAS_BACKEND": "torch", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip


class Outcome(Struct, kw_only=True):
    """What came of loading one file: the layers that held, the answer, what was tried, which limit ended it.

    `tensors` describes the safetensors image behind `image`, a sealed descriptor that the owner closes; -1 for none.
    Times are seconds, `memory` is bytes at the most.
    """

    layers: tuple[str, ...]
    answer: Answer
    attempts: tuple[Attempt, ...]
    limit: str = ""
    signal: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    memory: int = 0
    printed: str = ""
    tensors: SafetensorsFacts | None = None
    image: int = -1


class Image:
    """The sealed tensors as a blob."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """See `Blob.read`."""
        return os.pread(self.descriptor, length, offset)
