"""Knows what is wrong with a pickle stream as such: breaks, quirks, bombs, and what surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge import Standing, Use
from weighbridge.detect.pkl import charges
from weighbridge.formats.pickle import Name, Persistent, Value, arguments_of, opcode_line
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import PickleSubject
    from weighbridge.formats.pickle import Trace
    from weighbridge.schema import Finding

_DEEP: Final = 2000
_DOUBLINGS: Final = 20
_QUIRKS: Final = {
    "text number": "a number is written in a way that only some readers accept",
    "frame": "frames overlap, lie about their length or cut an argument",
    "unterminated line": "the last line has no newline; one reader takes it, the other does not",
    "arguments are no tuple": "the arguments of a call are no tuple; one reader unpacks them, the other refuses",
    "nothing added": "nothing is added to something that may not take it; one reader refuses, the other goes on",
    "empty name": "a name to import is empty",
    "array longer than the file": "an array is announced that the file does not hold",
}
_LAYOUT_QUIRKS: Final = frozenset(
    {"protocol stated twice", "protocol stated late", "stack left over", "array of unknown size", "huge memo index"}
)


def detect_stream(subject: PickleSubject) -> Iterator[Finding]:
    """Structure of each stream, then of the member as a whole."""
    junk = ", behind bytes that are none," if subject.pickles.after_junk else ""
    for number, trace in enumerate(subject.pickles.streams):
        yield from _broken(subject, trace)
        yield from _quirks(subject, trace)
        yield from _bomb(subject, trace)
        yield from _persistent(subject, trace)
        if number and subject.carrier in {"pickle", "npy"} and trace.active and charges(trace, subject.knowledge):
            yield finding(
                "PKL-010",
                subject.location.at(trace.start),
                f"pickle number {number + 1} in this file{junk} does something of its own",
                evidence=[Evidence(text=opcode_line(subject.read, trace.start), offset=trace.start)],
            )
    if (
        subject.carrier == "pickle"
        and subject.pickles.tail < subject.size
        and not subject.pickles.legacy_torch
        and _whole(subject)
    ):
        rest = subject.size - subject.pickles.tail
        yield finding("SCN-004", subject.location.at(subject.pickles.tail), f"{rest} bytes behind the last pickle")
    if (
        not subject.signature
        and subject.pickles.active
        and any(charges(t, subject.knowledge) for t in subject.pickles.streams)
    ):
        yield finding("PKL-013", subject.location.at(0), "a text pickle without a signature does more than hold data")
    if not subject.expected and subject.pickles.active:
        yield finding("TCH-002", subject.location, "a pickle where the container has none")


def _whole(subject: PickleSubject) -> bool:
    return bool(subject.pickles.streams) and subject.pickles.streams[-1].finished


def _broken(subject: PickleSubject, trace: Trace) -> Iterator[Finding]:
    if trace.finished and trace.c_broken_at < 0:
        return
    if trace.limit:
        yield finding("SCN-007", subject.location.at(trace.end), f"the pickle exceeds the bound on {trace.limit}")
        return
    at = trace.broken_at if not trace.finished else trace.c_broken_at
    adverse = [charge for charge in charges(trace, subject.knowledge) if charge.offset < at]
    reason = trace.broken or "the C unpickler stops here, the Python one goes on"
    evidence = [Evidence(text=opcode_line(subject.read, at), offset=at, culprit=True)]
    if adverse:
        worst = min(adverse, key=lambda charge: charge.severity.rank)
        severity = Severity.CRITICAL if worst.severity is Severity.CRITICAL else worst.severity
        message = f"the stream breaks ({reason}) after this: {worst.message}"
        yield finding("PKL-011", subject.location.at(at), message, evidence=evidence, severity=severity)
    else:
        yield finding(
            "SCN-002",
            subject.location.at(at),
            f"the pickle cannot be read to its end: {reason}",
            evidence=evidence,
            severity=Severity.MEDIUM,
        )


def _quirks(subject: PickleSubject, trace: Trace) -> Iterator[Finding]:
    for quirk, offset in trace.quirks.items():
        if quirk in _LAYOUT_QUIRKS or (not trace.finished and quirk == "unterminated line"):
            continue
        severity = Severity.HIGH if trace.active else Severity.MEDIUM
        yield finding(
            "PKL-012",
            subject.location.at(offset),
            _QUIRKS.get(quirk, quirk),
            evidence=[Evidence(text=opcode_line(subject.read, offset), offset=offset, culprit=True)],
            severity=severity,
        )


def _bomb(subject: PickleSubject, trace: Trace) -> Iterator[Finding]:
    if trace.depth > _DEEP:
        yield finding("PKL-016", subject.location.at(trace.start), f"containers are nested {trace.depth} deep")
    if trace.broken and "claims" in trace.broken:
        yield finding("PKL-016", subject.location.at(trace.broken_at), trace.broken, severity=Severity.MEDIUM)
    if "huge memo index" in trace.quirks:
        at = trace.quirks["huge memo index"]
        evidence = [Evidence(text=opcode_line(subject.read, at), offset=at, culprit=True)]
        yield finding(
            "PKL-016",
            subject.location.at(at),
            "a memo index for which the loader allocates gigabytes",
            evidence=evidence,
        )
    if trace.doublings > _DOUBLINGS:
        message = f"containers hold each other twice, {trace.doublings} levels deep: whatever unfolds them never ends"
        yield finding("PKL-016", subject.location.at(trace.start), message)


def _persistent(subject: PickleSubject, trace: Trace) -> Iterator[Finding]:
    for identifier in trace.persistent:
        if not _known_identifier(subject, identifier):
            message = "a persistent id is not one that torch writes"
            yield finding(
                "PKL-009", subject.location.at(trace.start), message, evidence=[f"persistent id {identifier!r}"[:200]]
            )
            return


def _known_identifier(subject: PickleSubject, identifier: Value) -> bool:
    from weighbridge.formats.torch import storage_of  # noqa: PLC0415  # only pickles with persistent ids need it

    if storage_of(identifier) is not None:
        return True
    parts = arguments_of(identifier)
    if parts and parts[0] in {"storage", "reduce_package", "module"}:
        return not any(_adverse(subject, part) for part in parts)
    return False


def _adverse(subject: PickleSubject, value: Value) -> bool:
    if isinstance(value, Name):
        return subject.knowledge.grade(value, Use.REFERENCE).standing is Standing.DANGEROUS
    return isinstance(value, Persistent)
