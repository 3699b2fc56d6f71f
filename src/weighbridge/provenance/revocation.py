"""Knows signed lists of what is no longer trusted: keys by fingerprint, files by digest. A list has a number and an end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.provenance import editions, keys
from weighbridge.schema import UsageError, VerificationFailed

if TYPE_CHECKING:
    from datetime import datetime

    from weighbridge.provenance.keys import PublicKey, SigningKey

KIND: Final = "application/vnd.weighbridge.revocations.v1+json"
_WHAT: Final = "the revocation list"
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
        "expires": editions.end(now, days),
        "revoked": sorted({*(old.revoked if old else ()), *add}),
    }
    return editions.sealed(table, KIND, private)


def remembered(found: Revocations, key: PublicKey, folder: str = "") -> Revocations:
    """The list, if no later edition by the same key was seen on this machine. A memory that cannot be kept is no fault.

    Raises VerificationFailed for an edition that was replaced: an old list hides what was called back since.
    """
    editions.check_newest(found.number, key, "revocations.json", _WHAT, folder)
    return found


def load(path: str, key: PublicKey, now: datetime) -> Revocations:
    """A list from its file. Raises VerificationFailed where it is not signed by `key`, or has ended."""
    return read(keys.read_bundle(path), key, now)


def read(data: bytes, key: PublicKey, now: datetime) -> Revocations:
    """A list from its bytes. Raises as `load` does."""
    table = editions.opened(data, KIND, key, now, _WHAT)
    revoked = table.get("revoked")
    if not isinstance(revoked, list):
        raise VerificationFailed(f"{_WHAT} is not complete", hint="fetch it again", rule="PRV-017")
    return Revocations(number=table["number"], expires=table["expires"], revoked=tuple(map(str, revoked)))
