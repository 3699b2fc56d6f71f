"""The half of the verb `monitor` that asks probes: enrol a model, and check whether it still answers."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.cli.exits import ADMITTED, exit_code
from weighbridge.cli.written import write, write_file
from weighbridge.policy.testing import seconds_of
from weighbridge.schema import Coverage, Fact
from weighbridge.schema.alert import Pulse
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse

    from weighbridge.monitor.fingerprint import Check, Enrolment
    from weighbridge.schema import Report
    from weighbridge.schema.alert import Alert

_EXAMPLES: Final = 4


def enrol(given: argparse.Namespace) -> int:
    """`monitor enrol`."""
    from weighbridge.monitor import fingerprint, probes  # noqa: PLC0415  # --help needs no numpy
    from weighbridge.monitor.endpoint import open_endpoint  # noqa: PLC0415
    from weighbridge.monitor.served import digests_of  # noqa: PLC0415

    asked = probes.read(given.probes)
    endpoint = open_endpoint(given.endpoint, model=given.model, field=given.field)
    total = len(asked) * given.runs
    live = sys.stderr.isatty()

    def heard(done: int) -> None:
        if live:
            print(f"\r\x1b[K{done} of {total} answers", end="\n" if done == total else "", file=sys.stderr, flush=True)

    made = fingerprint.enrol(
        endpoint, asked, given.name or given.model or given.endpoint, given.endpoint, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        runs=given.runs, tolerance=given.tolerance, files=digests_of(given.files) if given.files else None, heard=heard,
    )  # fmt: skip
    payload = msgspec.json.encode(made)
    write_file(given.output, _sealed(payload, given.key) if given.key else payload)
    noisy = sum(
        1 for one in made.answers if any(fingerprint.distance(one[0], other, made.tolerance) for other in one[1:])
    )
    how = f"{plural(noisy, 'probe')} get answers that differ from run to run" if noisy else "the same answer every time"
    print(
        f"{printable(given.output)}: {plural(len(asked), 'probe')}, {given.runs} runs; {how}{'; signed' if given.key else ''}"
    )
    return ADMITTED


def _sealed(payload: bytes, path: str) -> bytes:
    from weighbridge.cli.keys import password  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.monitor.fingerprint import KIND  # noqa: PLC0415
    from weighbridge.provenance import bundle, keys  # noqa: PLC0415

    return bundle.seal(payload, KIND, keys.load_private(path, password()))


def payload_of(data: bytes, key: str) -> bytes:
    """The enrolment in a file, signed or not. With a key it must be signed by it. Raises VerificationFailed."""
    if not key and b'"dsseEnvelope"' not in data[:65536]:
        return data
    from weighbridge.monitor.fingerprint import KIND  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance import dsse, keys  # noqa: PLC0415
    from weighbridge.schema import VerificationFailed  # noqa: PLC0415

    envelope = dsse.unwrap(dsse.strict_json(data, "the enrolment").get("dsseEnvelope"))
    if key and not keys.is_signed_by(envelope, keys.load_public(key)):
        raise VerificationFailed(
            "the enrolment is not signed by this key", hint="enrol again, or find out who replaced it"
        )
    if envelope.kind != KIND:
        raise VerificationFailed("the signed file is no enrolment", hint="weighbridge monitor enrol writes one")
    return envelope.payload


def check(given: argparse.Namespace) -> int:
    """`monitor check`."""
    from weighbridge.cli.monitor import shown, sinks  # noqa: PLC0415  # the other half of this verb
    from weighbridge.monitor import fingerprint  # noqa: PLC0415  # --help needs no numpy
    from weighbridge.monitor.alerts import Desk  # noqa: PLC0415
    from weighbridge.monitor.endpoint import open_endpoint  # noqa: PLC0415
    from weighbridge.monitor.opening import read  # noqa: PLC0415
    from weighbridge.policy import find_settings  # noqa: PLC0415

    policy = find_settings(given.policy).policy
    enrolment = fingerprint.load(payload_of(read(given.enrolment), given.key), given.enrolment)
    endpoint = open_endpoint(given.endpoint or enrolment.endpoint, model=given.model, field=given.field)
    desk, every = Desk(sinks(given.alert)), seconds_of(given.every)
    while True:
        begun = time.perf_counter()
        found = fingerprint.check(enrolment, endpoint)
        news = desk.take([_alert(enrolment, found)] if found.changed else [])
        if "registry:" in given.alert:
            _told(enrolment, found)
        if not every:
            report = _report(enrolment, found, policy)
            write(given, report, time.perf_counter() - begun)
            return exit_code(report)
        shown(news)
        time.sleep(every)


def _told(enrolment: Enrolment, found: Check) -> None:
    """How the enrolled model stands, for the page of the registry."""
    from weighbridge.cli.registry import known_registry  # noqa: PLC0415  # loading cryptography takes a while

    measured = (
        f"enrolled {enrolment.made} with {len(enrolment.answers[0])} runs; {found.differing} of {found.probes} probes differ now, "
        f"by noise alone with a chance of {found.chance:.2g}"
    )
    pulse = Pulse(
        stream=f"{enrolment.name}: fingerprint",
        replica="check",
        at=time.time(),
        records=found.probes,
        measured=measured,
    )
    known_registry().pulse(pulse)


def _alert(enrolment: Enrolment, found: Check) -> Alert:
    from weighbridge.monitor.alerts import alert  # noqa: PLC0415

    noise = "" if found.chance > 0.001 else f"; by noise alone with a chance of {found.chance:.0e}"
    message = (
        f"{found.differing} of {found.probes} probes are answered otherwise{noise}"
        if found.differing or not found.facts
        else found.facts[0]
    )
    lines = [*found.facts, *found.told]
    lines += [
        f"{name}: {hit} of {all_} probes"
        for name, (hit, all_) in found.families.items()
        if hit and len(found.families) > 1
    ]
    for one in found.examples[:_EXAMPLES]:
        lines += [f"probe: {one.probe.text[:120]}", f"  was: {one.before}", f"  is:  {one.after}"]
    return alert("MON-003", enrolment.name, "fingerprint", message, time.time(), evidence=lines, model=enrolment.name)


def _report(enrolment: Enrolment, found: Check, policy: Any) -> Report:
    from weighbridge.inspection.origin import judged  # noqa: PLC0415  # --help needs no policy

    facts = [
        ("probes", f"{found.probes}, enrolled {enrolment.made} with {len(enrolment.answers[0])} runs"),
        (
            "differing",
            f"{found.differing}; noise of the enrolment {found.noise:.2g}, largest difference {found.largest:.2g}",
        ),
        ("chance of this by noise", f"{found.chance:.2g} (a check is believed below 0.0005 in each of two stages)"),
    ]
    size = sum(len(one.text.encode()) for one in enrolment.probes)
    return judged(
        enrolment.name, [_alert(enrolment, found).finding] if found.changed else [], size=size,
        coverage=[Coverage(path=(enrolment.name,), format="fingerprint", size=size, inspected=size)],
        facts=[Fact(path=(enrolment.name,), name=name, value=value) for name, value in facts], policy=policy,
    )  # fmt: skip
