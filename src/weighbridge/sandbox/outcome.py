"""Knows what is the same on every system: how a child of ours is started, what has to hold, and what comes of one load."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.safetensors import read_safetensors
from weighbridge.schema import Unavailable, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.formats.safetensors import SafetensorsFacts
    from weighbridge.sandbox.attempt import Attempt
    from weighbridge.sandbox.protocol import Answer
    from weighbridge.source import Blob

# All that a child knows of its surroundings.
ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "TMPDIR": "/nonexistent", "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "KERAS_BACKEND": "torch", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip


class Outcome(Struct, frozen=True, kw_only=True):
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


def interpreter(module: str) -> list[str]:
    """The command that runs `main()` of a module of the guest, in an interpreter that takes nothing from outside."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # The folder of the package is named, for copies that are not installed.
    code = f"import sys; sys.path.append({root!r}); from weighbridge.sandbox.guest.{module} import main; main()"
    return [sys.executable, "-I", "-B", "-c", code]


def insist(required: Sequence[str], held: Sequence[str]) -> None:
    """Raise Unavailable where a required layer does not hold. A layer may have its edition behind it."""
    missing = [name for name in required if name not in {one.partition(" ")[0] for one in held}]
    if missing:
        raise Unavailable(
            f"the sandbox does not hold: {', '.join(missing)} missing, active: {', '.join(held) or 'none'}",
            hint="--require-layers names those that you insist on; weighbridge doctor says why one is missing",
        )


def tensors_of(image: Blob) -> tuple[SafetensorsFacts | None, str]:
    """The tensors that came out, or why they are none: read as strictly as any other file."""
    try:
        facts = read_safetensors(image)
    except WeighbridgeError as error:
        return None, f"the tensors are no safetensors file: {error.message}"
    if facts.problems:
        return None, f"the tensors are no safetensors file: {facts.problems[0].detail}"
    return facts, ""
