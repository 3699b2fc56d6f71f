"""Knows which imports, calls and assignments of a pickle are attacks (PKL, TCH-013, JBL-003, JBL-004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.detect.knowledge import Grade, Knowledge, Standing, Use
from weighbridge.detect.knowledge.arguments import complaint
from weighbridge.formats.pickle import (
    Assignment,
    Embedded,
    Invocation,
    Items,
    Made,
    Name,
    Trace,
    code_arguments,
    code_lines,
    mapping,
    opcode_line,
    render,
)
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.subjects import PickleSubject
    from weighbridge.schema import Finding, Location

_USES = {"REDUCE": Use.CALL, "NEWOBJ": Use.NEW, "NEWOBJ_EX": Use.NEW, "OBJ": Use.CALL, "INST": Use.CALL}
_CALLED_AS_METHOD = frozenset(
    {"forward", "__call__", "predict", "fit", "transform", "predict_proba", "decode", "encode", "generate"}
)
_TORCH_BLOB = "torch.save"
_SHOWN = 200


class Charge(Struct, frozen=True, kw_only=True):
    """One thing that a stream does and should not."""

    rule: str
    severity: Severity
    message: str
    why: str
    offset: int
    number: int | None = None
    steps: tuple[int, ...] = ()
    says: str = ""
    imports: str = ""
    bytecode: tuple[str, ...] = ()


def detect_pickle(subject: PickleSubject) -> Iterator[Finding]:
    """What each pickle of a member does when it is loaded."""
    for trace in subject.pickles.streams:
        for charge in charges(trace, subject.knowledge):
            yield _finding(charge, subject.location, subject.read)


def _finding(charge: Charge, location: Location, read: Callable[[int, int], bytes]) -> Finding:
    lines = [Evidence(text=_line(charge, read, at), offset=at) for at in charge.steps[:-1]]
    if charge.steps:
        last = charge.steps[-1]
        says = f"  <- {charge.says}" if charge.says else ""
        lines.append(Evidence(text=f"{_line(charge, read, last)}{says}", offset=last, culprit=True))
    lines += [Evidence(text=line) for line in charge.bytecode]
    return finding(
        charge.rule,
        location.at(charge.offset, charge.number),
        charge.message,
        evidence=lines,
        severity=charge.severity,
        why=charge.why,
    )


def _line(charge: Charge, read: Callable[[int, int], bytes], at: int) -> str:
    """The opcode; STACK_GLOBAL takes its name from the stack, so the name is put beside it."""
    line = opcode_line(read, at)
    return f"{line}  = {charge.imports}" if line == "STACK_GLOBAL" and charge.imports else line


def charges(trace: Trace, knowledge: Knowledge) -> tuple[Charge, ...]:
    """Everything adverse that one stream does; worked out once for each trace."""
    known = knowledge.judged.get(id(trace))
    if known is None or known[0] is not trace:
        known = (trace, tuple(_charges(trace, knowledge)))
        knowledge.judged[id(trace)] = known
    return known[1]


def _charges(trace: Trace, knowledge: Knowledge) -> Iterator[Charge]:
    used: dict[Name, set[Use]] = {}
    for call in trace.calls:
        if isinstance(call.target, Name):
            used.setdefault(call.target, set()).add(_USES[call.opcode])
        yield from _call(call, knowledge)
    for item in trace.imports:
        if item.name not in used:
            yield from _reference(item.name, item.offset, knowledge)
    yield from _unresolved(trace)
    for assignment in trace.assignments:
        yield from _assignment(assignment, knowledge)
    for embedded in trace.embedded:
        yield from _embedded(embedded, knowledge)
    for raw in trace.raw:
        if raw.pickle is not None:
            yield from charges(raw.pickle, knowledge)
    yield from _overflow(trace, knowledge)


def _call(call: Invocation, knowledge: Knowledge) -> Iterator[Charge]:
    if not isinstance(call.target, Name):
        yield from _computed_call(call)
        return
    use = _USES[call.opcode]
    grade = knowledge.grade(call.target, use)
    if grade.standing is Standing.HARMLESS:
        found = complaint(call.target, call.arguments, knowledge) if use is Use.CALL else None
        if found is None:
            return
        grade = found
    says = _says(call)
    verb = {Use.NEW: "makes an object of"}.get(use, "calls")
    yield Charge(
        rule=grade.rule,
        severity=grade.severity,
        message=f"the pickle {verb} {render(call.target)} when it is loaded",
        why=f"{render(call.target)} {grade.ability}",
        offset=call.offset,
        number=call.number,
        steps=call.steps,
        says=f"runs {says}" if use is Use.CALL else f"makes {says}",
        imports=render(call.target),
        bytecode=_bytecode(call),
    )


def _bytecode(call: Invocation) -> tuple[str, ...]:
    code = code_arguments(Made(call.target, call.arguments))
    return tuple(code_lines(code)) if code is not None else ()


def _says(call: Invocation) -> str:
    return f"{render(call.target)}{render(call.arguments)}"


def _computed_call(call: Invocation) -> Iterator[Charge]:
    grade_of = (
        "calls the result of another call"
        if isinstance(call.target, Made)
        else "calls something that is not known before run time"
    )
    yield Charge(
        rule="PKL-003",
        severity=Severity.CRITICAL,
        message=f"the pickle {grade_of}",
        why="which function runs is decided while the file is loaded",
        offset=call.offset,
        number=call.number,
        steps=call.steps,
        says=f"runs {_says(call)}",
        bytecode=_bytecode(call),
    )


def _reference(name: Name, offset: int, knowledge: Knowledge) -> Iterator[Charge]:
    grades = [knowledge.grade(name, use) for use in (Use.REFERENCE, Use.NEW)]
    if any(grade.standing is Standing.HARMLESS for grade in grades):
        return
    grade = grades[0]
    extension = name.module == "copyreg" and name.name.startswith("extension ")
    yield Charge(
        rule="PKL-008" if extension else grade.rule,
        severity=Severity.HIGH if extension else grade.severity,
        message=f"the pickle uses {name.name} of the registry" if extension else f"the pickle imports {render(name)}",
        why="what the code stands for is decided by the process that loads it"
        if extension
        else f"{render(name)} {grade.ability}",
        offset=offset,
        steps=(offset,),
        imports=render(name),
    )


def _unresolved(trace: Trace) -> Iterator[Charge]:
    for call in trace.unresolved:
        module, name = call.arguments.items if isinstance(call.arguments, Items) else (None, None)
        yield Charge(
            rule="PKL-017",
            severity=Severity.HIGH,
            message="the pickle imports a name that it computes itself",
            why="the name is only known while the file is loaded",
            offset=call.offset,
            number=call.number,
            steps=call.steps,
            says=f"imports {render(module)} . {render(name)}",
        )


def _assignment(assignment: Assignment, knowledge: Knowledge) -> Iterator[Charge]:
    target = assignment.target
    if isinstance(target, Name):
        message = f"the pickle changes {render(target)} itself"
    elif isinstance(target, Made) and (overwritten := _overwritten(assignment, knowledge)):
        message = f"the pickle replaces the method {overwritten} of an object"
    else:
        return
    yield Charge(
        rule="PKL-007",
        severity=Severity.CRITICAL if isinstance(target, Name) else Severity.HIGH,
        message=message,
        why="the change acts on every later use in the process",
        offset=assignment.offset,
        number=assignment.number,
        steps=assignment.steps,
        says=f"sets {render(assignment.state)}",
    )


def _overwritten(assignment: Assignment, knowledge: Knowledge) -> str:
    """A method name that the state replaces by something callable."""
    for key, value in mapping(assignment.state).items():
        if key in _CALLED_AS_METHOD and isinstance(value, (Made, Name)):
            owner = value.target if isinstance(value, Made) else value
            if isinstance(owner, Name) and knowledge.grade(owner, Use.REFERENCE).standing is not Standing.HARMLESS:
                return key
    return ""


def _embedded(embedded: Embedded, knowledge: Knowledge) -> Iterator[Charge]:
    inner = charges(embedded.trace, knowledge)
    if embedded.encoding == _TORCH_BLOB:
        yield from inner
        return
    if not inner:
        return
    worst = min(inner, key=lambda charge: charge.severity.rank)
    yield Charge(
        rule="PKL-015",
        severity=Severity.HIGH if worst.severity is Severity.CRITICAL else worst.severity,
        message=f"a constant hides another pickle ({embedded.encoding}): {worst.message}",
        why=worst.why,
        offset=embedded.offset,
        says=worst.says,
    )


def _overflow(trace: Trace, knowledge: Knowledge) -> Iterator[Charge]:
    """Calls that were too many to keep: fine where the arguments do not matter, else not judged."""
    for dotted in trace.overflow[:_SHOWN]:
        module, _, name = dotted.rpartition(".")
        if dotted == "BUILD":
            continue
        grade = knowledge.grade(Name(module, name), Use.CALL) if module else Grade(Standing.UNKNOWN)
        if grade.standing is Standing.HARMLESS and complaint(Name(module, name), None, knowledge) is None:
            continue
        yield Charge(
            rule="PKL-002",
            severity=Severity.MEDIUM,
            message=f"the pickle calls {dotted} more often than is kept; the later calls were not judged",
            why="arguments decide whether these calls are harmless",
            offset=trace.start,
        )
