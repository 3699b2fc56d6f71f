"""Knows what kind of archive or pickle a model comes in, and opens it as data: pt2 programs, Keras archives, checkpoints.

Checkpoints go through the converter, which reads their tensors without unpickling; code that they bring is not run.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from weighbridge.backdoor.architectures import open_weights
from weighbridge.conversion.file import convert_file
from weighbridge.formats.torch import torch_kind
from weighbridge.schema import Limits, MalformedInput, Unavailable
from weighbridge.source import Budget
from weighbridge.source.blob import FileBlob
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from torch import nn

    from weighbridge.source import Blob


_ODD: Final = (AttributeError, TypeError, LookupError, ValueError, ArithmeticError, StopIteration)


def open_archive(blob: Blob, path: str) -> tuple[nn.Module, tuple[int, int, int], str]:
    """(net, shape of its images, what it is). Raises Unavailable with what is missing, LimitExceeded."""
    try:
        names = _names(blob)
        if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
            from weighbridge.backdoor.keras_net import open_keras  # noqa: PLC0415  # each kind loads its own

            return open_keras(blob)
        found = torch_kind(names) if names else None
        if found is not None and found.kind == "pt2":
            return _exported(blob)
        return _checkpoint(path)
    except _ODD as error:
        # A document of another shape than its format has, somewhere deep in it.
        raise Unavailable(f"it cannot be read: {str(error)[:160]}", hint="weighbridge scan says more") from error
    except MalformedInput as error:
        raise Unavailable(
            f"it cannot be read: {error.message}", hint=error.hint or "weighbridge scan says more"
        ) from error


def _names(blob: Blob) -> tuple[str, ...]:
    if blob.read(0, 2) != b"PK":
        return ()
    return tuple(entry.name for entry in ZipTree(blob, Budget(Limits())).entries())


def _exported(blob: Blob) -> tuple[nn.Module, tuple[int, int, int], str]:
    from weighbridge.backdoor.exported_net import ExportedNet  # noqa: PLC0415  # each kind loads its own
    from weighbridge.formats.exported import read_exported  # noqa: PLC0415

    program = read_exported(blob)
    if len(program.shape) != 4:
        raise Unavailable(
            f"its input has the shape {program.shape}, and images have batch x channels x height x width",
            hint="only classifiers of images are tested this way",
        )
    net = ExportedNet(program)
    return net, (program.shape[1], program.shape[2], program.shape[3]), f"torch.export, {len(program.steps)} steps"


def _checkpoint(path: str) -> tuple[nn.Module, tuple[int, int, int], str]:
    """The weights of a checkpoint, converted, in an architecture of ours."""
    with tempfile.TemporaryDirectory(prefix="weighbridge-") as folder:
        made = os.path.join(folder, "model.safetensors")
        convert_file(path, made, partial=True, digest=False)
        weights = FileBlob(made)
        try:
            net, shape, about = open_weights(weights)
        finally:
            weights.close()
    return net, shape, f"{about}; the weights of a checkpoint, whose own code is neither run nor tested"
