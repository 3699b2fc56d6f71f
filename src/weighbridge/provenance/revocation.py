"""Knows signed lists of what is no longer trusted: keys by fingerprint, files by digest. A list has a number and an end."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.provenance import dsse, keys
from weighbridge.schema import UsageError, VerificationFailed
from weighbridge.source.cache import default_folder, remember

if TYPE_CHECKING:
    from weighbridge.provenance.keys import PublicKey, SigningKey

KIND: Final = "application/vnd.weighbridge.revocations.v1+json"
_MEMORY: Final = 1 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


class Revocations(Struct, frozen=True, kw_only=True):
    """A list that was found to be authentic. `number` grows with each edition."""

    number: int
    expires: str
    revoked: tuple[str, ...]

    def check_key(self, key: PublicKey) -> None:
        """Raises VerificationFailed for a key that is on the list."""
        if key.fingerprint in self.revoked:
            raise VerificationFailed(
                f"the key {key.name} was revoked",
                hint="ask the publisher for a signature by the new key",
                rule="PRV-016",
            )


def make(old: Revocations | None, add: tuple[str, ...], private: SigningKey, *, now: datetime, days: int = 90) -> bytes:
    """The next edition of a list. Raises UsageError for what is no fingerprint or digest."""
    odd = [entry for entry in add if not _DIGEST.match(entry)]
    if odd:
        raise UsageError(
            f"{odd[0]}: not a fingerprint or digest",
            hint="64 hexadecimal digits, as `weighbridge keys show` prints them",
        )
    table = {
        "number": old.number + 1 if old else 1,
        "expires": f"{now + timedelta(days=days):%Y-%m-%d}",
        "revoked": sorted({*(old.revoked if old else ()), *add}),
    }
    payload = json.dumps(table).encode()
    signature = keys.sign(private, dsse.Envelope(payload=payload, kind=KIND, signatures=()).head, payload)
    return json.dumps(dsse.wrap(payload, KIND, signature)).encode()


def remembered(found: Revocations, key: PublicKey, folder: str = "") -> Revocations:
    """The list, if no later edition by the same key was seen on this machine. A memory that cannot be kept is no fault.

    Raises VerificationFailed for an edition that was replaced: an old list hides what was called back since.
    """
    check_newest(found.number, key, "revocations.json", "the revocation list", folder)
    return found


def check_newest(number: int, key: PublicKey, memory: str, what: str, folder: str = "") -> None:
    """Note an edition of something by a key. Raises VerificationFailed where a later one was seen on this machine."""
    path = os.path.join(folder or default_folder(), memory)
    try:
        with open(path, "rb") as file:
            seen = msgspec.json.decode(file.read(_MEMORY), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        seen = {}
    last = seen.get(key.fingerprint, 0)
    if number < last:
        raise VerificationFailed(
            f"{what} is edition {number}, and edition {last} was seen before",
            hint="fetch the current one: an old one may hide what became known since",
            rule="PRV-017",
        )
    if number > last:
        remember(path, msgspec.json.encode({**seen, key.fingerprint: number}))


def load(path: str, key: PublicKey, now: datetime) -> Revocations:
    """A list from its file. Raises VerificationFailed where it is not signed by `key`, or has ended."""
    envelope = dsse.unwrap(dsse.strict_json(keys.read_bundle(path), "the revocation list"))
    if envelope.kind != KIND or not keys.is_signed_by(envelope, key):
        raise VerificationFailed(
            "the revocation list is not signed by the key that was given for it",
            hint="fetch it again from its publisher",
            rule="PRV-017",
        )
    table = dsse.strict_json(envelope.payload, "the revocation list")
    number, expires, revoked = table.get("number"), table.get("expires"), table.get("revoked")
    if not (type(number) is int and isinstance(expires, str) and isinstance(revoked, list)):
        raise VerificationFailed("the revocation list is not complete", hint="fetch it again", rule="PRV-017")
    try:
        end = datetime.strptime(expires, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise VerificationFailed(
            "the revocation list has no proper end", hint="fetch it again", rule="PRV-017"
        ) from error
    if now >= end:
        raise VerificationFailed(
            f"the revocation list ended on {expires}",
            hint="fetch the current one: an old list may hide a revocation",
            rule="PRV-017",
        )
    return Revocations(number=number, expires=expires, revoked=tuple(map(str, revoked)))
