"""Knows what is said about where an artifact comes from: proofs that hold, complaints where one does not."""

from __future__ import annotations

from msgspec import Struct


class Complaint(Struct, frozen=True):
    """What speaks against the provenance of an artifact: the rule, the member it is about (empty for all), a sentence.

    `weak` tells what is worth knowing and no reason to stop.
    """

    rule: str
    member: str
    message: str
    weak: bool = False


class Proof(Struct, frozen=True, kw_only=True):
    """Something about an artifact that was verified.

    `kind` is signature, lock, bom, or the kind of an attestation (scan, test, approval, slsa, vsa, or its type); `by` names the signer as it was given or certified, and
    `key` is the fingerprint of the key. `made` is the signer's own word for when, `what` says what it states.
    """

    kind: str
    by: str
    key: str = ""
    files: int = 0
    size: int = 0
    made: str = ""
    what: str = ""
