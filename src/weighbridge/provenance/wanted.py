"""Knows what an organisation asks for before it believes where an artifact comes from. Plain data: flags or configuration."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

REQUIREMENTS: Final = ("signature", "bom", "lock", "scan", "test", "approval", "conversion", "slsa", "vsa")


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is trusted, by what files that is shown, and what has to be there.

    `keys`, `ca`, `sigstore`, `revocations`, `feed` and their keys are files. `signatures`, `attestations`, `bill` and
    `lock` belong to one artifact; without `signatures`, PATH.sig is taken where it exists. `require` names what must be
    present and hold: signature, bom, lock, or a kind of attestation.
    """

    keys: tuple[str, ...] = ()
    ca: str = ""
    identity: str = ""
    issuer: str = ""
    sigstore: str = ""
    builder: str = ""
    threshold: int = 0
    max_key_age: int = 0
    revocations: str = ""
    revocations_key: str = ""
    feed: str = ""
    feed_key: str = ""
    signatures: tuple[str, ...] = ()
    attestations: tuple[str, ...] = ()
    bill: str = ""
    lock: str = ""
    require: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is anything to check."""
        return self != Wanted()
