"""Shows a report: in a terminal, as JSON, SARIF, annotations of a code host, or one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from weighbridge.schema import Report

FORMATS: Final = ("terminal", "json", "sarif", "github", "html")


def render_as(name: str, report: Report) -> str:
    """The report in a machine format or as a page; `terminal` is drawn by `output.terminal`."""
    # Each writer is loaded only when it is asked for: start-up time is a promise.
    if name == "json":
        from weighbridge.output.json_file import to_json  # noqa: PLC0415

        return to_json(report)
    if name == "sarif":
        from weighbridge.output.sarif import to_sarif  # noqa: PLC0415

        return to_sarif(report)
    if name == "github":
        from weighbridge.output.github import to_github  # noqa: PLC0415

        return to_github(report)
    from weighbridge.output.html_page import to_html  # noqa: PLC0415

    return to_html(report)
