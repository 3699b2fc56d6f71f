"""Knows how flags are declared: each has an environment variable and a key in the configuration file."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from typing import Any


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in our own voice."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of leaving the process."""
        raise UsageError(message, hint=f"{self.prog} --help")


def parser(verb: str, what: str, example: str, epilog: str = "") -> Parser:
    """The parser of one verb."""
    return Parser(
        prog=f"weighbridge {verb}",
        description=f"{what}\n\nexample:\n  {example}",
        epilog=epilog,
        # A fixed width: asking the terminal for its own imports shutil on every start.
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100),
        allow_abbrev=False,
    )


def flag(group: argparse._ArgumentGroup, name: str, help_text: str, **extra: Any) -> None:
    """Add `--name` with its `WEIGHBRIDGE_NAME` variable as default."""
    variable = f"WEIGHBRIDGE_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable)
    if extra.get("action") == "store_true":
        extra["default"] = value is not None and value.lower() not in {"", "0", "false", "no"}
    elif value is not None:
        extra["default"] = [value] if extra.get("action") == "append" else value
    choices = extra.get("choices")
    if choices and value is not None and value not in choices:
        raise UsageError(f"{variable} is {value!r}", hint=f"one of {', '.join(choices)}")
    group.add_argument(f"--{name}", help=f"{help_text} [{variable}]", **extra)
