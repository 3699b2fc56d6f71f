"""Knows how a registry tells what it does: lines for people, or one JSON object a line for collectors.

An answered request is one line, with the trace that the client began. Source: W3C Trace Context (`traceparent`).
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Final

ACCESS: Final = logging.getLogger("weighbridge.access")
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z")


class _Json(logging.Formatter):
    """One object a line; what a record was given as `extra={"fields": …}` stands in it."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        table = {
            "at": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info:
            table["error"] = self.formatException(record.exc_info)
        return json.dumps(table)


def begin(kind: str) -> None:
    """Log to standard error from now on, as `text` or `json`. Requests are logged one by one as JSON alone."""
    handler = logging.StreamHandler()
    if kind == "json":
        handler.setFormatter(_Json())
    logging.getLogger().addHandler(handler)
    ACCESS.setLevel(logging.INFO if kind == "json" else logging.WARNING)


def trace_of(header: str) -> dict[str, str]:
    """The trace and span that a client names, where it names them as the standard wants."""
    match = _TRACE.match(header.strip().lower())
    return {"trace_id": match[1], "span_id": match[2]} if match and int(match[1], 16) else {}
