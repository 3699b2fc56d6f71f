"""Knows how everything that speaks for an artifact is checked together: signatures, attestations, bill, lock, revocations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from weighbridge.provenance import keys, signature
from weighbridge.provenance.bundle import Trust
from weighbridge.provenance.wanted import REQUIREMENTS
from weighbridge.schema import Complaint, Proof, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from cryptography import x509

    from weighbridge.provenance.description import Claim
    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.wanted import Wanted


def trust(wanted: Wanted, now: datetime) -> Trust:
    """The keys, roots and lists that are named. Raises UsageError, SourceError, VerificationFailed for a bad list."""
    if bool(wanted.revocations) != bool(wanted.revocations_key):
        raise UsageError("--revocations and --revocations-key belong together", hint="give both")
    if wanted.ca and not wanted.identity:
        raise UsageError("--ca without --identity", hint="a root signs for many; name the one that is meant")
    if bool(wanted.issuer) > bool(wanted.identity):
        raise UsageError("--issuer without --identity", hint="an issuer vouches for many; name the one that is meant")
    revoked = None
    if wanted.revocations:
        from weighbridge.provenance import revocation  # noqa: PLC0415  # only where there is a list

        publisher = keys.load_public(wanted.revocations_key)
        revoked = revocation.remembered(revocation.load(wanted.revocations, publisher, now), publisher)
    roots: tuple[x509.Certificate, ...] = ()
    if wanted.ca:
        from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

        roots = tuple(certificates.load_chain(wanted.ca))
    return Trust(
        keys=tuple(keys.load_public(path) for path in wanted.keys),
        roots=roots,
        identity=wanted.identity,
        issuer=wanted.issuer,
        sigstore=wanted.sigstore,
        most_days=wanted.max_key_age,
        revoked=revoked,
    )


def beside(path: str, wanted: Wanted) -> tuple[str, ...]:
    """The files that belong to the proof and not to the artifact."""
    found = wanted.signatures or (f"{path.rstrip('/')}.sig",)
    return (*found, *wanted.attestations, *((wanted.bill, f"{wanted.bill}.att") if wanted.bill else ()))


def signatures(
    path: str, wanted: Wanted, trusted: Trust, now: datetime, *, only: str = "", cache: DigestCache | None = None
) -> list[Proof]:
    """Each signature in turn. With a threshold some may fail, as long as enough different signers remain.

    Raises VerificationFailed.
    """
    files = wanted.signatures or (f"{path.rstrip('/')}.sig",)
    needed = wanted.threshold or len(files)
    verified: dict[str, Proof] = {}
    failed: list[VerificationFailed] = []
    for file in files:
        try:
            found = signature.verify(path, file, trusted, now=now, cache=cache, only=only, beside=beside(path, wanted))
        except VerificationFailed as error:
            failed.append(error)
        else:
            verified[found.key] = found
    if len(verified) >= needed:
        return list(verified.values())
    if failed and needed == len(files):
        raise failed[0]
    reason = f": {failed[0].message}" if failed else ""
    raise VerificationFailed(
        f"{len(verified)} of {needed} signers are verified{reason}",
        hint="every signer has to be a different one",
        complaints=(
            Complaint("PRV-001", "", f"{len(verified)} of {needed} signers are verified"),
            *(one for error in failed for one in error.complaints),
        ),
    )


def attestations(
    path: str, wanted: Wanted, trusted: Trust, now: datetime, cache: DigestCache | None = None
) -> list[Proof]:
    """Every attestation that was given. Raises VerificationFailed."""
    from weighbridge.provenance import attestation  # noqa: PLC0415  # only where there are some

    found = [one for file in wanted.attestations for one in attestation.read(file, trusted, now)]
    return attestation.verify(path, found, now=now, builder=wanted.builder, cache=cache, without=beside(path, wanted))


def examine(
    path: str, wanted: Wanted, now: datetime, cache: DigestCache | None = None
) -> tuple[list[Proof], list[Complaint]]:
    """Everything that speaks for and against an artifact on this machine. Raises UsageError, SourceError, Unavailable."""
    odd = [name for name in wanted.require if name not in REQUIREMENTS]
    if odd:
        raise UsageError(f"nothing is called {odd[0]} that could be required", hint=", ".join(REQUIREMENTS))
    proofs: list[Proof] = []
    complaints: list[Complaint] = []

    def gather(check: Callable[[], Iterable[Proof]]) -> None:
        try:
            proofs.extend(check())
        except VerificationFailed as error:
            complaints.extend(error.complaints)

    try:
        trusted = trust(wanted, now)
    except VerificationFailed as error:
        return [], list(error.complaints)
    present = bool(wanted.signatures) or os.path.exists(f"{path.rstrip('/')}.sig")
    someone = bool(trusted.keys or trusted.roots or trusted.issuer)
    if present and someone:
        gather(lambda: signatures(path, wanted, trusted, now, cache=cache))
    if wanted.attestations:
        gather(lambda: attestations(path, wanted, trusted, now, cache))
    if wanted.bill:
        from weighbridge.provenance import bills  # noqa: PLC0415  # only where there is one

        gather(lambda: bills.verify(path, wanted.bill, trusted, now, without=beside(path, wanted)))
    if wanted.lock:
        from weighbridge.provenance import lock  # noqa: PLC0415  # only where there is one

        gather(lambda: lock.verify(path, wanted.lock, cache, without=beside(path, wanted)))
    if trusted.revoked and not present:
        gather(lambda: _revoked(path, trusted, cache))
    if wanted.feed or wanted.feed_key:
        gather(lambda: _known_bad(path, wanted, now, cache))
    complaints += _absent(wanted, proofs, present=present)
    return proofs, list(dict.fromkeys(complaints))


def attested(path: str, wanted: Wanted, now: datetime) -> tuple[tuple[Claim, ...], list[Complaint]]:
    """What people who are trusted have signed about an artifact, as claims, and what speaks against it."""
    from weighbridge.provenance.description import Claim  # noqa: PLC0415  # only bills need claims

    if not wanted.anything:
        return (), []
    proofs, complaints = examine(path, wanted, now)
    claims = [Claim(proof.kind, proof.what or f"signed {proof.made}".strip(), "attested", proof.by) for proof in proofs]
    if any(proof.kind == "slsa" for proof in proofs):
        from weighbridge.provenance import attestation  # noqa: PLC0415

        trusted = trust(wanted, now)
        for one in (one for file in wanted.attestations for one in attestation.read(file, trusted, now)):
            claims += [Claim(kind, name, "attested", one.by) for kind, name in attestation.went_in(one)]
    return tuple(dict.fromkeys(claims)), complaints


def _revoked(path: str, trusted: Trust, cache: DigestCache | None) -> list[Proof]:
    """Files that the revocation list names, where no signature brings them up."""
    from weighbridge.provenance.digest import digests, members  # noqa: PLC0415  # hashing only where it is asked for

    revoked = trusted.revoked.revoked if trusted.revoked else ()
    found = digests(members(path), cache=cache)
    signature.refuse([Complaint("PRV-016", one.name, "was revoked") for one in found if one.sha256 in revoked])
    return []


def _known_bad(path: str, wanted: Wanted, now: datetime, cache: DigestCache | None) -> list[Proof]:
    """Files that a feed names."""
    from weighbridge.provenance import feed  # noqa: PLC0415  # only where there is one
    from weighbridge.provenance.digest import digests, members  # noqa: PLC0415

    if not (wanted.feed and wanted.feed_key):
        raise UsageError("--feed and --feed-key belong together", hint="give both")
    known = feed.load(wanted.feed, keys.load_public(wanted.feed_key), now).by_digest()
    found = digests(members(path), cache=cache)
    signature.refuse(
        [
            Complaint("SEC-005", one.name, f"is known to be bad: {known[one.sha256].reason}")
            for one in found
            if one.sha256 in known
        ]
    )
    return []


def _absent(wanted: Wanted, proofs: list[Proof], *, present: bool) -> Iterable[Complaint]:
    """What is required and is not there, or does not hold."""
    held = {proof.kind for proof in proofs}
    for name in wanted.require:
        if name in held:
            continue
        why = "none is there"
        if name == "signature" and present:
            why = "the one that is there does not hold or is not by anybody who is trusted"
        yield Complaint(
            _ABSENT.get(name, "PRV-001"), "", f"{_WORDS.get(name, f'an attestation ({name})')} is required, and {why}"
        )


_ABSENT = {"bom": "PRV-011", "lock": "PRV-010"}
_WORDS = {"signature": "a signature", "bom": "a bill of materials", "lock": "a lock"}
