"""Knows where alerts go: a file of JSON lines, a webhook, syslog as CEF, e-mail, a registry."""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from weighbridge.output.terminal import Terminal
from weighbridge.provenance.webhook import headers
from weighbridge.schema import SourceError, UsageError
from weighbridge.schema.text import printable
from weighbridge.source.http import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.schema.alert import Alert

_CEF: Final = {"critical": 10, "high": 8, "medium": 5, "low": 3, "info": 1}
_FACILITY: Final = 13  # log audit
_SYSLOG: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_PATIENCE: Final = 10.0


def open_sink(address: str) -> Callable[[Alert], None]:
    """`https://…` (webhook), `syslog://host:514` (or `syslog+tcp`), `mailto:a@b?server=host:25&from=c@d`, or a file. Raises UsageError."""
    scheme = urlsplit(address).scheme
    if scheme in {"http", "https"}:
        return Webhook(address, os.environ.get("WEIGHBRIDGE_WEBHOOK_SECRET", ""))
    if scheme in {"syslog", "syslog+tcp"}:
        return Syslog(address)
    if scheme == "mailto":
        return Mail(address)
    if scheme and scheme != "file" and "://" in address:
        raise UsageError(
            f"{address}: alerts cannot be sent there", hint="https://, syslog://, syslog+tcp://, mailto:, or a file"
        )
    return Lines(address.removeprefix("file://"))


class Lines:
    """A file: one alert a line."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, alert: Alert) -> None:
        """Append. Raises OSError."""
        target = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.write(target, msgspec.json.encode(alert) + b"\n")
        finally:
            os.close(target)


class Webhook:
    """An address that is posted to, signed where there is a secret."""

    def __init__(self, address: str, secret: str = "") -> None:
        """Raises UsageError where the secret is broken."""
        self._address, self._secret = address, secret
        headers(secret, "", 0, b"")

    def __call__(self, alert: Alert) -> None:
        """Send. Raises OSError where nobody takes it."""
        body = msgspec.json.encode({"type": "monitor.alert", "data": alert})
        signed = headers(self._secret, f"{alert.id}-{alert.times}", int(alert.at), body)
        try:
            response, _ = Session(backoff=0.0, patience=_PATIENCE).open(
                self._address, {"Content-Type": "application/json", **signed}, method="POST", body=body
            )
        except SourceError as error:
            raise OSError(error.message) from error
        response.release_conn()
        if response.status >= 300:
            raise OSError(f"{self._address} answers {response.status}")


class Syslog:
    """A syslog server (RFC 5424), with the alert as an event in ArcSight's Common Event Format."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if not parts.hostname:
            raise UsageError(f"{address}: no host", hint="syslog://host:514")
        self._tcp = parts.scheme == "syslog+tcp"
        self._where = (parts.hostname, parts.port or 514)

    def __call__(self, alert: Alert) -> None:
        """Send. Raises OSError."""
        line = syslog_line(alert).encode()
        kind = socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM
        family, _, _, _, where = socket.getaddrinfo(*self._where, type=kind)[0]
        with socket.socket(family, kind) as out:
            out.settimeout(_PATIENCE)
            out.connect(where)
            # RFC 6587: on a stream, the length comes first.
            out.sendall(b"%d " % len(line) + line if self._tcp else line[:8000])


def syslog_line(alert: Alert) -> str:
    """The message as it is sent."""
    one = alert.finding
    from datetime import UTC, datetime  # noqa: PLC0415  # only where alerts go to syslog

    at = datetime.fromtimestamp(alert.at, UTC).isoformat()
    number = _FACILITY * 8 + _SYSLOG[one.severity.value]
    return f"<{number}>1 {at} {socket.gethostname()} weighbridge - {one.rule} - {cef(alert)}"


def cef(alert: Alert) -> str:
    """The alert in Common Event Format 0: pipes and backslashes escaped in its head, equal signs in its fields."""
    one = alert.finding
    head = [_head(text) for text in ("Weighbridge", "monitor", "1", one.rule, one.message)]
    fields = {
        "rt": str(int(alert.at * 1000)), "externalId": alert.id, "cnt": str(alert.times), "cs1Label": "stream", "cs1": alert.stream,
        "cs2Label": "evidence", "cs2": " / ".join(line.text for line in one.evidence[:3]), "cs3Label": "model", "cs3": alert.model,
        "msg": one.why,
    }  # fmt: skip
    return f"CEF:0|{'|'.join(head)}|{_CEF[one.severity.value]}|" + " ".join(
        f"{key}={_field(value)}" for key, value in fields.items() if value
    )


def _head(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace("|", "\\|")


def _field(text: str) -> str:
    return printable(text)[:1000].replace("\\", "\\\\").replace("=", "\\=")


class Mail:
    """A mail server that takes messages for one address: `mailto:ops@example.org?server=mail:587&from=w@example.org&tls=1`."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        given = dict(re.findall(r"(\w+)=([^&]*)", parts.query))
        self._to, self._from = parts.path, given.get("from", "weighbridge@localhost")
        host, _, port = given.get("server", "localhost:25").partition(":")
        self._host, self._port, self._tls = host, int(port) if port.isdigit() else 25, given.get("tls") == "1"
        if "@" not in self._to or re.search(r"[\r\n]", self._to + self._from):
            raise UsageError(f"{address}: no address of a person", hint="mailto:ops@example.org?server=mail:25")

    def __call__(self, alert: Alert) -> None:
        """Send. Raises OSError."""
        message = EmailMessage()
        message["From"], message["To"] = self._from, self._to
        message["Subject"] = printable(f"[{alert.finding.severity.value}] {alert.stream}: {alert.finding.message}")[
            :200
        ]
        message["Message-ID"] = f"<{alert.id}.{alert.times}@weighbridge>"
        message.set_content("\n".join(told(alert)))
        try:
            with smtplib.SMTP(self._host, self._port, timeout=_PATIENCE) as server:
                if self._tls:
                    server.starttls(context=ssl.create_default_context())
                server.send_message(message)
        except smtplib.SMTPException as error:
            raise OSError(f"{self._host}: {error}") from error


def told(alert: Alert) -> list[str]:
    """The alert in lines."""
    again = [f"   came up {alert.times} times"] if alert.times > 1 else []
    return [*Terminal(colour=False, verbose=False).finding(alert.finding), *again]
