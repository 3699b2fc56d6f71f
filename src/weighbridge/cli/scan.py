"""The verb `scan`: inspect files, folders and archives, and judge them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from weighbridge.cli.exits import NOTHING, TABLE, exit_code
from weighbridge.cli.options import flag, parser
from weighbridge.cli.trusted import add_trust, wanted
from weighbridge.cli.written import add_output, write
from weighbridge.inspection import Options, scan
from weighbridge.policy import Settings, find_settings
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from weighbridge.detect.patterns import Pattern
    from weighbridge.schema import Report


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    settings = find_settings(given.policy)
    options = _options(given, settings)
    _report_progress = _progress() if sys.stderr.isatty() and not given.quiet else None
    started = time.perf_counter()
    report = scan(given.paths, policy=settings.policy, options=options, progress=_report_progress)
    if given.deep:
        report = _deepened(given, report, settings)
    seconds = time.perf_counter() - started
    if _report_progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    write(given, report, seconds)
    if not report.artifact.files:
        print(f"weighbridge: nothing to inspect in {', '.join(given.paths)}", file=sys.stderr)
    code = exit_code(report, allow_incomplete=given.allow_incomplete)
    if given.allow_incomplete and not report.complete:
        print("weighbridge: incomplete, and --allow-incomplete was given", file=sys.stderr)
    return 0 if given.exit_zero and code != NOTHING else code


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "scan",
        "Inspect files, folders, archives and far artifacts, and judge them.",
        "weighbridge scan models/ --format html --output report.html",
        TABLE,
    )
    made.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="file, folder or address (hf://owner/name@revision, https://, s3://, oci://)",
    )
    flag(add_output(made), "quiet", "no progress", action="store_true")
    verdict = made.add_argument_group("verdict")
    flag(
        verdict,
        "policy",
        "policy file (default: weighbridge.toml or [tool.weighbridge] in the current folder)",
        metavar="FILE",
    )
    flag(verdict, "allow-incomplete", "exit 0 although something was not inspected, and say so", action="store_true")
    flag(verdict, "exit-zero", "report only: exit 0 whatever the verdict", action="store_true")
    scope = made.add_argument_group("scope and limits")
    flag(
        scope,
        "exclude",
        "leave out files whose path in the folder matches; may be repeated",
        action="append",
        metavar="GLOB",
        default=[],
    )
    flag(
        scope,
        "yara",
        "YARA rules of your own, held against every member; may be repeated",
        action="append",
        metavar="FILE",
        default=[],
    )
    flag(scope, "offline", "refuse addresses: the network is not used", action="store_true")
    flag(scope, "no-cache", "keep nothing of far files on the disk", action="store_true")
    flag(scope, "connections", "requests at a time for far files (default: 8)", metavar="N")
    flag(scope, "hash", "add the SHA-256 of the artifact to the report", action="store_true")
    flag(scope, "workers", "processes (default: as many as processors, where that pays)", metavar="N")
    flag(scope, "max-seconds", "time for one file", metavar="S")
    flag(scope, "max-depth", "containers inside containers", metavar="N")
    flag(scope, "max-members", "members of one file", metavar="N")
    flag(scope, "max-unpacked", "bytes that decompression may produce for one file", metavar="BYTES")
    deep = made.add_argument_group(
        "deep inspection",
        "what it depends on, what its code does in the sandbox, and whether its models have a trigger",
    )
    flag(deep, "deep", "run every stage that applies, in one report; for what is on this machine", action="store_true")
    # Without variables of the environment: WEIGHBRIDGE_DATA is the folder of a registry.
    deep.add_argument(
        "--data", metavar="PATH", default="", help="samples for the tests of models, as for weighbridge test"
    )
    deep.add_argument("--references", metavar="FILE", default="", help="scores of clean models of the same task")
    deep.add_argument("--clean", action="append", metavar="MODEL", default=[], help="a clean model of the same task")
    deep.add_argument("--pixels", metavar="RANGE", default="", help="what the models expect of pixels")
    deep.add_argument(
        "--budget", metavar="TIME", default="10m", help="time for these stages, such as 90s, 5m, 1h (10m)"
    )
    add_trust(made)
    return made.parse_args(arguments)


def _deepened(given: argparse.Namespace, report: Report, settings: Settings) -> Report:
    from weighbridge.inspection.deep import Depth, deepened  # noqa: PLC0415  # few scans are deep
    from weighbridge.policy.testing import TestPlan, plan_for, seconds_of  # noqa: PLC0415

    if len(given.paths) != 1:
        raise UsageError("--deep inspects one artifact at a time", hint="name one file or folder")
    path, plan = given.paths[0], None
    if given.data:
        plan = TestPlan(
            data=given.data, references=given.references, clean=tuple(given.clean), pixels=given.pixels, budget=given.budget
        )  # fmt: skip
    else:
        plan = plan_for(settings.tests, path)

    def said(line: str) -> None:
        if not given.quiet:
            print(line, file=sys.stderr, flush=True)

    return deepened(report, path, Depth(plan=plan, seconds=seconds_of(given.budget)), settings, said)


def _options(given: argparse.Namespace, settings: Settings) -> Options:
    bounds = {
        "seconds": _number(given.max_seconds, "max-seconds", float),
        "depth": _number(given.max_depth, "max-depth", int),
        "members": _number(given.max_members, "max-members", int),
        "unpacked_bytes": _number(given.max_unpacked, "max-unpacked", int),
    }
    chosen = {name: value for name, value in bounds.items() if value is not None}
    return Options(
        limits=msgspec.structs.replace(settings.limits, **chosen),
        own=frozenset(settings.knowledge),
        workers=int(_number(given.workers, "workers", int) or 0),
        excluded=(*settings.exclude, *given.exclude),
        hashing=given.hash,
        offline=given.offline,
        cache=not given.no_cache,
        connections=int(_number(given.connections, "connections", int) or 8),
        wanted=wanted(given, settings.provenance),
        names=settings.names,
        patterns=_patterns(given.yara),
    )


def _patterns(files: list[str]) -> tuple[Pattern, ...]:
    """The files of rules, which all have to compile."""
    if not files:
        return ()
    from weighbridge.detect.patterns import read_patterns  # noqa: PLC0415  # few runs bring rules

    return read_patterns(files)


def _number(text: str | None, name: str, kind: type[int | float]) -> float | None:
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"--{name} takes a number, not {text!r}") from None
    if value <= 0:
        raise UsageError(f"--{name} takes a number above zero")
    return value


def _progress() -> Callable[[int, int], None]:
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if total > 1 and now - last > 0.1:
            last = now
            print(f"\r\x1b[K{done} of {total} files", end="", file=sys.stderr, flush=True)

    return show
