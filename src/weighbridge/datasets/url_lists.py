"""Judges lists of addresses: whether what they fetch can be checked later, and whose addresses they are.

A list without digests is a promise by whoever owns the names tomorrow: 0.01 % of LAION-400M could be bought for 60 dollars
(Carlini et al. 2024, "Poisoning web-scale training datasets is practical").
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from weighbridge.datasets.groups import Group, Outcome, array, follow
from weighbridge.schema import Severity
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from weighbridge.datasets.columns import Roles
    from weighbridge.datasets.view import Rows

NOT_ASKED: Final = "what the addresses hold now (--recheck): nothing is fetched"
_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
_KINDS: Final = {32: "MD5", 40: "SHA-1", 64: "SHA-256 or BLAKE3", 96: "SHA-384", 128: "SHA-512"}
_WEAK: Final = frozenset({"MD5", "SHA-1"})
_SHORTENERS: Final = frozenset(
    {"bit.ly", "tinyurl.com", "t.co", "goo.gl", "is.gd", "ow.ly", "buff.ly", "rb.gy", "cutt.ly", "shorturl.at"}
)
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z|\[")
_HOSTS: Final = 2_000_000
_KEPT: Final = 10_000
_REASONS: Final = {
    "http": ("are fetched without TLS", Severity.LOW), "user": ("carry a user name, which hides the host", Severity.HIGH),
    "number": ("name a host by its number", Severity.MEDIUM), "port": ("name an unusual port", Severity.LOW),
    "punycode": ("have a host in other scripts, which can look like a known one", Severity.MEDIUM),
    "short": ("are short addresses, whose owner can point them elsewhere", Severity.MEDIUM), "broken": ("cannot be parsed", Severity.LOW),
}  # fmt: skip


class UrlList:
    """The sketch: what is odd about addresses, how often each host occurs, what stands where digests should."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._odd: dict[str, list[int]] = {reason: [] for reason in _REASONS}
        self._many: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._digests: Counter[str] = Counter()
        self._bad_digests: list[int] = []
        self._rows = 0

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        urls = rows.cells.get(self._roles.url, [])
        for number, url in enumerate(urls, rows.first):
            if url:
                self._rows += 1
                self._look(number, str(url))
        for number, value in (
            enumerate(rows.cells.get(self._roles.digest, []), rows.first) if self._roles.digest else ()
        ):
            kind = _digest(value)
            self._digests[kind] += 1
            if kind == "" and len(self._bad_digests) < _KEPT:
                self._bad_digests.append(number)

    def _look(self, number: int, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            self._note("broken", number)
            return
        if len(self._hosts) < _HOSTS or host in self._hosts:
            self._hosts[host] += 1
        if parts.scheme.lower() != "https":
            self._note("http", number)
        if "@" in parts.netloc:
            self._note("user", number)
        if _ADDRESS.match(host) or ":" in host:
            self._note("number", number)
        if port not in {None, 80, 443}:
            self._note("port", number)
        if "xn--" in host or not host.isascii():
            self._note("punycode", number)
        if host in _SHORTENERS:
            self._note("short", number)

    def _note(self, reason: str, number: int) -> None:
        self._many[reason] += 1
        if len(self._odd[reason]) < _KEPT:
            self._odd[reason].append(number)

    def join(self, other: UrlList, first: int) -> None:
        """Take the sketch of the rows that follow; the first of them has the number `first`."""
        self._rows += other._rows
        self._many += other._many
        self._digests += other._digests
        for host, count in other._hosts.items():
            if len(self._hosts) < _HOSTS or host in self._hosts:
                self._hosts[host] += count
        for reason, rows in self._odd.items():
            follow(rows, other._odd[reason], first, _KEPT)
        follow(self._bad_digests, other._bad_digests, first, _KEPT)

    def finish(self) -> Outcome:
        """What is missing, what is odd, and where most addresses lead."""
        groups = [*self._checked(), *self._oddities()]
        top = ", ".join(f"{host} {count / max(1, self._rows):.0%}" for host, count in self._hosts.most_common(3))
        about = f"{self._rows} {'address' if self._rows == 1 else 'addresses'} at {plural(len(self._hosts), 'host')}; most at {top}"
        return Outcome(
            test="addresses", groups=tuple(groups), about=about,
            not_tested=NOT_ASKED,
        )  # fmt: skip

    def _checked(self) -> list[Group]:
        if not self._roles.digest:
            return [Group(rule="DST-014", message=f"{self._rows} addresses without a digest of what they should hold")]
        missing = self._digests[""]
        groups = []
        if missing:
            groups.append(
                Group(
                    rule="DST-014",
                    message=f"{missing} of {self._rows} addresses have no digest that can be checked in “{self._roles.digest}”",
                    rows=array(self._bad_digests),
                    shown=array(self._bad_digests[:3]),
                    facts=("a content digest is hexadecimal, of the length of MD5, SHA-1 or SHA-2; a number is none",),
                )
            )
        weak = sorted(kind for kind in self._digests if kind in _WEAK)
        if weak and not missing:
            groups.append(
                Group(
                    rule="DST-014",
                    message=f"the digests are {' and '.join(weak)}, for which a second content can be made",
                    severity=Severity.LOW,
                )
            )
        return groups

    def _oddities(self) -> list[Group]:
        return [
            Group(
                rule="DST-014",
                message=f"{many} {'address' if many == 1 else 'addresses'} {_singular(text) if many == 1 else text}",
                rows=array(self._odd[reason]),
                shown=array(self._odd[reason][:3]),
                severity=severity,
            )
            for reason, (text, severity) in _REASONS.items()
            if (many := self._many[reason])
        ]


def _singular(text: str) -> str:
    first, _, rest = text.partition(" ")
    return f"{ {'are': 'is', 'have': 'has', 'carry': 'carries', 'name': 'names'}.get(first, first) } {rest}".strip()


def _digest(value: Any) -> str:
    """The kind of a digest, or nothing where this is none."""
    text = value.hex() if isinstance(value, bytes) else str(value).strip() if isinstance(value, str) else ""
    text = text.rpartition(":")[2]
    return _KINDS.get(len(text), "") if _HEX.match(text) else ""
