"""The verb `diff`: two versions of an artifact, or a derivative and its base: files, structure, tensors, new findings."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from weighbridge.cli.exits import exit_code
from weighbridge.cli.options import flag, parser
from weighbridge.cli.written import add_output, write
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse

    from weighbridge.schema import Report


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "diff",
        "Compare two versions of an artifact, a derivative or adapter with its base, or a file with its conversion.\n"
        "Says what changed in files, structure and tensors, what was probably done, and what is newly found.\n"
        "Two packages: what the later release does by itself, and the earlier did not; or a release and its source.",
        "weighbridge diff base/ tuned/ --frozen 'layers\\.[0-9]\\.' --expect 'head only'",
        "Exit 1 where policy blocks: a frozen tensor changed, something else was done than expected, or worse.\n"
        "Exit 3 where it says review, or something could not be compared.",
    )
    made.add_argument(
        "old", help="the earlier version, or the base; for packages also the source, or pypi:name==version"
    )
    made.add_argument("new", help="the later version, or the derivative")
    order = made.add_argument_group("what should have happened")
    flag(order, "frozen", "tensors that must be bit-identical", default="", metavar="REGEX")
    flag(
        order,
        "expect",
        "what should have been done, e.g. 'low-rank merge', 'head only', 'quantised and back', 'nothing'",
        default="",
        metavar="KIND",
    )
    depth = made.add_argument_group("depth")
    flag(depth, "no-tensors", "compare files and structure only", action="store_true")
    flag(depth, "no-contents", "do not inspect both versions for new findings", action="store_true")
    flag(
        made.add_argument_group("packages"),
        "index",
        "where releases are fetched from (pypi:name==version, npm:name@version)",
        metavar="URL",
        default="",
    )
    flag(made.add_argument_group("verdict"), "policy", "policy file", metavar="FILE")
    add_output(made)
    given = made.parse_args(arguments)
    _check(given.frozen, given.expect)
    # Several threads of our own are at work; a second layer of threads below them only gets in their way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from weighbridge.inspection.compared import Order, compared  # noqa: PLC0415  # few runs need it
    from weighbridge.policy import find_settings  # noqa: PLC0415

    started = time.perf_counter()
    if given.new.startswith(("pypi:", "npm:")):
        report = _fetched(given)
        write(given, report, time.perf_counter() - started)
        return exit_code(report)
    if _is_package(given.new):
        from weighbridge.inspection.released import released  # noqa: PLC0415  # only packages need it

        report = released(given.old, given.new, find_settings(given.policy).policy)
        write(given, report, time.perf_counter() - started)
        return exit_code(report)
    order_given = Order(
        frozen=given.frozen, expected=given.expect, tensors=not given.no_tensors, contents=not given.no_contents
    )
    report = compared(given.old, given.new, order_given, find_settings(given.policy).policy)
    write(given, report, time.perf_counter() - started)
    return exit_code(report)


def _fetched(given: argparse.Namespace) -> Report:
    """Two releases of an index, which are fetched and not installed."""
    from weighbridge.inspection.released import fetched  # noqa: PLC0415  # only releases need it
    from weighbridge.policy import find_settings  # noqa: PLC0415
    from weighbridge.source.http import Session  # noqa: PLC0415

    settings = find_settings(given.policy)
    return fetched(given.old, given.new, Session(), given.index, settings.dependencies, settings.policy)


def _is_package(path: str) -> bool:
    """Whether a path is named like a package file."""
    return path.endswith((".whl", ".tgz", ".tar.gz")) and os.path.isfile(path)


def _check(frozen: str, expected: str) -> None:
    """Raise UsageError for a pattern or kind that could never hold."""
    from weighbridge.detect.derivation import KINDS  # noqa: PLC0415  # few runs need it

    try:
        re.compile(frozen)
    except re.error as error:
        raise UsageError(f"--frozen is no regular expression: {error}", hint="as 'layers\\.[0-9]\\.'") from error
    if expected and expected not in KINDS:
        raise UsageError(f"--expect does not know {expected!r}", hint=", ".join(KINDS))
