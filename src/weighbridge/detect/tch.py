"""Knows what is wrong with a torch container (TCH)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.detect.pkl import charges
from weighbridge.formats.pickle import Items, Made, Name, render
from weighbridge.formats.torch import storages, tensors
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import ProgramSubject, TorchSubject
    from weighbridge.formats.pickle import Trace
    from weighbridge.schema import Finding

_OPERATORS: Final = re.compile(
    rb"\b(?:ops\.)?(?:(?:aten|prim|profiler|quantized|_caffe2|torchaudio|image|video_reader|torchvision|rpc|inductor|mkldnn)\.)?"
    rb"(?P<op>from_file|save|load_library|PythonOp|read_file|write_file|decode_image_file|_save_to_file|load_from_file|rpc_sync|rpc_async|rpc_remote|to_file)"
    rb"\s*\("
)
_SIDE_EFFECT_OPS: Final = frozenset(
    {
        b"from_file",
        b"load_library",
        b"PythonOp",
        b"read_file",
        b"write_file",
        b"rpc_sync",
        b"rpc_async",
        b"rpc_remote",
        b"load_from_file",
        b"_save_to_file",
    }
)
_WEIGHT_NAMES: Final = (".pth", ".ckpt", ".bin", ".safetensors")
_WEIGHT_WORDS: Final = ("weights", "state_dict", "pytorch_model", "checkpoint", "adapter_model")
_REGULAR: Final = frozenset(
    {
        "data.pkl",
        "constants.pkl",
        "version",
        "byteorder",
        ".data/serialization_id",
        ".format_version",
        ".storage_alignment",
        "traced_inputs.pkl",
    }
)
_PT2_REGULAR: Final = re.compile(
    r"(?:\.data/|data/|models/|extra/|archive_format|archive_version|byteorder|version|\.format_version)"
)


def detect_torch(subject: TorchSubject) -> Iterator[Finding]:
    """The container as a whole, then its pickles and storages."""
    yield from _worst(subject)
    yield from _kind(subject)
    yield from _operators(subject)
    yield from _storages(subject)
    yield from _marks(subject)


def _worst(subject: TorchSubject) -> Iterator[Finding]:
    for name, pickles in subject.pickles.items():
        adverse = [charge for trace in pickles.streams for charge in charges(trace, subject.knowledge)]
        critical = [charge for charge in adverse if charge.severity is Severity.CRITICAL]
        where = subject.location.inside(name)
        if critical:
            yield finding(
                "TCH-001",
                subject.location,
                f"torch.load of this file: {critical[0].message} ({name})",
                evidence=[critical[0].says or critical[0].message],
            )
        inner = name.removeprefix(f"{subject.facts.root}/")
        if (
            inner not in _REGULAR
            and not inner.endswith(".debug_pkl")
            and not (subject.facts.kind == "pt2" and _PT2_REGULAR.match(inner))
            and pickles.active
        ):
            yield finding(
                "TCH-002", where, f"{inner} is a pickle and no regular part of a {subject.facts.kind} archive"
            )
        if subject.facts.kind == "pt2" and adverse:
            yield finding("TCH-010", where, f"a pickle in a pt2 archive: {adverse[0].message}")


def _kind(subject: TorchSubject) -> Iterator[Finding]:
    facts, name = subject.facts, subject.location.path[-1].lower()
    if facts.kind == "torchscript" and (name.endswith(_WEIGHT_NAMES) or any(word in name for word in _WEIGHT_WORDS)):
        code = ", ".join(facts.code[:3])
        yield finding(
            "TCH-004",
            subject.location,
            "TorchScript code under the name of weights",
            evidence=[f"code members: {code}"],
        )
    if facts.native:
        yield finding("TCH-009", subject.location, "native or device code in the container", evidence=facts.native[:8])
    if facts.kind == "torch.package" and facts.python:
        yield finding(
            "TCH-008", subject.location, "a torch.package archive with Python source", evidence=facts.python[:8]
        )
    elif facts.python and facts.kind == "checkpoint":
        yield finding("TCH-008", subject.location, "Python source in a checkpoint", evidence=facts.python[:8])


def _operators(subject: TorchSubject) -> Iterator[Finding]:
    for name, text in subject.texts.items():
        for number, line in enumerate(text.encode().split(b"\n"), 1):
            match = _OPERATORS.search(line)
            if match and (match["op"] in _SIDE_EFFECT_OPS or line.lstrip().startswith((b"_0 = ops.", b"ops."))):
                evidence = [Evidence(text=f"{number}: {printable(line.decode().strip())[:160]}", culprit=True)]
                yield finding(
                    "TCH-005",
                    subject.location.inside(name),
                    f"the operator {match['op'].decode()} has side effects",
                    evidence=evidence,
                )
                break


def _storages(subject: TorchSubject) -> Iterator[Finding]:
    for name, pickles in subject.pickles.items():
        root = name.rpartition("/")[0]
        for trace in pickles.streams:
            yield from _sizes(subject, trace, root)
            yield from _reach(subject, trace, name)
            yield from _items_on_no_dict(subject, trace, name)


def _sizes(subject: TorchSubject, trace: Trace, root: str) -> Iterator[Finding]:
    for storage in storages(trace):
        member = f"{root}/data/{storage.key}" if root else f"data/{storage.key}"
        present = subject.sizes.get(member)
        if present is not None and storage.size >= 0 and storage.size > present:
            message = f"storage {storage.key} claims {storage.size} bytes and its member has {present}"
            yield finding("TCH-007", subject.location.inside(member), message)
        if any(c in storage.key for c in "/\\") or not storage.key.isprintable():
            yield finding(
                "TCH-016",
                subject.location,
                f"the storage key {printable(storage.key)!r} holds path or control characters",
            )


def _reach(subject: TorchSubject, trace: Trace, name: str) -> Iterator[Finding]:
    for tensor in tensors(trace):
        if tensor.reach > tensor.items or tensor.reach < 0:
            message = f"a tensor reaches item {tensor.reach} of storage {tensor.storage}, which has {tensor.items}"
            if tensor.reach < 0:
                message = f"a tensor on storage {tensor.storage} has a negative or mismatched shape, stride or offset"
            yield finding("TCH-007", subject.location.inside(name), message)


def _items_on_no_dict(subject: TorchSubject, trace: Trace, name: str) -> Iterator[Finding]:
    for assignment in trace.assignments:
        target = assignment.target
        if assignment.opcode not in {"SETITEM", "SETITEMS"}:
            continue
        tensor = isinstance(target, Made) and isinstance(target.target, Name) and target.target.module == "torch._utils"
        if tensor or isinstance(target, Items):
            message = f"items are set on {render(target, limit=60)}, which is no dict"
            yield finding("TCH-007", subject.location.inside(name).at(assignment.offset, assignment.number), message)


def _marks(subject: TorchSubject) -> Iterator[Finding]:
    facts = subject.facts
    if facts.byteorder and facts.byteorder not in {"little", "big"}:
        yield finding("TCH-019", subject.location, f"byteorder is {facts.byteorder[:20]!r}")
    if facts.version and not facts.version.strip().isdigit():
        yield finding("TCH-019", subject.location, f"version is {facts.version[:20]!r}")


def detect_program(subject: ProgramSubject) -> Iterator[Finding]:
    """ExecuTorch: the root table and the extended header must lie inside the file."""
    root = int.from_bytes(subject.head[:4], "little")
    if root + 4 > subject.size or root < 8:
        yield finding("TCH-011", subject.location.at(0), f"the root table is at {root} of {subject.size} bytes")
        return
    table = subject.head[root : root + 4]
    if len(table) == 4:
        vtable = root - int.from_bytes(table, "little", signed=True)
        if vtable < 0 or vtable + 4 > subject.size:
            yield finding(
                "TCH-011", subject.location.at(root), f"the field table is at {vtable} of {subject.size} bytes"
            )
    if subject.head[8:12] == b"eh00":
        length = int.from_bytes(subject.head[12:16], "little")
        program, segments = (int.from_bytes(subject.head[at : at + 8], "little") for at in (16, 24))
        if length < 24 or program > subject.size or segments > subject.size:
            yield finding(
                "TCH-011",
                subject.location.at(8),
                f"program size {program} or segment base {segments} beyond {subject.size} bytes",
            )
