"""Knows how tests run under the guard: `pytest --weighbridge-guard warn`, and a summary of what was loaded."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: Any) -> None:
    """The options."""
    group = parser.getgroup("weighbridge")
    group.addoption(
        "--weighbridge-guard", choices=("enforce", "warn", "record"), help="guard model loading in the tests"
    )
    group.addoption("--weighbridge-lock", default="", help="lock file whose digests may be loaded")


def pytest_configure(config: Any) -> None:
    """Install the guard before any test module is imported."""
    mode = config.getoption("--weighbridge-guard")
    if not mode:
        return
    from weighbridge.guard import install  # noqa: PLC0415  # tests without the option pay nothing

    handle, log = tempfile.mkstemp(prefix="weighbridge-", suffix=".jsonl")
    os.close(handle)
    config.stash_weighbridge = log
    install(mode, lock=config.getoption("--weighbridge-lock"), log=log)


def pytest_unconfigure(config: Any) -> None:
    """Take it away again."""
    log = getattr(config, "stash_weighbridge", "")
    if log:
        from weighbridge.guard import uninstall  # noqa: PLC0415

        uninstall()
        os.unlink(log)


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Say what was loaded, and what would not have been."""
    log = getattr(config, "stash_weighbridge", "")
    if not log:
        return
    lines = list(_lines(log))
    odd = [line for line in lines if line["decision"] != "allowed"]
    terminalreporter.section("weighbridge guard")
    terminalreporter.line(f"{len(lines)} loads, {len(odd)} not approved")
    for line in odd[:20]:
        terminalreporter.line(f"{line['call']}: {line['path']}: {line['reason']}")


def _lines(log: str) -> Iterator[dict[str, Any]]:
    with open(log, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
