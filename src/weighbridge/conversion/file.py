"""Knows how one file becomes a safetensors file: read, laid out, written, checked, and only then named."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.conversion.layout import lay_out
from weighbridge.conversion.weights import NoWeights, read_weights
from weighbridge.conversion.writer import Digest, Progress, write
from weighbridge.formats.safetensors import read_safetensors
from weighbridge.schema import MalformedInput, SourceError, UsageError
from weighbridge.source import FileBlob
from weighbridge.source.blob import OpenBlob, Slice
from weighbridge.source.whole import Unfinished

if TYPE_CHECKING:
    from weighbridge.conversion.layout import Layout


class Conversion(Struct, frozen=True, kw_only=True):
    """What became of one file.

    `aliases` maps names that share another tensor's bytes to that tensor. `refused` are tensors that were not carried
    over, with the reason, `left` is what is no tensor: (path, what it is). Digests are SHA-256, sizes bytes.
    """

    source: str
    output: str
    format: str
    source_sha256: str
    output_sha256: str
    source_size: int
    output_size: int
    header_size: int
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    aliases: dict[str, str]
    refused: tuple[tuple[str, str], ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def convert_file(
    source: str, output: str, *, partial: bool = False, overwrite: bool = False, digest: bool = True
) -> Conversion:
    """Write the tensors of `source` to `output` as safetensors.

    With `partial`, tensors that cannot be carried over are left out and listed; without, they stop the conversion.
    Without `digest`, both digests stay empty, and it takes about half the time. Raises MalformedInput, LimitExceeded, SourceError, UsageError; nothing is left behind then.
    """
    if os.path.lexists(output) and not overwrite:
        raise UsageError(f"{output} exists already", hint="give another output, or --overwrite")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Unfinished(output))
        except OSError as error:
            raise UsageError(
                f"{output}: {(error.strerror or str(error)).lower()}", hint="choose another output"
            ) from error
        made = written(source, file, partial=partial, digest=digest)
        file.publish()
    return made


def written(source: str, file: Unfinished, *, partial: bool, digest: bool = True) -> Conversion:
    """The conversion of one file into one that has no name yet."""
    blob = FileBlob(source)
    try:
        try:
            found = read_weights(blob)
        except MalformedInput as error:
            kind = NoWeights if isinstance(error, NoWeights) else MalformedInput
            raise kind(f"{source}: {error.message}", offset=error.offset, hint=error.hint) from error
        if found.refused and not partial:
            name, why = found.refused[0]
            more = f" (and {len(found.refused) - 1} more)" if len(found.refused) > 1 else ""
            raise MalformedInput(f"{source}: {name}: {why}{more}", hint="--partial converts the others and lists these")
        if not found.weights:
            raise NoWeights(f"{source}: there are no tensors in it", hint="nothing to convert")
        layout = lay_out(found.weights, blob.size)
        progress = Progress()
        # Both digests are taken while the bytes travel; hashing and copying need no interpreter.
        before = Digest(blob.descriptor, blob.size) if digest else None
        after = Digest(file.descriptor, len(layout.header) + layout.size, progress) if digest else None
        size = write(layout, file.descriptor, progress)
        _check(file.descriptor, size, layout)
        source_digest = before.result() if before else ""
        if blob.changed:
            raise SourceError(f"{source} changed while it was converted", hint="convert it again")
        return Conversion(
            source=source,
            output=file.path,
            format=found.format,
            source_sha256=source_digest,
            output_sha256=after.result() if after else "",
            source_size=blob.size,
            output_size=size,
            header_size=len(layout.header),
            tensors={one.name: (one.dtype, one.shape) for one in layout.weights},
            aliases=layout.aliases,
            refused=found.refused,
            left=tuple((one.path, one.what) for one in found.left),
        )
    finally:
        blob.close()


def _check(descriptor: int, size: int, layout: Layout) -> None:
    """Read the header back as strictly as any other."""
    facts = read_safetensors(Slice(OpenBlob(descriptor), 0, size))
    if facts.problems or size != len(layout.header) + layout.size:
        told = facts.problems[0].detail if facts.problems else "its size is not what was laid out"
        raise MalformedInput(f"the output would not be a safetensors file: {told}")
