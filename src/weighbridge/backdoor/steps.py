"""Knows what the steps of a long test came to, so that one that was stopped goes on where it was.

A step is a function of the model, the samples and a seed alone: what it came to is kept under a digest of these, of the edition of the
searches and of torch, and taken instead of computing it again. Nothing that was kept for another test is ever taken.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import torch

from weighbridge.schema import UsageError
from weighbridge.source.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

_EDITION: Final = "1"
_LARGEST: Final = 1 << 30
Came = TypeVar("Came")


class Steps:
    """The steps of one test. `about` is everything that decides what they come to; without a folder nothing is kept."""

    def __init__(self, folder: str = "", about: tuple[str | bytes, ...] = ()) -> None:
        self._folder = folder
        key = hashlib.sha256()
        for one in (_EDITION, torch.__version__, *about):
            data = one.encode() if isinstance(one, str) else one
            key.update(len(data).to_bytes(8, "little") + data)
        self._key = key.hexdigest()[:32]

    def once(self, name: str, kind: type[Came], make: Callable[[], Came]) -> Came:
        """What a step came to, of the type `kind`: kept from before, else made now and kept.

        Raises UsageError where the folder cannot be written.
        """
        if not self._folder:
            return make()
        path = os.path.join(self._folder, f"{self._key}.{name}.json")
        with suppress(OSError, ValueError, msgspec.DecodeError, RuntimeError):
            if os.path.getsize(path) <= _LARGEST:
                with open(path, "rb") as file:
                    return msgspec.json.decode(file.read(), type=kind, dec_hook=_tensor)
        came = make()
        try:
            os.makedirs(self._folder, exist_ok=True)
            write_whole(path, msgspec.json.encode(came, enc_hook=_said))
        except OSError as error:
            raise UsageError(
                f"--resume {self._folder}: {(error.strerror or str(error)).lower()}",
                hint="name a folder that can be written",
            ) from error
        return came


def _said(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        raise NotImplementedError
    kind = str(value.dtype).removeprefix("torch.")
    return {
        "shape": list(value.shape),
        "dtype": kind,
        "data": base64.b64encode(value.detach().contiguous().numpy().tobytes()).decode(),
    }


def _tensor(kind: type, value: Any) -> Any:
    if kind is not torch.Tensor:
        raise NotImplementedError
    dtype = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}[str(value["dtype"])]
    data = bytearray(base64.b64decode(value["data"], validate=True))
    return (
        torch.frombuffer(data, dtype=dtype).reshape(value["shape"])
        if data
        else torch.zeros(value["shape"], dtype=dtype)
    )
