"""Knows how files of plain numbers become subjects: npy, safetensors, ExecuTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.detect.subjects import NpySubject, ProgramSubject, SafetensorsSubject, TextSubject
from weighbridge.inspection.reading import pickles
from weighbridge.schema import LimitExceeded, MalformedInput, Reason
from weighbridge.source import Slice

if TYPE_CHECKING:
    from weighbridge.inspection.stages import Member, Stages

_PROGRAM_HEAD: Final = 1 << 16
_NOTED: Final = 20_000


def npy(stages: Stages, member: Member) -> None:
    """A NumPy array; its pickled body where it holds objects."""
    from weighbridge.formats.numpy import read_npy  # noqa: PLC0415

    location, blob = member.location, member.blob
    header, problem = None, None
    try:
        header = read_npy(blob)
    except MalformedInput as error:
        problem = error
    stages.subjects.append(NpySubject(location=location, header=header, error=problem, size=blob.size))
    if header is None:
        stages.skipped(location, blob.size, Reason.MALFORMED, problem.message if problem else "", "npy")
        return
    if header.objects:
        body = Slice(blob, header.data, blob.size)
        pickles.account(stages, location.inside("objects"), body, "npy", pickles.trace(stages, body))
        stages.covered(location, "npy", blob.size, inspected=blob.size)
        return
    stages.covered(location, "npy", blob.size, inspected=header.data, tensor=min(header.size, blob.size - header.data))


def safetensors(stages: Stages, member: Member) -> None:
    """A safetensors header; the numbers behind it are accounted for, not read."""
    from weighbridge.formats.safetensors import read_safetensors  # noqa: PLC0415

    location, blob = member.location, member.blob
    facts, message, too_long = None, "", False
    try:
        facts = read_safetensors(blob)
    except MalformedInput as error:
        message = error.message
    except LimitExceeded as error:
        message, too_long = error.message, True
    stages.subjects.append(
        SafetensorsSubject(location=location, facts=facts, error=message, too_long=too_long, also=member.identity.also)
    )
    if facts is None:
        reason = Reason.LIMIT if too_long else Reason.MALFORMED
        stages.skipped(location, blob.size, reason, message, "safetensors")
        return
    if facts.metadata:
        size = min(facts.header, stages.account.limits.text_bytes)
        stages.subjects.append(TextSubject(location=location, read=blob.read, size=size, base=8, format="safetensors"))
    stages.note("tensor bytes", location, sum(tensor.end - tensor.start for tensor in facts.tensors))
    stages.note("dtypes", location, tuple(sorted({t.dtype for t in facts.tensors if t.dtype.startswith(("F", "BF"))})))
    stages.note("tensors", location, tuple((t.name, t.shape) for t in facts.tensors[:_NOTED]))
    tensor = sum(tensor.end - tensor.start for tensor in facts.tensors if 0 <= tensor.start <= tensor.end <= blob.size)
    stages.covered(location, "safetensors", blob.size, inspected=facts.data, tensor=min(tensor, blob.size - facts.data))


def executorch(stages: Stages, member: Member) -> None:
    """The root table and extended header of an ExecuTorch program."""
    head = member.blob.read(0, _PROGRAM_HEAD)
    stages.subjects.append(ProgramSubject(location=member.location, head=head, size=member.blob.size))
    stages.covered(member.location, member.format, member.blob.size, inspected=len(head))
