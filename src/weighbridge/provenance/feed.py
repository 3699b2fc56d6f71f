"""Knows signed feeds of what is known to be bad: digests, names, releases, publishers, and rules that find it. A feed has a number and an end.

It is one file, so that it reaches places without a network. An edition before the last that was seen is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.provenance import editions, keys
from weighbridge.schema import UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from weighbridge.provenance.keys import PublicKey, SigningKey

KIND: Final = "application/vnd.weighbridge.feed.v1+json"
_MEMORY: Final = "feeds.json"
KINDS: Final = ("sha256", "name", "release", "publisher", "rule")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


class Known(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is known to be bad, why, and where that is told.

    `kind` is sha256 (a file), name (`model acme/net`, `pypi ranker`), release (`pypi ranker==1.1`, `model acme/net@<commit>`),
    publisher (`model acme`) or rule (the source of YARA rules).
    """

    kind: str
    value: str
    reason: str
    reference: str = ""


class Feed(Struct, frozen=True, kw_only=True):
    """A feed that was found to be authentic. `number` grows with each edition."""

    number: int
    made: str
    expires: str
    entries: tuple[Known, ...]

    def by_digest(self) -> dict[str, Known]:
        """What is known of files."""
        return {one.value: one for one in self.entries if one.kind == "sha256"}

    def rules(self) -> list[Known]:
        """The rules that find what is known to be bad in the bytes of any file."""
        return [one for one in self.entries if one.kind == "rule"]

    def about(self, ecosystem: str, name: str, release: str) -> Known | None:
        """What is known of an artifact by its name, publisher or release; `ecosystem` is model, dataset, pypi and so on."""
        sign = "==" if ecosystem == "pypi" else "@"
        wanted = {
            "name": f"{ecosystem} {name}".lower(),
            "publisher": f"{ecosystem} {name.partition('/')[0]}".lower() if "/" in name else "",
            "release": f"{ecosystem} {name}{sign}{release}".lower(),
        }
        return next((one for one in self.entries if one.value.lower() == wanted.get(one.kind)), None)


def build(entries: Sequence[Known], private: SigningKey, *, number: int, now: datetime, days: int = 30) -> bytes:
    """The signed feed. Raises UsageError for an entry that says nothing."""
    for one in entries:
        if one.kind not in KINDS or not one.value or not one.reason:
            raise UsageError(
                f"the entry {one.kind} {one.value[:60]!r} is not complete",
                hint=f"kind ({', '.join(KINDS)}), value, reason",
            )
        if one.kind == "sha256" and not _DIGEST.match(one.value):
            raise UsageError(f"{one.value[:70]} is no SHA-256", hint="64 hexadecimal digits")
    table = {
        "number": number,
        "made": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "expires": editions.end(now, days),
        "entries": [msgspec.to_builtins(one) for one in sorted(entries, key=lambda one: (one.kind, one.value))],
    }
    return editions.sealed(table, KIND, private)


def load(path: str, key: PublicKey, now: datetime, *, folder: str = "") -> Feed:
    """A feed from its file.

    Raises VerificationFailed where it is not signed by `key`, has ended, or a later edition was seen on this machine.
    """
    table = editions.opened(keys.read_bundle(path), KIND, key, now, "the feed")
    try:
        found = msgspec.convert(table, Feed)
    except msgspec.ValidationError as error:
        raise VerificationFailed("the feed is not complete", hint="fetch it again", rule="PRV-017") from error
    editions.check_newest(found.number, key, _MEMORY, "the feed", folder)
    return found
