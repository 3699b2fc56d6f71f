"""Knows what is left when no signature matched: text of many kinds, formats without a signature, unknown bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.opcodes import INVALID, SHAPE
from weighbridge.inspection.reading import pickles
from weighbridge.schema import MalformedInput, Reason

if TYPE_CHECKING:
    from weighbridge.inspection.stages import Member, Stages

_MSGPACK: Final = (".msgpack", ".flax")
_HEAD: Final = 512


def read(stages: Stages, member: Member) -> None:
    """Text, JSON, scripts and bytes without a signature."""
    first = member.blob.read(0, 1)
    if first and SHAPE[first[0]] != INVALID and pickles.unsigned(stages, member):
        return
    if member.format == "unknown":
        if not _msgpack(stages, member, first):
            unknown(stages, member)
        return
    from weighbridge.inspection.reading.text import read as read_text  # noqa: PLC0415

    read_text(stages, member)


def unknown(stages: Stages, member: Member) -> None:
    """Bytes without a known shape; a checkpoint of TensorFlow is told by its end, others are not inspected."""
    from weighbridge.inspection.reading.models import checkpoint  # noqa: PLC0415

    if not checkpoint(stages, member):
        stages.skipped(
            member.location, member.blob.size, Reason.UNSUPPORTED, "the content is of no format that is known here"
        )


def inert(stages: Stages, member: Member) -> None:
    """Formats that are told by their head alone: media, executables, Git LFS pointers."""
    stages.covered(member.location, member.format, member.blob.size, inspected=min(member.blob.size, _HEAD))


def native(stages: Stages, member: Member) -> None:
    """Native programs and libraries: their headers are noted for the package that they are in."""
    from weighbridge.formats.native import read_native  # noqa: PLC0415  # few artifacts hold programs

    if stages.packaged or len(member.location.path) > 1:
        try:
            stages.note("native", member.location, read_native(member.blob))
        except MalformedInput:
            # Headers that nobody can read belong to nothing that could be loaded; its presence is told by SCN rules.
            stages.note("native", member.location, None)
    inert(stages, member)


def bytecode(stages: Stages, member: Member) -> None:
    """A compiled Python module: not executed and not unmarshalled; the size of its source is noted where it says one."""
    head = member.blob.read(0, 16)
    flags, size = int.from_bytes(head[4:8], "little"), int.from_bytes(head[12:16], "little")
    if not flags:
        stages.note("bytecode", member.location, size)
    stages.covered(member.location, "bytecode", member.blob.size, inspected=16)


def empty(stages: Stages, member: Member) -> None:
    """A member without a byte."""
    stages.covered(member.location, "empty", 0)


def unsupported(stages: Stages, member: Member) -> None:
    """A format that is recognised and has no reader."""
    stages.skipped(
        member.location, member.blob.size, Reason.UNSUPPORTED, f"{member.format} has no reader here", member.format
    )


def _msgpack(stages: Stages, member: Member, first: bytes) -> bool:
    named = member.name.endswith(_MSGPACK)
    if not named and not _is_map(first):
        return False
    from weighbridge.detect.subjects import MsgpackSubject  # noqa: PLC0415
    from weighbridge.formats.msgpack import read_msgpack  # noqa: PLC0415  # readers load when needed

    facts = read_msgpack(member.blob)
    if not named and (facts.end != member.blob.size or facts.items <= 1):
        return False
    stages.subjects.append(MsgpackSubject(location=member.location, facts=facts, size=member.blob.size))
    stages.covered(
        member.location,
        "msgpack",
        member.blob.size,
        inspected=facts.end - facts.tensor_bytes,
        tensor=facts.tensor_bytes,
    )
    return True


def _is_map(first: bytes) -> bool:
    return bool(first) and (0x80 <= first[0] <= 0x8F or first[0] in {0xDE, 0xDF})
