"""Knows how pages are made: templates, with every foreign text escaped and its invisible characters shown."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from glob import escape
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from weighbridge.output.terminal import place
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from weighbridge.policy import Statement

_FOLDER: Final = os.path.dirname(__file__)
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# Pages of tests stand alone: their style and their pictures are in them.
TEST_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def templates() -> Environment:
    """The environment of all pages."""
    made = Environment(
        loader=FileSystemLoader(os.path.join(_FOLDER, "templates")),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "day": lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}",
        "moment": lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "short": _short,
        "client": lambda agent: agent.partition(" ")[0] if agent.startswith("pip/") else agent[:80],
        "place": place,
        "conditions": _conditions,
        "lines": _lines,
        "as_pattern": escape,
        # A value that comes back from a form must be the same; the browser shows a hidden field to nobody.
        "untouched": Markup.escape,
        "host": lambda base: base.partition("://")[2],
        "with_token": lambda base: base.replace("://", "://token:…@", 1),
    }
    return made


def _visible(value: Any) -> Any:
    """Text with control and bidirectional characters spelled out; markup that a template made stays as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


def _short(label: str) -> str:
    """A commit by its first digits; the version and file of a package as they are."""
    return label[:12] if len(label) == 40 and "/" not in label else label


def _lines(text: str) -> Markup:
    """Text of several lines that somebody typed on this page, escaped and with its line breaks."""
    return Markup("\n").join(printable(line) for line in text.splitlines())


def _conditions(one: Statement) -> str:
    parts = [", ".join(severity.value for severity in one.severity), ", ".join(one.rules), ", ".join(one.effects)]
    return "; ".join(part for part in parts if part) or "everything"


def static(name: str) -> tuple[bytes, str] | None:
    """(bytes, type) of a file that pages use."""
    kinds = {".css": "text/css", ".js": "text/javascript"}
    kind = kinds.get(os.path.splitext(name)[1])
    folder = os.path.join(_FOLDER, "static")
    if kind is None or name not in os.listdir(folder):
        return None
    with open(os.path.join(folder, name), "rb") as file:
        return file.read(), kind
