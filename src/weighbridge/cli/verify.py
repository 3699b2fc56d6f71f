"""The verb `verify`: is every file of an artifact what somebody trusted has signed, attested or locked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.cli.options import parser
from weighbridge.cli.trusted import add_trust, wanted
from weighbridge.cli.written import SENTENCE, add_report, write_report
from weighbridge.output.compared import proof_line
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse

    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.wanted import Wanted
    from weighbridge.schema import Proof


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "verify",
        "Hold every file of an artifact against its signature, attestations, bill of materials or lock.\n"
        "Nothing unsigned may be there.",
        "weighbridge verify model/ --key release.pub",
        "Exit 0 where all of it holds, 1 where something does not, with the file and the reason.",
    )
    made.add_argument("path", help="folder or file")
    made.add_argument("--file", default="", metavar="NAME", help="verify this one file of the signed folder")
    made.add_argument("--cache", action="store_true", help="believe digests of large files that have not changed since")
    made.add_argument(
        "--recheck", action="store_true", help="read every byte, with BLAKE3 where the digest is known (extra: blake3)"
    )
    add_report(made, "a sentence for each proof")
    add_trust(made)
    given = made.parse_args(arguments)
    asked = wanted(given)
    if not any((asked.keys, asked.ca, asked.issuer, asked.lock)):
        raise UsageError(
            "nobody is trusted",
            hint="give a public key with --key, a root with --ca and --identity, or --identity and --issuer",
        )
    from weighbridge.provenance.digest import DigestCache  # noqa: PLC0415  # loading cryptography takes a while

    now = datetime.now(UTC)
    cache = DigestCache(content=given.recheck) if given.cache or given.recheck else None
    try:
        if given.format != SENTENCE:
            return _report(given, asked, now, cache)
        for proof in _proofs(given, asked, now, cache):
            print(f"verified: {proof_line(proof)}")
    finally:
        if cache:
            cache.save()
    return 0


def _proofs(given: argparse.Namespace, asked: Wanted, now: datetime, cache: DigestCache | None) -> list[Proof]:
    """Every proof, or VerificationFailed for the first that does not hold."""
    from weighbridge.provenance import check  # noqa: PLC0415  # loading cryptography takes a while

    only_signature = not (asked.attestations or asked.bill or asked.lock or asked.require)
    if only_signature or given.file:
        return check.signatures(given.path, asked, check.trust(asked, now), now, only=given.file, cache=cache)
    proofs, complaints = check.examine(given.path, asked, now, cache)
    from weighbridge.provenance.signature import refuse  # noqa: PLC0415

    refuse(complaints)
    return proofs


def _report(given: argparse.Namespace, asked: Wanted, now: datetime, cache: DigestCache | None) -> int:
    from weighbridge.inspection.origin import judged, origin  # noqa: PLC0415
    from weighbridge.policy import find_settings  # noqa: PLC0415

    proofs, findings = origin(given.path, asked, now, cache)
    size, files = max(((p.size, p.files) for p in proofs), default=(0, 1))
    report = judged(given.path, findings, proofs=proofs, size=size, files=files, policy=find_settings(None).policy)
    return write_report(given, report)
