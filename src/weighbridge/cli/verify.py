"""The verb `verify`: is every file of an artifact what somebody trusted has signed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.cli.options import parser
from weighbridge.output.words import plural, size_text
from weighbridge.schema import UsageError, VerificationFailed

if TYPE_CHECKING:
    import argparse

    from cryptography import x509

    from weighbridge.provenance.signature import Trust, Verified


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    if not given.key and not given.ca:
        raise UsageError(
            "nobody is trusted", hint="give a public key with --key, or a root with --ca and a name with --identity"
        )
    if given.ca and not given.identity:
        raise UsageError("--ca without --identity", hint="a root signs for many; name the one that is meant")
    from weighbridge.provenance.digest import DigestCache  # noqa: PLC0415  # loading cryptography takes a while

    now = datetime.now(UTC)
    trust = _trust(given, now)
    cache = DigestCache() if given.cache else None
    verified = _all(given, trust, now, cache)
    if cache:
        cache.save()
    for one in verified:
        made = f", made {one.signed_at}" if one.signed_at else ""
        print(
            f"verified: {plural(one.files, 'file')}, {size_text(one.size)}, signed by {one.signer} ({one.fingerprint[:16]}…){made}"
        )
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "verify",
        "Hold every file of an artifact against its signature. Nothing unsigned may be there.",
        "weighbridge verify model/ --key release.pub",
    )
    made.add_argument("path", help="folder or file")
    made.add_argument(
        "--signature", action="append", default=[], metavar="FILE", help="may be repeated (default: PATH.sig)"
    )
    made.add_argument(
        "--key", action="append", default=[], metavar="FILE", help="public key that is trusted; may be repeated"
    )
    made.add_argument("--ca", metavar="FILE", help="root certificates that are trusted, in PEM")
    made.add_argument("--identity", default="", metavar="NAME", help="the name that the leaf certificate has to hold")
    made.add_argument(
        "--threshold",
        type=int,
        default=0,
        metavar="N",
        help="how many different signers are needed (default: all signatures)",
    )
    made.add_argument("--file", default="", metavar="NAME", help="verify this one file of the signed folder")
    made.add_argument("--max-key-age", type=int, default=0, metavar="DAYS", help="refuse keys that are older")
    made.add_argument("--revocations", metavar="FILE", help="signed revocation list")
    made.add_argument("--revocations-key", metavar="FILE", help="public key of the revocation list")
    made.add_argument("--cache", action="store_true", help="believe digests of large files that have not changed since")
    return made.parse_args(arguments)


def _trust(given: argparse.Namespace, now: datetime) -> Trust:
    from weighbridge.provenance import keys  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.signature import Trust as Trusted  # noqa: PLC0415

    if bool(given.revocations) != bool(given.revocations_key):
        raise UsageError("--revocations and --revocations-key belong together", hint="give both")
    revoked = None
    if given.revocations:
        from weighbridge.provenance import revocation  # noqa: PLC0415  # only where there is a list

        revoked = revocation.load(given.revocations, keys.load_public(given.revocations_key), now)
    roots: tuple[x509.Certificate, ...] = ()
    if given.ca:
        from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

        roots = tuple(certificates.load_chain(given.ca))
    return Trusted(
        keys=tuple(keys.load_public(path) for path in given.key),
        roots=roots,
        identity=given.identity,
        most_days=given.max_key_age,
        revoked=revoked,
    )


def _all(given: argparse.Namespace, trust: Trust, now: datetime, cache: object) -> list[Verified]:
    """Each signature in turn. With a threshold some may fail, as long as enough different signers remain."""
    from weighbridge.provenance import signature  # noqa: PLC0415  # loading cryptography takes a while

    files = given.signature or [f"{given.path.rstrip('/')}.sig"]
    needed = given.threshold or len(files)
    verified: dict[str, Verified] = {}
    failed: list[VerificationFailed] = []
    for file in files:
        try:
            found = signature.verify(given.path, file, trust, now=now, cache=cache, only=given.file, beside=files)  # type: ignore[arg-type]  # made in run
        except VerificationFailed as error:
            failed.append(error)
        else:
            verified[found.fingerprint] = found
    if len(verified) >= needed:
        return list(verified.values())
    if failed and needed == len(files):
        raise failed[0]
    reason = f": {failed[0].message}" if failed else ""
    raise VerificationFailed(
        f"{len(verified)} of {needed} signers are verified{reason}", hint="every signer has to be a different one"
    )
