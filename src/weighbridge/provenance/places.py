"""Knows where the tensors of an artifact lie: file, offset, type, shape and strides, read from headers alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.safetensors import read_safetensors
from weighbridge.formats.torch_tensors import read_torch
from weighbridge.schema import MalformedInput, SourceError
from weighbridge.source import FileBlob, Kind, local

if TYPE_CHECKING:
    from collections.abc import Iterator

_TORCH: Final = (".bin", ".pt", ".pth", ".ckpt")
_NOT_WEIGHTS: Final = ("training_args.bin", "optimizer.", "scheduler.", "rng_state")


class Place(Struct, frozen=True, kw_only=True):
    """Where a tensor lies. `strides` counts items and is empty where the bytes are in the order of the indices."""

    path: str
    start: int
    size: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] = ()


def places(path: str) -> dict[str, Place]:
    """The tensors of a safetensors file or torch zip, or of all of them in a folder: safetensors where there are some.

    Raises SourceError where there are none, MalformedInput where one does not fit its file.
    """
    files = _files(path)
    found: dict[str, Place] = {}
    for file in files:
        blob = FileBlob(file)
        try:
            found.update(_in(file, blob))
        except MalformedInput as error:
            raise MalformedInput(f"{os.path.basename(file)}: {error.message}") from error
        finally:
            blob.close()
    return found


def _files(path: str) -> list[str]:
    source = local(path)
    if isinstance(source, FileBlob):
        source.close()
        files = [path] if path.endswith((".safetensors", *_TORCH)) else []
    else:
        top = [e for e in source.entries() if e.kind is Kind.FILE and "/" not in e.name]
        safe = [e for e in top if e.name.endswith(".safetensors")]
        torch = [e for e in top if e.name.endswith(_TORCH) and not e.name.startswith(_NOT_WEIGHTS)]
        files = [source.path_of(e) for e in safe or torch]
    if not files:
        raise SourceError(
            f"{path}: there are no tensors in safetensors or torch files",
            hint="convert the weights first, or compare the files by digest with --no-tensors",
        )
    return files


def _in(path: str, blob: FileBlob) -> Iterator[tuple[str, Place]]:
    if path.endswith(_TORCH):
        for one in read_torch(blob):
            strides = () if one.contiguous else one.strides
            yield (
                one.name,
                Place(
                    path=path,
                    start=one.start,
                    size=one.end - one.start,
                    dtype=one.dtype,
                    shape=one.shape,
                    strides=strides,
                ),
            )
        return
    facts = read_safetensors(blob)
    for tensor in facts.tensors:
        size = tensor.end - tensor.start
        if tensor.end > blob.size - facts.data or tensor.start < 0 or size < 0:
            raise MalformedInput(f"{tensor.name} lies outside the file")
        yield (
            tensor.name,
            Place(path=path, start=facts.data + tensor.start, size=size, dtype=tensor.dtype, shape=tensor.shape),
        )
