"""The verb `monitor`: is what is served still what was admitted, and does it still behave as it did."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from weighbridge.cli.exits import ADMITTED, BLOCKED, INCOMPLETE, exit_code
from weighbridge.cli.options import flag, parser
from weighbridge.cli.written import add_output, write, write_file
from weighbridge.policy.testing import seconds_of
from weighbridge.schema import Coverage, Fact, Reason, Status, Unavailable, UsageError
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from weighbridge.monitor.records import Record, Rejects
    from weighbridge.monitor.service import Monitor
    from weighbridge.schema import Finding, Report
    from weighbridge.schema.alert import Alert

_EPILOG: Final = """exit codes:
  0  nothing was found, or nothing that the policy stops
  1  a trigger, another model, another file: the policy blocks
  2  usage, or what is needed cannot be reached: no verdict
  3  for review, or part of it could not be read
"""


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    acts: dict[str, Callable[[argparse.Namespace], int]] = {
        "learn": _learn, "replay": _replay, "proxy": _proxy, "served": _served, "process": _process, "ledger": _ledger,
    }  # fmt: skip
    try:
        if given.what in {"enrol", "check"}:
            from weighbridge.cli import enrolment  # noqa: PLC0415  # the other half of this verb

            return (enrolment.enrol if given.what == "enrol" else enrolment.check)(given)
        return acts[given.what](given)
    except ImportError as error:
        raise Unavailable(
            f"monitor needs the extra data ({error.name})", hint="pip install 'weighbridge[data]'"
        ) from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "monitor",
        "Watch what is served: the files, the process, the answers to enrolled probes, and the traffic.",
        "weighbridge monitor learn clean.jsonl --output reviews.baseline\n  weighbridge monitor replay today.jsonl --baseline reviews.baseline --shadow http://127.0.0.1:9000/predict",
        _EPILOG,
    )
    verbs = made.add_subparsers(dest="what", required=True, metavar="WHAT")
    learn = verbs.add_parser(
        "learn", help="learn from clean traffic what is usual, and measure the false alarms on its last fifth"
    )
    learn.add_argument(
        "log", nargs="+", help="lines of JSON (also .gz, or - for standard input) or Parquet, in the order of time"
    )
    learn.add_argument("--output", required=True, metavar="FILE")
    learn.add_argument("--stream", default="", help="what to call the stream (default: the name of the output)")
    learn.add_argument("--model", default="", help="what is served: a name or a digest; it stands in every alert")
    learn.add_argument(
        "--pairs",
        action="store_true",
        help="count two words side by side, too: finds phrases of common words, several times slower",
    )
    learn.add_argument(
        "--held-out", type=int, default=400, metavar="N", help="inputs that are kept to try suspects on; 0 keeps none"
    )
    replay = verbs.add_parser("replay", help="go through a log: triggers in use, drift, changes in kind")
    replay.add_argument(
        "log", nargs="+", help="lines of JSON (also .gz, or -) or Parquet; OpenTelemetry and OpenAI logs are understood"
    )
    _add_stream(replay)
    replay.add_argument("--metrics", metavar="FILE", help="write the counters for Prometheus")
    add_output(replay)
    flag(replay.add_argument_group("verdict"), "policy", "policy file", metavar="FILE")
    proxy = verbs.add_parser(
        "proxy", help="stand before a server, pass everything on, and watch it; /weighbridge/metrics for Prometheus"
    )
    proxy.add_argument("upstream", help="the address of the server")
    proxy.add_argument("--listen", default="127.0.0.1:8450", metavar="HOST:PORT")
    _add_stream(proxy)
    _add_fingerprints(verbs)
    served = verbs.add_parser("served", help="hold the files that a service loads against what was approved")
    served.add_argument("path")
    served.add_argument("--lock", default="", metavar="FILE", help="weighbridge.lock")
    served.add_argument("--enrolment", default="", metavar="FILE", help="with the digests of the files (enrol --files)")
    served.add_argument(
        "--every", default="", metavar="TIME", help="look again and again, such as 30s: what may have changed is read"
    )
    served.add_argument("--whole", default="1h", metavar="TIME", help="with --every: read every file so often")
    _add_alerts(served)
    process = verbs.add_parser("process", help="learn what a process does, and say what it never did before")
    process.add_argument("pid", type=int)
    process.add_argument("--profile", required=True, metavar="FILE")
    process.add_argument("--learn", default="", metavar="TIME", help="learn for so long, then write the profile")
    process.add_argument("--every", default="", metavar="TIME", help="look again and again, such as 1s")
    _add_alerts(process)
    ledger = verbs.add_parser("ledger", help="the tools and destinations that an agent may use")
    ledger.add_argument("file")
    ledger.add_argument("--allow", action="append", default=[], metavar="NAME")
    ledger.add_argument("--learn", metavar="LOG", help="take every tool of a log")
    return made.parse_args(arguments)


def _add_stream(made: argparse.ArgumentParser) -> None:
    made.add_argument("--baseline", required=True, metavar="FILE")
    made.add_argument(
        "--shadow",
        default="",
        metavar="ENDPOINT",
        help="a copy that serves nobody; suspects are tried on it: http://…, openai+http://…/v1, python:module:function",
    )
    made.add_argument(
        "--meet", default="", metavar="PLACE", help="folder or database that keeps the state, where replicas meet"
    )
    made.add_argument("--replica", default="", help="the name of this replica (default: of the machine)")
    made.add_argument("--ledger", default="", metavar="FILE", help="tools and destinations that are known")
    _add_alerts(made)


def _add_alerts(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--alert", action="append", default=[], metavar="TO",
        help="https://… (webhook), syslog://host:514, mailto:a@b?server=host:25, registry: (the one that was logged in to), or a file; may be repeated",
    )  # fmt: skip


def _add_fingerprints(verbs: argparse._SubParsersAction[Any]) -> None:
    endpoint = "http://… (JSON), openai+http://…/v1, or python:module:function"
    enrol = verbs.add_parser("enrol", help="record what a model answers to probes")
    enrol.add_argument("endpoint", help=endpoint)
    enrol.add_argument(
        "--probes",
        default="chat",
        metavar="FILE",
        help="lines of JSON with text, lines of text (.txt), or chat: the set that comes along",
    )
    enrol.add_argument("--output", required=True, metavar="FILE")
    enrol.add_argument(
        "--runs", type=int, default=8, help="how often each probe is asked, to learn the noise (default: 8)"
    )
    enrol.add_argument(
        "--tolerance", type=float, default=1e-4, help="numbers that differ by less are the same (default: 0.0001)"
    )
    enrol.add_argument(
        "--files", default="", metavar="PATH", help="the served files; their digests go into the enrolment"
    )
    enrol.add_argument("--key", default="", metavar="FILE", help="sign it with this private key")
    enrol.add_argument("--name", default="", help="what to call the model")
    check = verbs.add_parser("check", help="ask the probes again: is it still the enrolled model")
    check.add_argument("enrolment")
    check.add_argument("endpoint", nargs="?", default="", help="where to ask (default: the endpoint of the enrolment)")
    check.add_argument("--key", default="", metavar="FILE", help="the public key that must have signed the enrolment")
    check.add_argument("--every", default="", metavar="TIME", help="check again and again, such as 1h")
    _add_alerts(check)
    for one in (enrol, check):
        one.add_argument("--model", default="", help="the model's name, for an OpenAI-compatible endpoint")
        one.add_argument(
            "--field", default="inputs", help="the field of the request that holds the text (default: inputs)"
        )
    add_output(check)
    flag(check.add_argument_group("verdict"), "policy", "policy file", metavar="FILE")


# --- traffic


def _learn(given: argparse.Namespace) -> int:
    from weighbridge.monitor.baseline import dump  # noqa: PLC0415  # --help needs no numpy
    from weighbridge.monitor.learning import learned, thinned  # noqa: PLC0415
    from weighbridge.monitor.records import Rejects  # noqa: PLC0415

    rejects, records = Rejects(), list[Any]()
    for batch in _batches(given.log, rejects):
        records.extend(batch)
        records = thinned(records)
    name = given.stream or given.output.rpartition("/")[2].partition(".")[0]
    made = learned(records, name, model=given.model, held_out=given.held_out, pairs=given.pairs)
    write_file(given.output, dump(made))
    heads = ", ".join(
        f"{one.name} ({plural(len(one.classes), 'class') if one.name == 'label' else 'yes or no'})"
        for one in made.heads
    )
    print(
        f"{printable(given.output)}: {plural(made.records, 'record')}, {plural(len(made.signs), 'sign')}; watches {heads.replace('classs', 'classes')}"
    )
    what = made.measured
    print(
        f"on the {what.records} records that nothing was learned from: {plural(what.alarms, 'alarm')} of drift, {plural(what.suspects, 'suspect')} "
        f"(at most {what.bound:.0f} alarms in a million such records, at 95 %); bands widened {made.slack:g} times"
    )
    _say_rejects(rejects)
    return INCOMPLETE if rejects.total else ADMITTED


def _batches(paths: Iterable[str], rejects: Rejects) -> Iterable[list[Record]]:
    from weighbridge.monitor.replay import records_of  # noqa: PLC0415  # --help needs no numpy

    for path in paths:
        yield from records_of(path, rejects)


def _say_rejects(rejects: Rejects) -> None:
    for reason, count in rejects.count.most_common():
        print(f"weighbridge: {count} passed over: {reason}, first at {rejects.first[reason]}", file=sys.stderr)


def _opened(given: argparse.Namespace) -> Monitor:
    from weighbridge.monitor.opening import open_monitor  # noqa: PLC0415  # --help needs no numpy

    more: dict[str, Any] = {}
    if "registry:" in given.alert:
        from weighbridge.cli.registry import known_registry  # noqa: PLC0415  # loading cryptography takes a while

        more["pulses"] = known_registry().pulse
    return open_monitor(
        given.baseline,
        place=given.meet,
        replica=given.replica,
        shadow=given.shadow,
        alerts=sinks(given.alert),
        ledger=given.ledger,
        **more,
    )


def sinks(names: Iterable[str]) -> list[Callable[[Alert], None]]:
    """Where alerts go. Raises UsageError."""
    from weighbridge.monitor.sinks import open_sink  # noqa: PLC0415  # few runs send any

    found: list[Callable[[Alert], None]] = []
    for name in names:
        if name == "registry:":
            from weighbridge.cli.registry import known_registry  # noqa: PLC0415  # loading cryptography takes a while

            found.append(known_registry().tell)
        else:
            found.append(open_sink(name))
    return found


def _replay(given: argparse.Namespace) -> int:
    from weighbridge.monitor.records import Rejects, refuse_empty  # noqa: PLC0415  # --help needs no numpy
    from weighbridge.policy import find_settings  # noqa: PLC0415

    settings = find_settings(given.policy)
    monitor, rejects = _opened(given), Rejects()
    begun, size = time.perf_counter(), 0
    live = sys.stderr.isatty()
    counts = monitor.watch.stream.counts
    before = counts.records
    for batch in _batches(given.log, rejects):
        size += len(batch)
        monitor.feed(batch)
        if live:
            print(
                f"\r\x1b[K{counts.records - before} records, {len(monitor.desk.told)} alerts",
                end="",
                file=sys.stderr,
                flush=True,
            )
    if live:
        print("\r\x1b[K", end="", file=sys.stderr)
    refuse_empty(size, ", ".join(given.log))
    monitor.save()
    monitor.gaps(rejects)
    if given.metrics:
        from weighbridge.monitor.metrics import exposition  # noqa: PLC0415  # few runs want it

        write_file(given.metrics, exposition(monitor.watch, monitor.desk.told).encode())
    for sink, count in monitor.desk.failed.items():
        print(f"weighbridge: alerts were not taken: {printable(sink)} ({count})", file=sys.stderr)
    report = _reported(given, monitor, rejects, settings.policy)
    write(given, report, time.perf_counter() - begun)
    return exit_code(report)


def _reported(given: argparse.Namespace, monitor: Monitor, rejects: Rejects, policy: Any) -> Report:
    from weighbridge.inspection.origin import judged  # noqa: PLC0415  # --help needs no policy

    counts, name = monitor.watch.stream.counts, monitor.baseline.stream
    size = sum(os.path.getsize(path) for path in given.log if path != "-")
    covered = [Coverage(path=(name,), format="traffic", size=size, inspected=size)]
    if rejects.total:
        told = "; ".join(f"{count} {reason}" for reason, count in rejects.count.most_common(3))
        covered.append(
            Coverage(
                path=(name, "records that were passed over"),
                format="traffic",
                size=0,
                status=Status.SKIPPED,
                reason=Reason.MALFORMED,
                detail=told,
            )
        )
    watch = monitor.watch
    facts = [
        ("records", f"{counts.records}, {counts.repeated} of them with an input that had come before"),
        (
            "suspects",
            f"{watch.trials} tried on the shadow copy, {watch.cleared} cleared"
            if given.shadow
            else "tried on nothing: there is no shadow copy",
        ),
        (
            "measured on clean traffic",
            f"{monitor.baseline.measured.alarms} alarms in {monitor.baseline.measured.records} records",
        ),
        ("not watched", "triggers that show in no word, such as syntax; answers that nobody logs"),
    ]
    return judged(
        name, findings_of(monitor.desk.told), size=size, files=len(given.log), coverage=covered,
        facts=[Fact(path=(name,), name=key, value=value) for key, value in facts], policy=policy,
    )  # fmt: skip


def findings_of(alerts: Iterable[Alert]) -> list[Finding]:
    """The findings of alerts."""
    return [one.finding for one in alerts]


def _proxy(given: argparse.Namespace) -> int:
    try:
        import uvicorn  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable(
            f"proxy needs the extra registry ({error.name})", hint="pip install 'weighbridge[registry]'"
        ) from error
    from weighbridge.monitor.middleware import Proxy, Watched  # noqa: PLC0415
    from weighbridge.monitor.records import Rejects  # noqa: PLC0415
    from weighbridge.monitor.standing import Standing  # noqa: PLC0415

    host, _, port = given.listen.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--listen {given.listen}: not understood", hint="such as 127.0.0.1:8450")
    monitor = _opened(given)
    watched = Watched(Proxy(given.upstream), lambda records: shown(monitor.feed(records)))
    print(
        f"http://{given.listen} passes on to {printable(given.upstream)}; counters at /weighbridge/metrics",
        file=sys.stderr,
    )
    try:
        uvicorn.run(
            Standing(watched, monitor),
            host=host,
            port=int(port),
            log_level="warning",
            access_log=False,
            server_header=False,
        )
    finally:
        watched.exchanges.recorder.close()
        shown([*monitor.save(), *monitor.gaps(Rejects(), watched.exchanges.recorder.dropped)])
    return BLOCKED if any(one.finding.severity.rank == 0 for one in monitor.desk.told) else ADMITTED


def shown(alerts: Iterable[Alert]) -> None:
    """Say alerts on the terminal as they come."""
    from weighbridge.monitor.sinks import told  # noqa: PLC0415  # only where there is one

    for one in alerts:
        print("\n".join(told(one)), flush=True)


# --- files, processes, tools


def _served(given: argparse.Namespace) -> int:
    from weighbridge.monitor import fingerprint, opening  # noqa: PLC0415  # --help needs none of it
    from weighbridge.monitor.alerts import Desk, alert  # noqa: PLC0415
    from weighbridge.monitor.served import Served, approved_by_lock  # noqa: PLC0415

    if bool(given.lock) == bool(given.enrolment):
        raise UsageError("say what is approved", hint="either --lock or --enrolment")
    if given.lock:
        approved = approved_by_lock(given.lock, given.path)
    else:
        from weighbridge.cli.enrolment import payload_of  # noqa: PLC0415

        approved = fingerprint.load(payload_of(opening.read(given.enrolment), ""), given.enrolment).files
    watcher, desk = Served(given.path, approved), Desk(sinks(given.alert))
    every, whole = seconds_of(given.every), seconds_of(given.whole)
    last, faults = time.monotonic(), watcher.look()
    while True:
        found = [
            alert(
                "MON-001",
                given.path,
                one.name,
                f"{one.name} {one.what}",
                time.time(),
                member=one.name if os.path.isdir(given.path) else "",
                model=one.approved or one.sha256,
                evidence=_digests(one),
            )
            for one in faults
        ]
        shown(desk.take(found))
        if not every:
            if not faults:
                print(f"{printable(given.path)}: {plural(len(approved), 'file')} as approved")
            return BLOCKED if faults else ADMITTED
        time.sleep(every)
        again = time.monotonic() - last >= whole
        last = time.monotonic() if again else last
        faults = watcher.whole() if again else watcher.look()


def _digests(fault: Any) -> list[str]:
    return [f"{name}: {value}" for name, value in (("approved", fault.approved), ("served", fault.sha256)) if value]


def _process(given: argparse.Namespace) -> int:
    from weighbridge.monitor.alerts import Desk, alert  # noqa: PLC0415  # --help needs none of it
    from weighbridge.monitor.opening import read  # noqa: PLC0415
    from weighbridge.monitor.process import Profile, acts_of, load  # noqa: PLC0415

    if given.learn:
        profile, end = Profile(), time.monotonic() + seconds_of(given.learn)
        while True:
            profile.new(acts_of(given.pid))
            if time.monotonic() >= end:
                break
            time.sleep(0.2)
        profile.locked = True
        write_file(given.profile, profile.dump())
        print(
            f"{printable(given.profile)}: {plural(len(profile.known), 'thing')} that process {given.pid} does; locked"
        )
        return ADMITTED
    profile, desk, every = load(read(given.profile), given.profile), Desk(sinks(given.alert)), seconds_of(given.every)
    while True:
        found = [
            alert(
                "MON-007",
                f"process {given.pid}",
                f"{act.kind} {act.what}",
                f"a new {act.kind}: {act.what}",
                time.time(),
                evidence=[f"seen in /proc/{given.pid}"],
            )
            for act in profile.new(acts_of(given.pid))
        ]
        shown(desk.take(found))
        if not every:
            return BLOCKED if found else ADMITTED
        time.sleep(every)


def _ledger(given: argparse.Namespace) -> int:
    from weighbridge.monitor.ledger import Ledger, load  # noqa: PLC0415  # --help needs none of it
    from weighbridge.monitor.opening import read  # noqa: PLC0415
    from weighbridge.monitor.records import Rejects  # noqa: PLC0415

    known = load(read(given.file), given.file) if os.path.exists(given.file) else Ledger()
    rejects = Rejects()
    for batch in _batches([given.learn] if given.learn else [], rejects):
        for record in batch:
            for name in record.tools:
                known.allow(name)
    for name in given.allow:
        known.allow(name)
    write_file(given.file, known.dump())
    print(f"{printable(given.file)}: {plural(len(known.count), 'tool')} and destinations known")
    _say_rejects(rejects)
    return ADMITTED
