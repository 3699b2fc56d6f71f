"""The verb `lock`: pin every model and dataset that a project uses, and say what is no longer as it was pinned."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from weighbridge.cli.options import flag, parser
from weighbridge.cli.written import SENTENCE, add_report, write_file, write_report
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from weighbridge.provenance.lock import Drift, Lock, Locked
    from weighbridge.provenance.references import Reference
    from weighbridge.source.hub import HubTree


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "lock",
        "Pin every model and dataset that a project uses to owner, commit and digests, or check that they are still so.",
        "weighbridge lock src/   ·   weighbridge lock src/ --check",
        "With --check: exit 0 where everything is as it was locked, 1 where something is not.",
    )
    made.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="code and configuration that is searched for references"
    )
    made.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="SOURCE",
        help="an artifact to pin: hf://owner/name[@revision], or a folder or file",
    )
    made.add_argument("--check", action="store_true", help="compare instead of writing")
    made.add_argument("--file", default="weighbridge.lock", metavar="FILE", help="the lock file (weighbridge.lock)")
    add_report(made, "with --check: a sentence for each difference")
    flag(made.add_argument_group("network"), "offline", "check only what needs no network", action="store_true")
    given = made.parse_args(arguments)
    from weighbridge.provenance import lock  # noqa: PLC0415  # few runs need it
    from weighbridge.provenance.references import references  # noqa: PLC0415

    found = [reference for path in given.paths for reference in references(path)]
    if given.check:
        known = lock.load(given.file)
        drifts = _drifts(known, found, given.file, offline=given.offline)
        return (_told if given.format == SENTENCE else _report)(given, known, drifts)
    if given.offline:
        raise UsageError("a lock cannot be written offline", hint="leave --offline out, or use --check")
    entries: dict[str, Locked] = {}
    wanted = {reference.address: reference.revision for reference in found}
    for source in given.add:
        if source.startswith("hf://"):
            bare, _, revision = source.partition("@")
            wanted[bare] = revision
        else:
            entries[source] = lock.lock_folder(source, os.path.join(os.path.dirname(given.file), source))
    opened = _hub()
    for address, revision in sorted(wanted.items()):
        print(f"{address}{f'@{revision}' if revision else ''}", file=sys.stderr)
        entries[address] = lock.lock_hub(address, opened(f"{address}@{revision}" if revision else address))
    write_file(given.file, lock.dump(entries.values()))
    print(
        f"{given.file}: {plural(len(entries), 'artifact')}, {plural(sum(len(e.files) for e in entries.values()), 'file')}"
    )
    return 0


def _hub() -> Callable[[str], HubTree]:
    from weighbridge.source.http import Session  # noqa: PLC0415  # only where the network is used
    from weighbridge.source.hub import HubTree as Hub  # noqa: PLC0415

    session = Session()
    return lambda address: Hub(address, session)


def _drifts(known: Lock, found: list[Reference], file: str, *, offline: bool) -> list[Drift]:
    """Everything that is no longer as it was locked."""
    from weighbridge.provenance import lock  # noqa: PLC0415

    drifts: list[Drift] = list(lock.unlocked(known, found))
    opened = None if offline else _hub()
    for entry in known.artifacts:
        if not entry.source.startswith("hf://"):
            now = lock.lock_folder(entry.source, os.path.join(os.path.dirname(file), entry.source))
            drifts += [*lock.changed(entry, now.files), *lock.older(entry, now)]
        elif opened is not None:
            drifts += lock.moved(entry, opened)
    return drifts


def _told(given: argparse.Namespace, known: Lock, drifts: list[Drift]) -> int:
    for drift in drifts:
        print(f"{f'changed[{drift.rule}]' if drift.bad else 'note'}: {drift.source}: {drift.what}")
    bad = sum(drift.bad for drift in drifts)
    state = "as locked" if not bad else f"{plural(bad, 'difference')}"
    asked = " · offline: hubs were not asked" if given.offline else ""
    print(f"{plural(len(known.artifacts), 'artifact')} · {state}{asked}")
    return 1 if bad else 0


def _report(given: argparse.Namespace, known: Lock, drifts: list[Drift]) -> int:
    """The differences as findings, judged by the policy."""
    from weighbridge.inspection.origin import judged  # noqa: PLC0415
    from weighbridge.policy import find_settings  # noqa: PLC0415
    from weighbridge.rules.finding import finding  # noqa: PLC0415
    from weighbridge.schema import Location, Severity  # noqa: PLC0415

    findings = [
        finding(one.rule, Location(path=(one.source,)), one.what, severity=None if one.bad else Severity.INFO)
        for one in drifts
    ]
    files = sum(len(entry.files) for entry in known.artifacts)
    report = judged(given.file, findings, files=files, policy=find_settings(None).policy)
    return write_report(given, report)
