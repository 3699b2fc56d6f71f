"""Knows how a report leaves the command line: in which format, to which place, with colour or without."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from weighbridge.cli.options import flag
from weighbridge.output import FORMATS, render_as
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse

    from weighbridge.schema import Report


SENTENCE: Final = "sentence"


def add_output(made: argparse.ArgumentParser, default: str = "terminal") -> argparse._ArgumentGroup:
    """The flags about the report."""
    output = made.add_argument_group("output")
    flag(output, "format", "how to write the report", choices=FORMATS, default=default)
    flag(output, "output", "write the report to this file", metavar="FILE")
    flag(output, "verbose", "show informational findings and the account of every member", action="store_true")
    flag(output, "color", "when to use colour", choices=("auto", "always", "never"), default="auto")
    return output


def write(given: argparse.Namespace, report: Report, seconds: float | None = None) -> None:
    """Print a report, or put it into its file as a whole. Raises UsageError where it cannot be written."""
    if given.format == "terminal":
        from weighbridge.output.terminal import Terminal  # noqa: PLC0415  # machine formats do not need it

        text = Terminal(colour=_colour(given), verbose=given.verbose).draw(report, seconds)
    else:
        text = render_as(given.format, report)
    if given.output is None:
        sys.stdout.write(text)
        return
    write_file(given.output, text.encode())
    from weighbridge.output.words import summary  # noqa: PLC0415  # only where the report goes to a file

    print(summary(report, seconds), file=sys.stderr)


def write_file(path: str, data: bytes) -> None:
    """Put a file into its place as a whole. Raises UsageError where it cannot be written."""
    from weighbridge.source.whole import write_whole  # noqa: PLC0415  # most runs write no file

    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}", hint="choose another --output") from error


def add_report(made: argparse.ArgumentParser, sentences: str) -> None:
    """The flags of a verb that says `sentences` unless a report is asked for."""
    made.add_argument(
        "--format",
        choices=(SENTENCE, *FORMATS),
        default=SENTENCE,
        help=f"{sentences}, or a report with findings",
    )
    made.add_argument("--output", metavar="FILE", help="write the report to this file")


def write_report(given: argparse.Namespace, report: Report) -> int:
    """Write a report for a verb that was made with `add_report`; the exit code."""
    from weighbridge.cli.exits import exit_code  # noqa: PLC0415  # the sentence needs no report

    given.color, given.verbose = "auto", False
    write(given, report)
    return exit_code(report)


def _colour(given: argparse.Namespace) -> bool:
    if given.color != "auto":
        return bool(given.color == "always")
    return (
        sys.stdout.isatty()
        and given.output is None
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
