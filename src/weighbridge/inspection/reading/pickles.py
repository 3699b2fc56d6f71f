"""Knows how a pickle, alone or inside something else, is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.detect.subjects import PickleSubject
from weighbridge.formats.pickle import PickleFile, read_pickles
from weighbridge.schema import Coverage, Fact, Location, Reason, Status

if TYPE_CHECKING:
    from weighbridge.formats.pickle import Trace
    from weighbridge.inspection.stages import Member, Stages
    from weighbridge.source import Blob

_NAMES: Final = (".pkl", ".pickle", ".dill")
_FEW: Final = 4


def read(stages: Stages, member: Member) -> None:
    """A member that begins like a pickle."""
    account(stages, member.location, member.blob, member.carrier or "pickle", trace(stages, member.blob))


def trace(stages: Stages, blob: Blob) -> PickleFile:
    """Every pickle of a blob."""
    return read_pickles(stages.account.watched(blob.read), blob.size, stages.account.limits, stages.brief)


def account(
    stages: Stages, location: Location, blob: Blob, carrier: str, pickles: PickleFile, *, signature: bool = True
) -> None:
    """Pickles of one member, accounted byte by byte."""
    raw = sum(item.length for trace in pickles.streams for item in trace.raw if item.pickle is None)
    kind = "joblib" if raw or any(trace.raw for trace in pickles.streams) else carrier
    stages.subjects.append(
        PickleSubject(
            location=location,
            carrier=kind,
            pickles=pickles,
            read=blob.read,
            size=blob.size,
            knowledge=stages.knowledge,
            signature=signature,
        )
    )
    stages.secrets(location, blob, "pickle")
    tail = _legacy_tail(pickles, blob.size)
    status, reason, detail = _outcome(pickles)
    stages.coverage.append(
        Coverage(
            path=location.path,
            format="torch (legacy)" if pickles.legacy_torch else "pickle" if kind == carrier else kind,
            size=blob.size,
            inspected=max(0, pickles.tail - raw),
            tensor=raw + tail,
            status=status,
            reason=reason,
            detail=detail,
        )
    )
    _weights_only(stages, location, pickles, carrier)


def unsigned(stages: Stages, member: Member) -> bool:
    """Read bytes without a signature as a pickle; False where they are none."""
    pickles = trace(stages, member.blob)
    first = pickles.streams[0] if pickles.streams else None
    if first is None or not (first.calls or _is_pickle(member.name, first, pickles.tail, member.blob.size)):
        return False
    account(stages, member.location, member.blob, member.carrier or "pickle", pickles, signature=False)
    return True


def _legacy_tail(pickles: PickleFile, size: int) -> int:
    if not pickles.legacy_torch:
        return 0
    from weighbridge.formats.torch import storages  # noqa: PLC0415

    known = {storage.key: storage.size for trace in pickles.streams for storage in storages(trace)}
    return min(size - pickles.tail, sum(8 + max(0, length) for length in known.values()))


def _weights_only(stages: Stages, location: Location, pickles: PickleFile, carrier: str) -> None:
    if not (pickles.legacy_torch or carrier == "torch"):
        return
    from weighbridge.formats.weights_only import refusals  # noqa: PLC0415

    reasons = [reason for trace in pickles.streams for reason in refusals(trace)]
    value = (
        "accepts it"
        if not reasons
        else f"refuses it: {reasons[0]}" + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
    )
    stages.facts.append(Fact(path=location.path, name="torch.load(weights_only=True)", value=value))


def _outcome(pickles: PickleFile) -> tuple[Status, Reason, str]:
    limit = pickles.limit or next((trace.limit for trace in pickles.streams if trace.limit), "")
    if limit:
        return Status.TRUNCATED, Reason.LIMIT, f"bound on {limit}"
    broken = next((trace for trace in pickles.streams if not trace.finished), None)
    if broken is not None:
        return Status.TRUNCATED, Reason.MALFORMED, f"{broken.broken} at byte {broken.broken_at}"
    return Status.INSPECTED, Reason.NONE, ""


def _is_pickle(name: str, trace: Trace, tail: int, size: int) -> bool:
    """Whether bytes without a signature are a pickle: by what they do, by filling the file, or by their name."""
    if name.endswith(_NAMES):
        return True
    return trace.finished and (trace.active or (tail == size and trace.opcodes > _FEW))
